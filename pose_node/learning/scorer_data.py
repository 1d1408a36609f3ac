"""Cases of the scorer as arrays: the invariants of all their poses, and which of them are right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose_node.arrays import Array
from pose_node.learning.scorer_cases import Case, Pool, refiner_of
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.scene import Scene
from pose_node.measurement.sensor import PRESETS
from pose_node.measurement.view import View
from pose_node.pose.invariants import Extractor, Invariants
from pose_node.types import Segment

SAMPLES, POINTS = 512, 256  # as the coarse stage takes
_DISPLACED = 2  # poses added to those of a group
_WIDTH = 320  # of the samples, at most so many face the viewpoint


@dataclass(frozen=True, eq=False)
class PoseData:
    """Poses as the scorer sees them: rows of ``Invariants``, padded.

    right, refined, same: [N] bool; group: [N] which poses compete; case: [N].
    """

    samples: NDArray[np.float32]
    weight: NDArray[np.float32]
    points: NDArray[np.float32]
    context: NDArray[np.float32]
    right: NDArray[np.bool_]
    refined: NDArray[np.bool_]
    same: NDArray[np.bool_]
    group: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.right)


def pose_data(cases: Iterable[Case], pool: Pool) -> PoseData:
    """The invariants of all poses of ``cases``; a pose after refinement with the flag that it is refined."""
    parts: list[tuple[Array, ...]] = []
    groups = 0
    for case in cases:
        cloud = Cloud.from_depth(case.depth_m, case.K)
        for group in case.groups:
            thing = pool.looked_for(group.thing, group.stretch)
            card, lookup = thing.card, refiner_of(thing).lookup
            indices, source, off_support = case.segments[group.segment]
            view = Scene(cloud, {card.name: card}).view(Segment(indices, source, card.name, off_support=off_support))
            extractor = Extractor(card, lookup, PRESETS[case.noise])
            for stage in (True, False):
                T, right = group.T[group.refined == stage], group.right[group.refined == stage]
                if len(T):
                    T, right = _with_displaced(T, right, card.diameter_m, view, groups)
                    arrays = padded(extractor.extract(T, view, SAMPLES, POINTS, stage))
                    count = len(T)
                    facts = (right, *(np.full(count, value) for value in (stage, group.same, groups)))
                    parts.append((*arrays, *facts))
                    groups += 1
    return PoseData(*(np.concatenate(column) for column in zip(*parts)))


def _with_displaced(T: Array, right: Array, diameter_m: float, view: View, seed: int) -> tuple[Array, Array]:
    """Poses T [K, 4, 4] and whether they are ``right`` [K], and wrong ones beside them: in front, hidden, in holes, out of view.

    Refinement seldom ends there, but expected poses and tracks may be anywhere.
    """
    rng = np.random.default_rng(seed)
    moved = T[rng.integers(len(T), size=_DISPLACED)].copy()
    away = moved[:, :3, 3] - view.viewpoint_m
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
    direction = rng.normal(size=away.shape)
    direction = np.where(np.arange(_DISPLACED)[:, None] % 2 == 0, away, direction)  # along the ray, or anywhere
    direction *= rng.choice([-1.0, 1.0], size=(_DISPLACED, 1), p=(0.3, 0.7)) / np.linalg.norm(
        direction, axis=1, keepdims=True
    )
    moved[:, :3, 3] += direction * diameter_m * rng.uniform(0.5, 3.0, (_DISPLACED, 1))
    return np.concatenate([T, moved]), np.concatenate([right, np.zeros(_DISPLACED, dtype=bool)])


def padded(found: Invariants) -> tuple[Array, Array, Array, Array]:
    """samples, weight, points and context of equal width for any number of visible samples and measured points."""
    count = found.weight.shape[1]
    samples = np.pad(found.samples[:, :_WIDTH], ((0, 0), (0, max(_WIDTH - count, 0)), (0, 0)))
    weight = np.pad(found.weight[:, :_WIDTH], ((0, 0), (0, max(_WIDTH - count, 0))))
    have = found.points.shape[1]
    pick = np.arange(POINTS) * have // POINTS  # fewer points are repeated evenly
    return samples, weight, found.points[:, pick], found.context
