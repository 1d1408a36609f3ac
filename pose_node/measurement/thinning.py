"""Thins points to a spacing: Poisson-disc sampling by elimination in a fixed order.

A point is kept where no kept one before it lies within its spacing. The order is a shuffle of the ranks by distance to the
centroid, which neither a rigid motion nor another order of the points changes; a voxel grid would depend on its axes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pose_node.arrays import Array, Indices

_FIRST_ROUND = 1024  # points decided in the first round; each later round decides as many as all before it


def spaced_subset(points_m: Array, spacing_m: Array) -> Indices:
    """Rows [M] of ``points_m`` [N, 3] that are kept, in lexicographic order of the points; spacing_m: [N] > 0."""
    if len(points_m) == 0:
        return np.zeros(0, dtype=np.intp)
    canonical = np.lexsort(points_m.T[::-1])
    points, spacing = points_m[canonical], spacing_m[canonical]
    distance2 = np.sum((points - points.mean(axis=0)) ** 2, axis=1)
    order = np.argsort(distance2, kind="stable")[np.random.default_rng(0).permutation(len(points))]
    kept = np.zeros(len(points), dtype=bool)
    begin, end = 0, _FIRST_ROUND
    while begin < len(order):
        undecided = order[begin:end]
        if begin:
            tree = cKDTree(points[kept], compact_nodes=False, balanced_tree=False)
            limit = spacing[undecided]
            nearest = tree.query(points[undecided], distance_upper_bound=float(limit.max()))[0]
            undecided = undecided[nearest >= limit]
        kept[undecided[_first_come(points[undecided], spacing[undecided])]] = True
        begin, end = end, 2 * end
    return canonical[kept]


def _first_come(points: Array, spacing: Array) -> NDArray[np.bool_]:
    """Which of these points [N] are kept when they are decided in their order."""
    if len(points) == 0:
        return np.zeros(0, dtype=bool)
    first, second = cKDTree(points).query_pairs(float(spacing.max()), output_type="ndarray").T  # first < second
    apart = points[first] - points[second]
    blocks = np.sqrt(np.einsum("ni,ni->n", apart, apart)) < spacing[second]
    first, second = first[blocks], second[blocks]
    kept, dropped = np.zeros(len(points), dtype=bool), np.zeros(len(points), dtype=bool)
    while not (kept | dropped).all():
        # A point is decided once all that could block it are; the first undecided one always is.
        blocked = np.zeros(len(points), dtype=bool)
        blocked[second] = True
        kept |= ~(blocked | dropped)
        dropped[second[kept[first]]] = True
        left = ~(dropped[first] | dropped[second])
        first, second = first[left], second[left]
    return kept
