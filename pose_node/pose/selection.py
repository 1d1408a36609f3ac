"""Which refined poses become estimates: one for each place with an object, and a reason for each refusal.

Estimates compete for measured points, each of which is explained once. (Aldoma, Tombari, Di Stefano and Vincze, "A global
hypotheses verification method for 3D object recognition", ECCV 2012; here greedily, the largest explanation first.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pose_node.arrays import Indices
from pose_node.config import JudgeConfig
from pose_node.measurement.scene import Scene
from pose_node.measurement.sensor import Sensor
from pose_node.network.match_evidence import match_evidence
from pose_node.pose.ambiguity import RULED_OUT, resolve_turns
from pose_node.pose.grouping import by_segment_and_object
from pose_node.pose.invariants import Shares
from pose_node.pose.likelihood import Likelihood
from pose_node.pose.refine import Refiner
from pose_node.pose.shortlist import CONFIRMED_SOURCES, distinct
from pose_node.types import Estimate, Evidence, Refined, Rejected

_PLACE_REL = 0.25  # poses whose centres are nearer than this share of the diameter are at one place
_CLAIM_OVERLAP = 0.3  # two estimates that share more of the smaller one's points than this exclude each other


class Selector:
    """Selects the estimates of all objects that have a refiner and a likelihood."""

    def __init__(
        self,
        refiners: Mapping[str, Refiner],
        likelihoods: Mapping[str, Likelihood],
        config: JudgeConfig,
        sensor: Sensor,
    ) -> None:
        self.refiners, self.likelihoods, self.config, self.sensor = refiners, likelihoods, config, sensor

    def select(self, refined: Sequence[Refined], scene: Scene) -> tuple[list[Estimate], list[Rejected]]:
        """One estimate for each place with an object, best first, and why the others were refused.

        Codes of refusals: low_score, taken.
        """
        found: list[Estimate] = []
        rejected: list[Rejected] = []
        for group in by_segment_and_object(refined, key=lambda r: r.hypothesis):
            result = self._estimate(group, scene)
            if isinstance(result, Estimate):
                found.append(result)
            else:
                rejected.append(result)
        if len(found) == 1:  # no competitor for its points
            return found, rejected
        claims = [self._claim(estimate, scene) for estimate in found]
        kept: list[tuple[Estimate, Indices]] = []
        # The one that explains more of the measurement comes first: a small box fits into many a larger one's face.
        for i in sorted(range(len(found)), key=lambda i: -found[i].score * len(claims[i])):
            estimate, claim = found[i], claims[i]
            reason = self._conflict(estimate, claim, kept)
            if reason is None:
                kept.append((estimate, claim))
            else:
                rejected.append(Rejected("taken", reason, estimate.object_name, estimate.segment, estimate.score))
        return sorted((e for e, _ in kept), key=lambda e: -e.score), rejected

    def _estimate(self, group: Sequence[Refined], scene: Scene) -> Estimate | Rejected:
        """The best of the refined poses of one segment and object, with its alternatives; or why none is good enough."""
        name = group[0].hypothesis.object_name
        refiner, likelihood, segment = self.refiners[name], self.likelihoods[name], group[0].hypothesis.segment
        card, matches = refiner.card, group[0].hypothesis.matches
        view = scene.view(segment)
        T = np.stack([r.T_camera_object for r in group])
        scores = likelihood.score(T, view, samples=2048, points=len(view.points_m), refined=True, matches=matches)
        best = int(np.argmax(scores.rank))
        score, shares = float(scores.score[best]), scores.shares[best]
        if score < self.config.min_score:
            return Rejected("low_score", _why_low(name, score, shares, self.config.min_score), name, segment, score)
        relative = np.exp(scores.rank - scores.rank[best])
        kept = distinct(T, relative, card, len(T))
        centre = T[:, :3, :3] @ card.centre_m + T[:, :3, 3]
        kept = [
            i
            for i in kept
            if relative[i] >= RULED_OUT and np.linalg.norm(centre[i] - centre[best]) < _PLACE_REL * card.diameter_m
        ]
        weight = relative[kept] / relative[kept].sum()
        lead = group[best]
        if len(group) > 1 and view.trusted:  # compared with a single outline pass
            lead = refiner.fine(replace(lead.hypothesis, T_camera_object=T[best]), scene)
        T_lead, covariance = resolve_turns(
            lead.T_camera_object,
            lead.covariance,
            card,
            likelihood,
            view,
            matches,
        )
        return Estimate(
            object_name=name,
            T_camera_object=T_lead,
            score=score,
            covariance=covariance,
            evidence=Evidence(
                explained=float(shares.explained),
                violated=float(shares.violated),
                occluded=float(shares.occluded),
                covered=float(shares.covered),
                inlier_fraction=lead.inlier_fraction,
                rms_m=lead.rms_m,
                agreement=1.0 if matches is None else float(match_evidence(matches, T[best : best + 1]).support[0]),
            ),
            segment=segment,
            alternatives=tuple((T[i], float(w)) for i, w in zip(kept[1:], weight[1:])),
        )

    def _claim(self, estimate: Estimate, scene: Scene) -> Indices:
        """Points of the segment that lie on the estimate's surface: ascending rows of the cloud."""
        lookup = self.refiners[estimate.object_name].lookup
        T, index = estimate.T_camera_object, estimate.segment.indices
        index = index[:: max(len(index) // 4000, 1)] if estimate.segment.source == "mask" else index
        points = scene.cloud.points_m[index]
        x = (points - T[:3, 3]) @ T[:3, :3]
        allowed = self.sensor.tolerance_m(np.linalg.norm(points - scene.cloud.viewpoint_m, axis=1))
        return index[lookup.distance_bound(x) < 2.0 * allowed + lookup.table_error_m]

    def _conflict(self, estimate: Estimate, claim: Indices, kept: Sequence[tuple[Estimate, Indices]]) -> str | None:
        """Why ``estimate`` cannot stand beside those already kept; None where it can."""
        card = self.refiners[estimate.object_name].card
        if sum(e.object_name == estimate.object_name for e, _ in kept) >= self.config.max_instances:
            return f"{card.name}: more than {self.config.max_instances} instances were found."
        centre = estimate.T_camera_object[:3, :3] @ card.centre_m + estimate.T_camera_object[:3, 3]
        for other, other_claim in kept:
            T = other.T_camera_object
            if other.object_name == card.name:
                if np.linalg.norm(T[:3, :3] @ card.centre_m + T[:3, 3] - centre) < _PLACE_REL * card.diameter_m:
                    return f"{card.name}: there is a better estimate at the same place."
            elif estimate.segment.source in CONFIRMED_SOURCES and other.segment.source in CONFIRMED_SOURCES:
                continue  # the caller named both objects
            shared = np.intersect1d(claim, other_claim, assume_unique=True).size
            if shared > _CLAIM_OVERLAP * max(min(len(claim), len(other_claim)), 1):
                return f"{card.name}: its points belong to {other.object_name}, which explains them better."
        return None


def _why_low(name: str, score: float, shares: Shares, least: float) -> str:
    """Why a pose of this ``score`` is no estimate, with what speaks for and against it."""
    seen = f"{shares.observed:.0%} of its visible surface is measured"
    fits = f"{shares.explained:.0%} of that is confirmed, {shares.violated:.0%} in free space"
    return f"{name}: score {score:.2f}, expected at least {least:.2f} ({seen}, {fits})."
