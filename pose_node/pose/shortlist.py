"""From many hypotheses to the few worth full refinement: coarse fits, scores, duplicates merged, look-alikes added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pose_node.arrays import Array
from pose_node.config import JudgeConfig
from pose_node.geometry.se3 import exp_so3, log_so3, transform
from pose_node.geometry.symmetry import largest_trace, turn
from pose_node.measurement.scene import Scene
from pose_node.measurement.view import View
from pose_node.objects.card import ObjectCard
from pose_node.pose.blind_search import blind_poses
from pose_node.pose.grouping import by_segment_and_object
from pose_node.pose.likelihood import Likelihood
from pose_node.pose.refine import Refiner
from pose_node.types import Hypothesis, Rejected, Segment

_SAME_RAD = np.deg2rad(8.0)  # poses nearer than this, and than the next in diameters, are one
_SAME_REL = 0.05
_SAME_START = 0.5  # share of these within which hypotheses are one before they are refined
_LATTICE = 1.5e-2  # radians and diameters: far above the network's rounding, well below what refinement corrects
_EXPANDED = 4  # best hypotheses whose look-alikes are tried
_TURNS = 12  # tried about an axis of confusion
_HOPELESS = 0.25  # a coarse score this far below the threshold will not reach it, in a segment that is not confirmed
_BEHIND = 0.1  # a coarse score this far below the margin of alternatives will not win
_POLISHED_BEHIND = 0.02  # nor a polished one this far below the margin of alternatives
CONFIRMED_SOURCES = ("mask", "box")  # segments that the caller states contain the object


class Shortlister:
    """Shortlists the hypotheses of all objects that have a refiner and a likelihood."""

    def __init__(
        self, refiners: Mapping[str, Refiner], likelihoods: Mapping[str, Likelihood], config: JudgeConfig
    ) -> None:
        self.refiners, self.likelihoods, self.config = refiners, likelihoods, config

    def shortlist(self, hypotheses: Sequence[Hypothesis], scene: Scene) -> tuple[list[Hypothesis], list[Rejected]]:
        """The hypotheses worth full refinement, and why those of other segments cannot pass.

        At most ``config.shortlist`` for each segment and object, best first; ``confidence`` becomes the coarse score. Where
        all of them explain a mask or box badly, orientations spread over the whole of SO(3) are tried as well.
        """
        kept: list[Hypothesis] = []
        rejected: list[Rejected] = []
        for group in by_segment_and_object(hypotheses, key=lambda h: h):
            for h in self._best(group, scene.view(group[0].segment)):
                if self._hopeless(h.segment, h.confidence):
                    reason = (
                        f"{h.object_name}: score {h.confidence:.2f}, expected at least {self.config.min_score:.2f}."
                    )
                    rejected.append(Rejected("low_score", reason, h.object_name, h.segment, h.confidence))
                else:
                    kept.append(h)
        return kept, rejected

    def _hopeless(self, segment: Segment, score: float) -> bool:
        """Whether full refinement cannot lift a coarse score over the threshold."""
        return segment.source not in CONFIRMED_SOURCES and score < self.config.min_score - _HOPELESS

    def _best(self, group: Sequence[Hypothesis], view: View) -> list[Hypothesis]:
        """The shortlist of one segment and object; of a hopeless one, the best alone."""
        name = group[0].object_name
        refiner, likelihood = self.refiners[name], self.likelihoods[name]
        card = refiner.card
        T = _on_lattice(np.stack([h.T_camera_object for h in group]), view, card.diameter_m)
        # Hypotheses that start side by side converge to the same pose: the first is enough.
        kept = distinct(T, -np.arange(len(T), dtype=float), card, len(T), _SAME_START)
        T, origin = refiner.coarse(T[kept], view), [group[i] for i in kept]
        score = likelihood.score(T, view).score
        confirmed = origin[0].segment.source in CONFIRMED_SOURCES
        if self.config.blind_rotations and score.max() < self.config.blind_below and confirmed:
            blind = refiner.coarse(blind_poses(card, view, self.config.blind_rotations), view)
            T = np.concatenate([T, blind])
            score = np.concatenate([score, likelihood.score(blind, view).score])
            origin += [replace(origin[0], source="blind")] * len(blind)
        kept = distinct(T, score, card, _EXPANDED * 4)
        T, score, origin = T[kept], score[kept], [origin[i] for i in kept]
        if self._hopeless(origin[0].segment, float(score[0])):
            return [replace(origin[0], T_camera_object=T[0], confidence=float(score[0]))]

        alike = _look_alikes(card)
        if len(alike):
            best = min(_EXPANDED, len(T))
            turned = (T[:best, None] @ alike[None]).reshape(-1, 4, 4)
            turned = refiner.coarse(turned, view, iterations=4, first_rel=0.05)
            T = np.concatenate([T, turned])
            score = np.concatenate([score, likelihood.score(turned, view).score])
            origin += [replace(h, source="confusion") for h in origin[:best] for _ in range(len(alike))]
        kept = distinct(T, score, card, self.config.shortlist)
        kept = [i for i in kept if score[i] >= score[kept[0]] - _BEHIND - self.config.alternatives_margin]
        T, origin = refiner.polish(T[kept], view), [origin[i] for i in kept]
        score = likelihood.score(T, view, samples=1024, points=512, exact=True).score
        kept = distinct(T, score, card, self.config.shortlist)
        least = score[kept[0]] - self.config.alternatives_margin - _POLISHED_BEHIND
        return [replace(origin[i], T_camera_object=T[i], confidence=float(score[i])) for i in kept if score[i] >= least]


def distinct(T: Array, score: Array, card: ObjectCard, count: int, share: float = 1.0) -> list[int]:
    """At most ``count`` rows of poses T [B, 4, 4], best ``score`` [B] first, none of them equal up to symmetry.

    share: of the distance within which two poses are equal (8 degrees and 5 % of the diameter).
    """
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
        left[first] = False  # a pose may differ from itself by rounding
    return kept


def _look_alikes(card: ObjectCard) -> Array:
    """Motions [E, 4, 4] in the object frame after which the object looks much the same."""
    turns = [turn(axis, np.arange(1, _TURNS) * (2.0 * np.pi / _TURNS)) for axis in card.confusion_axes]
    return np.concatenate([np.asarray(card.confusions, float).reshape(-1, 4, 4), *turns])


def _on_lattice(T: Array, view: View, diameter_m: float) -> Array:
    """T [B, 4, 4] rounded to a fine lattice of the view's own frame.

    A network's rounding differs with the camera's pose, and the table's steps amplify the difference. On the lattice, the
    same hypothesis starts from the same place.
    """
    twist = log_so3(view.basis @ T[:, :3, :3])
    place = (T[:, :3, 3] - view.viewpoint_m) @ view.basis.T / diameter_m
    twist, place = np.round(twist / _LATTICE) * _LATTICE, np.round(place / _LATTICE) * _LATTICE
    return transform(view.basis.T @ exp_so3(twist), place @ view.basis * diameter_m + view.viewpoint_m)
