"""Which motions leave a surface in place, wholly (its symmetry) or mostly (what a view may be confused with).

Rotations on a grid over SO(3) are refined by registering the surface with itself; ``symmetry_search`` finds the symmetry
among them. Mirror images are no motions and never appear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pose_node.arrays import Array
from pose_node.geometry.se3 import angle, apply, transform
from pose_node.geometry.symmetry import Axis, Symmetry, nearest_symmetric, rotation_grid
from pose_node.learning.mesh import Mesh
from pose_node.learning.self_overlap import INVISIBLE_MEAN_M, INVISIBLE_P99_M, Motion, SelfOverlap
from pose_node.learning.symmetry_search import MIN_STEP_RAD, axes_of_revolution, search_symmetry
from pose_node.objects.surface import Surface

MIN_OVERLAP = 0.6  # a confusion leaves this share of the surface in place
MIN_VIEW_OVERLAP = 0.75  # or this share of the visible surface, in the best tenth of the views
MAX_CONFUSIONS = 12
_GRID = 4608
_AT_ONCE = 256  # motions of the grid that are measured together, so that their points fit into the cache
_STARTS = 160
_CONTINUED = 80  # of the starts: those that overlap most after a few steps
_MIN_APART_RAD = np.radians(
    30.0
)  # confusions nearer to each other than this are one: refinement reaches both from either


@dataclass(frozen=True, slots=True, eq=False)
class Similarity:
    """The symmetry and the confusions of a surface.

    motions:        the discrete symmetries with their measured effect, without the identity.
    axis_motions:   for each continuous axis, of the symmetry or of a confusion, its worst rotation.
    """

    symmetry: Symmetry
    motions: tuple[Motion, ...]
    confusions: tuple[Motion, ...]
    confusion_axes: tuple[Axis, ...]
    axis_motions: tuple[Motion, ...] = ()


def find_similarity(mesh: Mesh, surface: Surface, declared: Symmetry | None = None) -> Similarity:
    """Search the symmetry (or take the declared one) and the confusions of a surface; deterministic."""
    overlap = SelfOverlap(mesh, surface)
    candidates = _refined_grid(overlap)
    axes = axes_of_revolution(overlap, candidates, MIN_OVERLAP - 0.1)
    if declared is None:
        symmetry, motions = search_symmetry(overlap, candidates, axes)
    else:
        symmetry, motions = declared, tuple(overlap.measure(T) for T in declared.discrete[1:])
    confusion_axes = () if symmetry.axes else tuple(a for a, worst in axes if worst.overlap >= MIN_OVERLAP)[:1]
    confusions = _confusions(candidates, symmetry, confusion_axes)
    reported = [worst for a, worst in axes if any(a is b for b in (*symmetry.axes, *confusion_axes))]
    return Similarity(symmetry, motions, confusions, confusion_axes, tuple(reported))


def _refined_grid(overlap: SelfOverlap) -> list[Motion]:
    """Local maxima of the overlap of the surface with itself over all rotations, best first, without the identity."""
    grid = rotation_grid(_GRID)
    scores, starts = [], []
    box_centre = 0.5 * (overlap.points.min(axis=0) + overlap.points.max(axis=0))
    field = _DistanceField(overlap)
    for centre in (overlap.centre, box_centre):
        T = transform(grid, centre - grid @ centre)
        scores.append(field.mean_distance(T))
        starts.append(T)
    T, score = np.concatenate(starts), np.concatenate(scores)
    T = T[np.argsort(score, kind="stable")]
    T = T[angle(T[:, :3, :3]) > MIN_STEP_RAD]
    scales = np.linspace(0.12, 0.04, 12)
    coarse = [overlap.refine(M, scales[:5], 400, fine=False) for M in _apart(T, MIN_STEP_RAD, _STARTS)]
    coarse = sorted(coarse, key=lambda M: -overlap.overlap(M, 400))[:_CONTINUED]
    coarse = [overlap.refine(M, scales[5:], 400, fine=False) for M in coarse]
    coarse = sorted(coarse, key=lambda M: -overlap.overlap(M, 400))
    kept = [M for M in _apart(np.stack(coarse), MIN_STEP_RAD / 2, 48) if overlap.overlap(M, 400) > MIN_OVERLAP - 0.2]
    fine = [overlap.refine(M, (0.04, 0.03, 0.025, 0.02, 0.02, 0.02), 1500, fine=True) for M in kept]
    fine = sorted(fine, key=lambda M: -overlap.overlap(M))
    if not fine:
        return []
    return [overlap.measure(M) for M in _apart(np.stack(fine), MIN_STEP_RAD / 2, 48) if angle(M[:3, :3]) > MIN_STEP_RAD]


class _DistanceField:
    """Distances from the surface on a grid: coarse, but fast enough for thousands of motions."""

    def __init__(self, overlap: SelfOverlap, cells: int = 48) -> None:
        pad = 0.1 * overlap.diameter_m
        low, high = overlap.points.min(axis=0) - pad, overlap.points.max(axis=0) + pad
        self._low, self._step, self._cells = low, (high - low) / (cells - 1), cells
        lines = [np.linspace(low[i], high[i], cells) for i in range(3)]
        self._values = np.minimum(overlap.distance(np.stack(np.meshgrid(*lines, indexing="ij"), -1)), pad).ravel()
        self._points, self._far = overlap.points[:500], pad

    def mean_distance(self, T: Array) -> Array:
        """Mean distance [N] of the samples moved by motions T [N, 4, 4] from the surface, each at most a tenth of the diameter."""
        return np.concatenate([self._means(part) for part in np.array_split(T, max(len(T) // _AT_ONCE, 1))])

    def _means(self, T: Array) -> Array:
        cell = np.rint((apply(T, self._points) - self._low) / self._step).astype(np.intp)
        inside = ((cell >= 0) & (cell < self._cells)).all(axis=-1)
        i, j, k = np.moveaxis(np.clip(cell, 0, self._cells - 1), -1, 0)
        distance = self._values[(i * self._cells + j) * self._cells + k]
        return np.where(inside, distance, self._far).mean(axis=1)


def _apart(T: Array, min_apart_rad: float, limit: int) -> list[Array]:
    """Up to ``limit`` of T [N, 4, 4]: the first, and each next one whose rotation is far enough from all taken before."""
    kept: list[Array] = []
    rotations = np.empty((0, 3, 3))
    for M in T:
        if len(kept) == limit:
            break
        # trace = 1 + 2 cos(angle)
        if not len(kept) or np.einsum("nij,ij->n", rotations, M[:3, :3]).max() < 1 + 2 * np.cos(min_apart_rad):
            kept.append(M)
            rotations = np.concatenate([rotations, M[None, :3, :3]])
    return kept


def _confusions(candidates: Sequence[Motion], symmetry: Symmetry, axes: Sequence[Axis]) -> tuple[Motion, ...]:
    """Motions that leave most of the surface in place, or that depth cannot see; one of each class up to symmetry."""
    if len(symmetry.axes) > 1:
        return ()
    equal = Symmetry(symmetry.discrete, (*symmetry.axes, *axes)[:1])
    kept: list[Motion] = []

    def known(T: Array) -> bool:
        nearest = [nearest_symmetric(T, M, equal) for M in (np.eye(4), *(k.T for k in kept))]
        apart = [angle(T[:3, :3].T @ M[:3, :3]) for M in nearest]
        return min(apart) < _MIN_APART_RAD

    for c in sorted(candidates, key=lambda c: -c.overlap):
        invisible = c.mean_m <= INVISIBLE_MEAN_M and c.p99_m <= INVISIBLE_P99_M
        similar = c.overlap >= MIN_OVERLAP or c.view_overlap >= MIN_VIEW_OVERLAP
        if (similar or invisible) and not known(c.T) and len(kept) < MAX_CONFUSIONS:
            kept.append(c)
    return tuple(kept)
