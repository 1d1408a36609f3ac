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
from pose_node.pose.likelihood import Likelihood, probability
from pose_node.pose.refine import Refiner
from pose_node.types import Hypothesis, Rejected, Segment

_SAME_RAD = np.deg2rad(8.0)  # poses nearer than this, and than the next in diameters, are one
_SAME_REL = 0.05
_SAME_START = 0.5  # share of these within which hypotheses are one before they are refined
_LATTICE = 1.5e-2  # radians and diameters: far above the network's rounding, well below what refinement corrects
_EXPANDED = 4  # best hypotheses whose look-alikes are tried
_TURNS = 12  # tried about an axis of confusion
_HOPELESS = (
    0.02  # the refinement of a coarse pose is right with this probability: not worth its time in a segment of our own
)
_BEHIND = 0.01  # nor that of a pose which is this many times as likely as the best
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
                    reason = f"{h.object_name}: score {h.confidence:.2f} before refinement, expected at least {_HOPELESS:.2f}."
                    rejected.append(Rejected("low_score", reason, h.object_name, h.segment, h.confidence))
                else:
                    kept.append(h)
        return kept, rejected

    def _hopeless(self, segment: Segment, score: float) -> bool:
        """Whether full refinement is not worth its time."""
        return segment.source not in CONFIRMED_SOURCES and score < min(_HOPELESS, self.config.min_score)

    def _best(self, group: Sequence[Hypothesis], view: View) -> list[Hypothesis]:
        """The shortlist of one segment and object; of a hopeless one, the best alone."""
        name = group[0].object_name
        refiner, likelihood = self.refiners[name], self.likelihoods[name]
        card = refiner.card
        T = _on_lattice(np.stack([h.T_camera_object for h in group]), view, card.diameter_m)
        # Hypotheses that start side by side converge to the same pose: the first is enough.
        kept = distinct(T, -np.arange(len(T), dtype=float), card, len(T), _SAME_START)
        T, origin = refiner.coarse(T[kept], view), [group[i] for i in kept]
        matches = origin[0].matches

        def ranked(T: Array, samples: int = 512, points: int = 256) -> Array:
            """[2, B] rank and log-odds of poses T [B, 4, 4]."""
            scores = likelihood.score(T, view, samples, points, matches=matches)
            return np.stack([scores.rank, scores.log_odds])

        found = ranked(T)
        confirmed = origin[0].segment.source in CONFIRMED_SOURCES
        if self.config.blind_rotations and found[1].max() < 0.0 and confirmed:
            blind = refiner.coarse(blind_poses(card, view, self.config.blind_rotations), view)
            T, found = np.concatenate([T, blind]), np.concatenate([found, ranked(blind)], axis=1)
            origin += [replace(origin[0], source="blind")] * len(blind)
        kept = distinct(T, found[0], card, _EXPANDED * 4)
        T, found, origin = T[kept], found[:, kept], [origin[i] for i in kept]
        chance = float(probability(found[1].max()))
        if self._hopeless(origin[0].segment, chance):
            return [replace(origin[0], T_camera_object=T[0], confidence=chance)]

        alike = _look_alikes(card)
        if len(alike):
            best = min(_EXPANDED, len(T))
            turned = (T[:best, None] @ alike[None]).reshape(-1, 4, 4)
            turned = refiner.coarse(turned, view, iterations=4, first_rel=0.05)
            T, found = np.concatenate([T, turned]), np.concatenate([found, ranked(turned)], axis=1)
            origin += [replace(h, source="confusion") for h in origin[:best] for _ in range(len(alike))]
        kept = self._in_the_running(T, found[0], card)
        T, origin = refiner.polish(T[kept], view), [origin[i] for i in kept]
        found = ranked(T, 1024, 512)
        kept = self._in_the_running(T, found[0], card)
        chances = probability(found[1])
        return [replace(origin[i], T_camera_object=T[i], confidence=float(chances[i])) for i in kept]

    def _in_the_running(self, T: Array, rank: Array, card: ObjectCard) -> list[int]:
        """Rows of poses T [B, 4, 4] that may still win, best ``rank`` [B] first: different ones, not too far behind the best."""
        kept = distinct(T, rank, card, self.config.shortlist)
        return [i for i in kept if rank[i] >= rank[kept[0]] + np.log(_BEHIND)]


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
