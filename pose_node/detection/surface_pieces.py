"""Surface pieces of a cloud, divided at concave creases and gaps: an object is one piece, or a few adjacent ones.

Where one thing touches another, the surface between them is a crease that is concave to the viewer, or a jump in range; an
object's own edges are convex (Stein et al., "Object partitioning using local convexity", CVPR 2014). So pieces hardly ever contain more
than one thing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from pose_node.arrays import Array, Indices
from pose_node.detection.neighbourhood import MIN_POINTS, Neighbourhood

_CREASE = 0.2  # concavity of a point on a crease
_GROWTH_ROUNDS = 4  # in which crease points join their neighbours' pieces
_MIN_BORDER = 0.55  # mean concavity of the border between two pieces of different things
_BORDER_PRIOR = 20  # links with a concavity of one that are added to every border: a short border is weak evidence


def pieces(around: Neighbourhood, support: NDArray[np.bool_], gap_m: Array) -> tuple[list[Indices], NDArray[np.bool_]]:
    """Rows of each piece that is not ``support`` [N], and which points [N] of the pieces are next to the support.

    There the camera's smoothing turns the step into a ramp, whose points may belong to either. ``gap_m``: [N] distance beyond
    which points are not connected.
    """
    label = components(around, ~support & (around.concavity < _CREASE), gap_m)
    size = np.bincount(label[label >= 0], minlength=1)
    label = np.where((label >= 0) & (size[label] >= MIN_POINTS), label, -1)
    # Of a crease where a thing stands on the support, half the points join the thing and half the support.
    support_label = int(label.max()) + 1
    label = _grown(around, np.where(support, support_label, label), ~support, gap_m)
    at_support = _adjacent(around, label, support_label, gap_m)
    at_support |= _adjacent(around, np.where(at_support, support_label, label), support_label, gap_m)
    label = _merged(around, np.where(label == support_label, -1, label), gap_m)
    order = np.argsort(label, kind="stable")
    found = np.split(order, np.cumsum(np.bincount(label + 1))[:-1])[1:]
    return [rows for rows in found if len(rows) >= MIN_POINTS], at_support


def components(around: Neighbourhood, member: NDArray[np.bool_], gap_m: Array) -> Indices:
    """Label [N] of the connected piece of each ``member`` [N], -1 for the others; gaps of ``gap_m`` [N] divide pieces."""
    count = len(member)
    rows, columns = [], []
    for other in around.linked.T:
        row = np.flatnonzero(member & (other >= 0) & member[other])
        apart = around.points_m[row] - around.points_m[other[row]]
        linked = np.einsum("ni,ni->n", apart, apart) < np.square(gap_m[row])
        rows.append(row[linked])
        columns.append(other[row[linked]])
    i, j = np.concatenate(rows), np.concatenate(columns)
    graph = coo_matrix((np.ones(len(i), dtype=np.int8), (i, j)), shape=(count, count))
    label = connected_components(graph, directed=False)[1].astype(np.intp)
    return np.where(member, label, -1)


def _grown(around: Neighbourhood, label: Indices, free: NDArray[np.bool_], gap_m: Array) -> Indices:
    """Labels [N] with the ``free`` points [N] added to the pieces of their nearest labelled neighbours."""
    label = label.copy()
    for _ in range(_GROWTH_ROUNDS):
        unlabelled = np.flatnonzero(free & (label < 0))
        if len(unlabelled) == 0:
            break
        best = gap_m[unlabelled] ** 2
        joined_label = np.full(len(unlabelled), -1, dtype=np.intp)
        for other in around.linked[unlabelled].T:
            apart = around.points_m[unlabelled] - around.points_m[other]
            # Equal distances are common on a grid of pixels and millimetres: then the less concave neighbour counts as nearer.
            d2 = np.einsum("ni,ni->n", apart, apart) * (1.0 + around.concavity[other])
            d2 = np.where((other >= 0) & (label[other] >= 0), d2, np.inf)
            nearer = d2 < best
            best, joined_label = np.where(nearer, d2, best), np.where(nearer, label[other], joined_label)
        label[unlabelled] = joined_label
    return label


def _adjacent(around: Neighbourhood, label: Indices, other_label: int, gap_m: Array) -> NDArray[np.bool_]:
    """Which points [N] are linked to one of ``other_label``."""
    adjacent = np.zeros(len(label), dtype=bool)
    for other in around.linked.T:
        apart = around.points_m - around.points_m[other]
        near = np.einsum("ni,ni->n", apart, apart) < np.square(gap_m)
        adjacent |= (other >= 0) & near & (label[other] == other_label)
    return adjacent & (label != other_label)


def _merged(around: Neighbourhood, label: Indices, gap_m: Array) -> Indices:
    """Labels [N] with pieces joined whose common border is, on average, no more concave than noise or the inside of a bowl."""
    first, second, concavity = [], [], []
    for other in around.linked.T:
        row = np.flatnonzero((label >= 0) & (other >= 0) & (label[other] >= 0) & (label != label[other]))
        apart = around.points_m[row] - around.points_m[other[row]]
        row = row[np.einsum("ni,ni->n", apart, apart) < np.square(gap_m[row])]
        first.append(label[row])
        second.append(label[other[row]])
        concavity.append(0.5 * (around.concavity[row] + around.concavity[other[row]]))
    i, j, h = np.concatenate(first), np.concatenate(second), np.concatenate(concavity)
    if len(i) == 0:
        return label
    count = int(label.max()) + 1
    pair, inverse, links = np.unique(
        np.minimum(i, j) * count + np.maximum(i, j), return_inverse=True, return_counts=True
    )
    joined = pair[np.bincount(inverse.ravel(), h) + _BORDER_PRIOR < _MIN_BORDER * (links + _BORDER_PRIOR)]
    graph = coo_matrix((np.ones(len(joined), dtype=np.int8), (joined // count, joined % count)), shape=(count, count))
    return np.where(label >= 0, connected_components(graph, directed=False)[1][label], -1)
