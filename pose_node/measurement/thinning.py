"""A subset of points no two of which are nearer to each other than their spacing: Poisson-disc sampling.

It is a greedy choice in a fixed order: a point stays where none that stayed before lies within its spacing. The order is a
shuffle of the ranks by distance to the centroid, which no rigid motion and no re-ordering changes; a voxel grid would turn
with its axes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pose_node.arrays import Array, Indices

_FIRST = 1024  # points decided in the first round; each round decides as many as all before it


def spaced_subset(points_m: Array, spacing_m: Array) -> Indices:
    """Rows [M] of ``points_m`` [N, 3] that stay, in lexicographic order of the points; spacing_m: [N] > 0."""
    if len(points_m) == 0:
        return np.zeros(0, dtype=np.intp)
    canonical = np.lexsort(points_m.T[::-1])
    points, spacing = points_m[canonical], spacing_m[canonical]
    distance2 = np.sum((points - points.mean(axis=0)) ** 2, axis=1)
    order = np.argsort(distance2, kind="stable")[np.random.default_rng(0).permutation(len(points))]
    stays = np.zeros(len(points), dtype=bool)
    begin, end = 0, _FIRST
    while begin < len(order):
        waiting = order[begin:end]
        if begin:
            tree = cKDTree(points[stays], compact_nodes=False, balanced_tree=False)
            limit = spacing[waiting]
            nearest = tree.query(points[waiting], distance_upper_bound=float(limit.max()))[0]
            waiting = waiting[nearest >= limit]
        stays[waiting[_first_come(points[waiting], spacing[waiting])]] = True
        begin, end = end, 2 * end
    return canonical[stays]


def _first_come(points: Array, spacing: Array) -> NDArray[np.bool_]:
    """Which points [N] stay of these alone, the first before the second."""
    if len(points) == 0:
        return np.zeros(0, dtype=bool)
    first, second = cKDTree(points).query_pairs(float(spacing.max()), output_type="ndarray").T  # first < second
    apart = points[first] - points[second]
    blocks = np.sqrt(np.einsum("ni,ni->n", apart, apart)) < spacing[second]
    first, second = first[blocks], second[blocks]
    stays, goes = np.zeros(len(points), dtype=bool), np.zeros(len(points), dtype=bool)
    while not (stays | goes).all():
        # A point is decided once all that could block it are: the very first of those left always is.
        blocked = np.zeros(len(points), dtype=bool)
        blocked[second] = True
        stays |= ~(blocked | goes)
        goes[second[stays[first]]] = True
        left = ~(goes[first] | goes[second])
        first, second = first[left], second[left]
    return stays
