"""Which hypotheses live: coarse scores for many, fine scores for few, one estimate for each place, a reason for each refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from pose_node.arrays import Array, Indices
from pose_node.config import JudgeConfig
from pose_node.geometry.se3 import exp_so3, log_so3, transform
from pose_node.geometry.symmetry import largest_trace, turn
from pose_node.measurement.scene import Scene
from pose_node.measurement.view import View
from pose_node.objects.card import ObjectCard
from pose_node.pose.blind import blind_poses
from pose_node.pose.covariance import widen
from pose_node.pose.likelihood import Scores, Visibility, tolerance
from pose_node.pose.refine import Refiner
from pose_node.types import Estimate, Evidence, Hypothesis, Refined, Rejected, Segment

Item = TypeVar("Item")

_SAME_RAD = np.deg2rad(8.0)  # coarse hypotheses nearer than this, and than the next in diameters, are one
_SAME_REL = 0.05
_BESIDE = 0.5  # share of these within which hypotheses go the same way
_TOLD = ("mask", "box")  # segments that somebody says hold the object
_PLACE_REL = 0.25  # poses whose centres are nearer than this share of the diameter stand at one place
_LATTICE = 1.5e-2  # radians and diameters: far above the network's rounding, well below what refinement mends
_EXPANDED = 4  # best hypotheses whose look-alikes are tried
_TURNS = 12  # turns about an axis of confusion
_PROFILE_STEPS = 48
_SMOOTHING = 3.0  # concentration of the kernel: about 33 degrees wide
_DIP_STEPS = 2  # a dip of the profile no wider than twice this is noise of the score
_MOST_NATS = 3.0  # of disbelief that count
_HOPELESS = 0.25  # below the threshold by this, a coarse score of a segment that nobody vouches for will not pass it
_BEHIND = 0.1  # a coarse score this far below the margin of alternatives will not win
_POLISHED_BEHIND = 0.02  # nor a polished one this far below the margin of alternatives
_MIN_SEEN = 0.08  # share of the visible surface that must be neither hole nor occluded
_CLAIM_OVERLAP = 0.3  # two estimates that share more of the smaller one's points than this exclude each other


class Judge:
    """Judges the hypotheses of all objects. ``refiners`` has one for each card."""

    def __init__(self, cards: Mapping[str, ObjectCard], config: JudgeConfig, refiners: Mapping[str, Refiner]) -> None:
        self.cards, self.config, self.refiners = cards, config, refiners
        self.visibility = {name: Visibility(card, refiners[name].lookup, config) for name, card in cards.items()}

    def shortlist(self, hypotheses: Sequence[Hypothesis], scene: Scene) -> list[Hypothesis]:
        """The hypotheses worth the last refinement: refined roughly, scored, merged, with the best ones' look-alikes added.

        Where a mask or box is explained badly by all of them, orientations spread over the whole of SO(3) join in.

        At most ``config.shortlist`` for each segment and object, best first; ``confidence`` becomes the coarse score.
        """
        out: list[Hypothesis] = []
        for group in by_segment_and_object(hypotheses, key=lambda h: h):
            out.extend(self._shortlist(group, scene.view(group[0].segment)))
        return out

    def sift(self, shortlist: Sequence[Hypothesis]) -> tuple[list[Hypothesis], list[Rejected]]:
        """The hypotheses that may pass, and why the others cannot: the last refinement does not mend what is far off."""
        worth: list[Hypothesis] = []
        rejected: list[Rejected] = []
        for h in shortlist:
            if not self._hopeless(h.segment, h.confidence):
                worth.append(h)
            else:
                reason = f"{h.object_name}: score {h.confidence:.2f}, expected at least {self.config.min_score:.2f}."
                rejected.append(Rejected("low_score", reason, h.object_name, h.segment, h.confidence))
        return worth, rejected

    def _hopeless(self, segment: Segment, score: float) -> bool:
        return segment.source not in _TOLD and score < self.config.min_score - _HOPELESS

    def decide(self, refined: Sequence[Refined], scene: Scene) -> tuple[list[Estimate], list[Rejected]]:
        """One estimate for each place that holds an object, best first, and why the others were refused."""
        found: list[Estimate] = []
        rejected: list[Rejected] = []
        for group in by_segment_and_object(refined, key=lambda r: r.hypothesis):
            result = self._decide(group, scene)
            if isinstance(result, Estimate):
                found.append(result)
            else:
                rejected.append(result)
        if len(found) == 1:  # nobody else to dispute its points
            return found, rejected
        claims = [self._claim(estimate, scene) for estimate in found]
        kept: list[tuple[Estimate, Indices]] = []
        # Who explains more of the measurement chooses first: a small box fits into many a larger one's face.
        for i in sorted(range(len(found)), key=lambda i: -found[i].score * len(claims[i])):
            estimate, claim = found[i], claims[i]
            reason = self._conflict(estimate, claim, kept)
            if reason is None:
                kept.append((estimate, claim))
            else:
                rejected.append(Rejected("taken", reason, estimate.object_name, estimate.segment, estimate.score))
        return sorted((e for e, _ in kept), key=lambda e: -e.score), rejected

    def _shortlist(self, group: Sequence[Hypothesis], view: View) -> list[Hypothesis]:
        name = group[0].object_name
        card, refiner, visibility = self.cards[name], self.refiners[name], self.visibility[name]
        T = _snapped(np.stack([h.T_camera_object for h in group]), view, card.diameter_m)
        # Of hypotheses that start side by side the first says enough.
        kept = self._distinct(T, -np.arange(len(T), dtype=float), card, len(T), _BESIDE)
        T, origin = refiner.coarse_poses(T[kept], view), [group[i] for i in kept]
        score = visibility.score(T, view).score
        if self.config.blind_rotations and score.max() < self.config.blind_below and origin[0].segment.source in _TOLD:
            blind = refiner.coarse_poses(blind_poses(card, view, self.config.blind_rotations), view)
            T = np.concatenate([T, blind])
            score = np.concatenate([score, visibility.score(blind, view).score])
            origin += [replace(origin[0], source="blind")] * len(blind)
        kept = self._distinct(T, score, card, _EXPANDED * 4)
        T, score, origin = T[kept], score[kept], [origin[i] for i in kept]
        if self._hopeless(origin[0].segment, float(score[0])):
            return [replace(origin[0], T_camera_object=T[0], confidence=float(score[0]))]  # enough to say why not

        alike = _look_alikes(card)
        if len(alike):
            best = min(_EXPANDED, len(T))
            turned = (T[:best, None] @ alike[None]).reshape(-1, 4, 4)
            turned = refiner.coarse_poses(turned, view, iterations=4, first_rel=0.05)
            T = np.concatenate([T, turned])
            score = np.concatenate([score, visibility.score(turned, view).score])
            origin += [replace(h, source="confusion") for h in origin[:best] for _ in range(len(alike))]
        kept = self._distinct(T, score, card, self.config.shortlist)
        kept = [i for i in kept if score[i] >= score[kept[0]] - _BEHIND - self.config.alternatives_margin]
        T, origin = refiner.polish(T[kept], view), [origin[i] for i in kept]
        score = visibility.score(T, view, samples=1024, points=512, exact=True).score
        kept = self._distinct(T, score, card, self.config.shortlist)
        least = score[kept[0]] - self.config.alternatives_margin - _POLISHED_BEHIND
        return [replace(origin[i], T_camera_object=T[i], confidence=float(score[i])) for i in kept if score[i] >= least]

    def _distinct(self, T: Array, score: Array, card: ObjectCard, count: int, share: float = 1.0) -> list[int]:
        """Rows of T [B, 4, 4], best first, no two equal up to symmetry and ``share`` of what is called equal."""
        order = np.argsort(-score, kind="stable")
        R, centre = T[order, :3, :3], T[order, :3, :3] @ card.centre_m + T[order, :3, 3]
        near = np.linalg.norm(centre[:, None] - centre, axis=-1) < share * _SAME_REL * card.diameter_m
        same = near & (largest_trace(R, R, card.symmetry) > 1.0 + 2.0 * np.cos(share * _SAME_RAD))
        left = np.ones(len(order), dtype=bool)
        kept: list[int] = []
        while len(kept) < count and left.any():
            first = int(left.argmax())
            kept.append(int(order[first]))
            left &= ~same[first]
            left[first] = False  # whatever rounding makes of a pose against itself
        return kept

    def _decide(self, group: Sequence[Refined], scene: Scene) -> Estimate | Rejected:
        name = group[0].hypothesis.object_name
        card, segment = self.cards[name], group[0].hypothesis.segment
        view = scene.view(segment)
        T = np.stack([r.T_camera_object for r in group])
        scores = self.visibility[name].score(T, view, samples=2048, points=len(view.points_m), exact=True)
        rank = scores.score + self._belief(group, T)
        best = int(np.argmax(rank))
        agreement = self._agreement(group[best])
        score = float(scores.score[best]) * agreement
        refusal = self._refusal(scores[best], score, name)
        if refusal is not None:
            return Rejected(*refusal, name, segment, score)
        kept = self._distinct(T, rank, card, len(T))
        centre = T[:, :3, :3] @ card.centre_m + T[:, :3, 3]
        kept = [
            i
            for i in kept
            if scores.score[i] >= scores.score.max() - self.config.alternatives_margin
            and np.linalg.norm(centre[i] - centre[best]) < _PLACE_REL * card.diameter_m
        ]
        weight = np.exp((rank[kept] - rank[best]) / (0.5 * self.config.alternatives_margin + 1e-12))
        weight /= weight.sum()
        lead = group[best]
        if len(group) > 1 and view.trusted:
            lead = self.refiners[name].fine(replace(lead.hypothesis, T_camera_object=T[best]), scene)
        T_lead, covariance = self._settled(lead, view)
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

    def _belief(self, group: Sequence[Refined], T: Array) -> Array:
        """What the network's density over SO(3) adds to the scores of T [B, 4, 4]: it settles what the surface leaves open.

        Bounded, for a network is surer than it should be: where the surface speaks clearly, the surface decides.
        """
        belief = group[0].hypothesis.belief
        if belief is None:
            return np.zeros(len(T))
        log = belief.rotation.log(T[:, :3, :3])
        return self.config.belief * np.maximum(log - log.max(), -_MOST_NATS)

    def _agreement(self, refined: Refined) -> float:
        """How well the network's own idea of the object's centre supports a pose, 0 to 1.

        A network that is shown something else, be it the object's mirror image, places a centre where no fit of the surface
        would. Symmetry and hidden parts that leave the rotation open leave the centre where it is. Which of several poses
        is right the surface tells better: this one asks whether it is the object at all.
        """
        belief, card = refined.hypothesis.belief, self.cards[refined.hypothesis.object_name]
        if belief is None:
            return 1.0
        T = refined.T_camera_object
        off = (T[:3, :3] @ card.centre_m + T[:3, 3] - belief.centre_m) / card.diameter_m
        return float(np.exp(-0.5 * (off @ off) / self.config.centre_rel**2))

    def _refusal(self, scores: Scores, score: float, name: str) -> tuple[str, str] | None:
        if scores.seen < _MIN_SEEN:
            return "not_visible", f"{name}: only {scores.seen:.0%} of its visible surface could be checked."
        if scores.explained < self.config.min_explained:
            return "low_explained", (
                f"{name}: {scores.explained:.0%} of its visible surface is confirmed, "
                f"expected at least {self.config.min_explained:.0%}."
            )
        if score < self.config.min_score:
            return "low_score", f"{name}: score {score:.2f}, expected at least {self.config.min_score:.2f}."
        return None

    def _settled(self, refined: Refined, view: View) -> tuple[Array, Array]:
        """The pose in the middle of what the view leaves open about each axis of confusion, and its covariance.

        Among turns that explain the view alike, the best score is luck: the densest place of them all errs least.
        """
        name = refined.hypothesis.object_name
        T, covariance = refined.T_camera_object, refined.covariance
        margin = self.config.alternatives_margin
        angles = np.linspace(-np.pi, np.pi, _PROFILE_STEPS, endpoint=False)
        step = 2.0 * np.pi / _PROFILE_STEPS
        zero = _PROFILE_STEPS // 2
        for axis in self.cards[name].confusion_axes:
            turned = T @ turn(axis, angles)
            profile = self.visibility[name].score(turned, view, samples=1024, points=512).score
            free = _connected(_bridged(profile >= profile[zero] - margin, _DIP_STEPS), zero)
            if free.sum() <= 1:
                continue
            rank = profile + self._belief([refined], turned)
            # Falls smoothly to nothing at the margin, so that no turn enters or leaves with a jump.
            weight = np.square(np.maximum(1.0 - (rank.max() - rank) / max(margin, 1e-9), 0.0))
            middle = _densest_angle(angles, weight)
            off = np.angle(np.exp(1j * (angles[free] - middle)))
            T = T @ turn(axis, np.array(middle))
            covariance = widen(covariance, T, axis, float(np.mean(off**2) + step**2 / 12.0))
        return T, covariance

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
        card = self.cards[estimate.object_name]
        if sum(e.object_name == estimate.object_name for e, _ in kept) >= self.config.max_instances:
            return f"{card.name}: more than {self.config.max_instances} instances were found."
        centre = estimate.T_camera_object[:3, :3] @ card.centre_m + estimate.T_camera_object[:3, 3]
        for other, other_claim in kept:
            T = other.T_camera_object
            if other.object_name == card.name:
                if np.linalg.norm(T[:3, :3] @ card.centre_m + T[:3, 3] - centre) < _PLACE_REL * card.diameter_m:
                    return f"{card.name}: a better estimate stands at the same place."
            elif estimate.segment.source in _TOLD and other.segment.source in _TOLD:
                continue  # the user named both
            shared = np.intersect1d(claim, other_claim, assume_unique=True).size
            if shared > _CLAIM_OVERLAP * max(min(len(claim), len(other_claim)), 1):
                return f"{card.name}: its points belong to {other.object_name}, which explains them better."
        return None


def by_segment_and_object(items: Sequence[Item], key: Callable[[Item], Hypothesis]) -> list[list[Item]]:
    """Groups in the order of their first member."""
    groups: dict[tuple[int, str], list[Item]] = {}
    for item in items:
        hypothesis = key(item)
        groups.setdefault((id(hypothesis.segment), hypothesis.object_name), []).append(item)
    return list(groups.values())


def _look_alikes(card: ObjectCard) -> Array:
    """Motions [E, 4, 4] in the object frame after which the object looks much the same."""
    turns = [turn(axis, np.arange(1, _TURNS) * (2.0 * np.pi / _TURNS)) for axis in card.confusion_axes]
    return np.concatenate([np.asarray(card.confusions, float).reshape(-1, 4, 4), *turns])


def _densest_angle(angles: Array, weight: Array) -> float:
    """Mode of weighted angles [N] on the circle, smoothed by a von Mises kernel: mean shift from the best of them."""
    kernel = np.exp(_SMOOTHING * (np.cos(angles[:, None] - angles) - 1.0))
    middle = float(angles[np.argmax(kernel @ weight)])
    for _ in range(100):
        pull = weight * np.exp(_SMOOTHING * (np.cos(angles - middle) - 1.0))
        middle = float(np.arctan2(pull @ np.sin(angles), pull @ np.cos(angles)))
    return middle


def _snapped(T: Array, view: View, diameter_m: float) -> Array:
    """T [B, 4, 4] on a fine lattice of the view's own frame.

    A network's rounding differs from pose to pose of the camera, and the table's jumps would make something of it. On the
    lattice the same hypothesis starts from the same place.
    """
    twist = log_so3(view.basis @ T[:, :3, :3])
    place = (T[:, :3, 3] - view.viewpoint_m) @ view.basis.T / diameter_m
    twist, place = np.round(twist / _LATTICE) * _LATTICE, np.round(place / _LATTICE) * _LATTICE
    return transform(view.basis.T @ exp_so3(twist), place @ view.basis * diameter_m + view.viewpoint_m)


def _bridged(free: Array, steps: int) -> Array:
    """``free`` around a circle, with gaps between true values closed that are narrower than twice ``steps``."""
    before = np.logical_or.reduce([np.roll(free, k) for k in range(1, steps + 1)])
    after = np.logical_or.reduce([np.roll(free, -k) for k in range(1, steps + 1)])
    return free | (before & after)


def _connected(free: Array, start: int) -> Array:
    """The run of true values around ``start`` on a circle."""
    rolled = np.roll(free, -start)
    ahead = np.logical_and.accumulate(rolled)
    back = np.logical_and.accumulate(np.roll(rolled[::-1], 1))
    return np.roll(ahead | np.roll(back[::-1], 1), start)
