"""Which refined poses become estimates: one for each place with an object, and a reason for each refusal.

Estimates compete for measured points, each of which is explained once. (Aldoma, Tombari, Di Stefano and Vincze, "A global
hypotheses verification method for 3D object recognition", ECCV 2012; here greedily, the largest explanation first.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pose_node.arrays import Array, Indices
from pose_node.config import JudgeConfig
from pose_node.measurement.scene import Scene
from pose_node.network.match_evidence import match_evidence
from pose_node.pose.ambiguity import resolve_turns
from pose_node.pose.grouping import by_segment_and_object
from pose_node.pose.likelihood import Likelihood, Scores, tolerance
from pose_node.pose.refine import Refiner
from pose_node.pose.shortlist import CONFIRMED_SOURCES, distinct
from pose_node.types import Estimate, Evidence, Refined, Rejected

_PLACE_REL = 0.25  # poses whose centres are nearer than this share of the diameter are at one place
_MAX_DOUBT_NATS = 3.0  # by how much less than the best of them the matches can count against a pose
_MIN_OBSERVED = 0.08  # share of the visible surface that must be neither hole nor occluded
_CLAIM_OVERLAP = 0.3  # two estimates that share more of the smaller one's points than this exclude each other


class Selector:
    """Selects the estimates of all objects that have a refiner and a likelihood."""

    def __init__(
        self, refiners: Mapping[str, Refiner], likelihoods: Mapping[str, Likelihood], config: JudgeConfig
    ) -> None:
        self.refiners, self.likelihoods, self.config = refiners, likelihoods, config

    def select(self, refined: Sequence[Refined], scene: Scene) -> tuple[list[Estimate], list[Rejected]]:
        """One estimate for each place with an object, best first, and why the others were refused.

        Codes of refusals: not_visible, low_explained, low_score, taken.
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
        card, margin = refiner.card, self.config.alternatives_margin
        view = scene.view(segment)
        T = np.stack([r.T_camera_object for r in group])
        scores = likelihood.score(T, view, samples=2048, points=len(view.points_m), exact=True)
        rank = scores.score + self._match_prior(group[0], T)
        best = int(np.argmax(rank))
        agreement = self._agreement(group[best])
        score = float(scores.score[best])
        refusal = self._refusal(scores[best], score, name)
        if refusal is not None:
            return Rejected(*refusal, name, segment, score)
        kept = distinct(T, rank, card, len(T))
        centre = T[:, :3, :3] @ card.centre_m + T[:, :3, 3]
        kept = [
            i
            for i in kept
            if scores.score[i] >= scores.score.max() - margin
            and np.linalg.norm(centre[i] - centre[best]) < _PLACE_REL * card.diameter_m
        ]
        weight = np.exp((rank[kept] - rank[best]) / (0.5 * margin + 1e-12))
        weight /= weight.sum()
        lead = group[best]
        if len(group) > 1 and view.trusted:  # compared with a single outline pass
            lead = refiner.fine(replace(lead.hypothesis, T_camera_object=T[best]), scene)
        T_lead, covariance = resolve_turns(
            lead.T_camera_object,
            lead.covariance,
            card,
            likelihood,
            view,
            margin,
            lambda turned: self._match_prior(lead, turned),
        )
        return Estimate(
            object_name=name,
            T_camera_object=T_lead,
            score=score,
            covariance=covariance,
            evidence=Evidence(
                explained=float(scores.explained[best]),
                violated=float(scores.violated[best]),
                occluded=float(scores.occluded[best]),
                covered=float(scores.covered[best]),
                inlier_fraction=lead.inlier_fraction,
                rms_m=lead.rms_m,
                agreement=agreement,
            ),
            segment=segment,
            alternatives=tuple((T[i], float(w)) for i, w in zip(kept[1:], weight[1:])),
        )

    def _match_prior(self, refined: Refined, T: Array) -> Array:
        """What the matches add to the scores of poses T [B, 4, 4]: they decide what the surface leaves open."""
        matches = refined.hypothesis.matches
        if matches is None:
            return np.zeros(len(T))
        log = np.log(match_evidence(matches, T).support + 1e-6)
        return self.config.belief * np.maximum(log - log.max(), -_MAX_DOUBT_NATS)

    def _agreement(self, refined: Refined) -> float:
        """See ``Evidence.agreement``."""
        matches = refined.hypothesis.matches
        return 1.0 if matches is None else float(match_evidence(matches, refined.T_camera_object[None]).support[0])

    def _refusal(self, scores: Scores, score: float, name: str) -> tuple[str, str] | None:
        """Code and reason why the scores of one pose are not enough for an estimate; None where they are."""
        if scores.observed < _MIN_OBSERVED:
            return "not_visible", f"{name}: only {scores.observed:.0%} of its visible surface could be checked."
        if scores.explained < self.config.min_explained:
            return "low_explained", (
                f"{name}: {scores.explained:.0%} of its visible surface is confirmed, "
                f"expected at least {self.config.min_explained:.0%}."
            )
        if score < self.config.min_score:
            return "low_score", f"{name}: score {score:.2f}, expected at least {self.config.min_score:.2f}."
        return None

    def _claim(self, estimate: Estimate, scene: Scene) -> Indices:
        """Points of the segment that lie on the estimate's surface: ascending rows of the cloud."""
        lookup = self.refiners[estimate.object_name].lookup
        T, index = estimate.T_camera_object, estimate.segment.indices
        index = index[:: max(len(index) // 4000, 1)] if estimate.segment.source == "mask" else index
        points = scene.cloud.points_m[index]
        x = (points - T[:3, 3]) @ T[:3, :3]
        allowed = tolerance(np.linalg.norm(points - scene.cloud.viewpoint_m, axis=1), self.config)
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
