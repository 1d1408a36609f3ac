"""Surface pieces of a cloud that no concave crease and no gap divides: an object is a piece, or a few that lie together.

Where one thing touches another, the surface between them is a crease that is hollow to the viewer, or a jump in range; an
object's own edges are convex. So pieces hardly ever hold more than one thing. The support is the piece of a plane that is
larger than any object; a plane's band elsewhere (the bottom of a bowl, the foot of a box) is not support.

Everything is computed from neighbour tables: an image's from its own grid, a bare cloud's from distances. Distances, normals
and curvatures do not change when points and viewpoint move together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from pose_node.arrays import Array, Indices
from pose_node.geometry.normals import noise_radius

_WINDOW = 2  # pixels to each side that count as neighbours in an image
_NEIGHBOURS = 24  # of a bare cloud's points
_LINKS = 8  # the nearest of them are linked
_TIE = 1e-9  # distances nearer to each other than this share are equal
_HOLLOW = 0.2  # a crease: curvature towards the viewer of more than this over the radius of the normals
_EDGE_ON = 0.03  # cosine to the viewing direction below which no camera sees a surface
_GROWTH = 4  # rounds in which crease points follow their neighbours
_LEAST = 30  # points of a piece
_CREASE = 0.55  # mean hollowness of a border between two pieces that belong to different things
_DOUBT = 20  # links of a full crease that every border is taken to have besides: a short border says little


@dataclass(frozen=True, slots=True, eq=False)
class Neighbourhood:
    """Points of a cloud and what lies around each.

    points_m, normals: [N, 3], normals towards the viewpoint. range2: [N] squared range. linked: [N, L] rows
    of the points next to each, -1 for none. hollow: [N] the most concave curvature times the radius of the normals.
    """

    points_m: Array
    normals: Array
    range2: Array
    linked: NDArray[np.int64]
    hollow: Array


def neighbourhood(points_m: Array, viewpoint_m: Array, pixels: tuple[Indices, Indices] | None) -> Neighbourhood:
    """Of points [N, 3] seen from ``viewpoint_m``; ``pixels``: their rows and columns where they come from an image."""
    near, linked, farthest_m = _in_image(*pixels) if pixels is not None else _in_space(points_m)
    towards = viewpoint_m - points_m
    range2 = np.einsum("ni,ni->n", towards, towards)
    radius = _noise_radii(range2)
    normals = _normals(points_m, towards, near, np.minimum(1.5 * radius, farthest_m))
    hollow = np.maximum(-_least_curvature(points_m, normals, near, np.minimum(2.0 * radius, farthest_m)), 0.0) * radius
    return Neighbourhood(points_m, normals, range2, linked, hollow)


def pieces(around: Neighbourhood, support: NDArray[np.bool_], gap_m: Array) -> tuple[list[Indices], NDArray[np.bool_]]:
    """Rows of each piece that is not ``support`` [N], and which points [N] are the foot of a piece: next to the support,
    where smoothing has made a ramp of the step, nobody can tell whose a point is. Gaps of ``gap_m`` [N] part."""
    label = components(around, ~support & (around.hollow < _HOLLOW), gap_m)
    size = np.bincount(label[label >= 0], minlength=1)
    label = np.where((label >= 0) & (size[label] >= _LEAST), label, -1)
    # A crease at the foot of a thing goes half to it and half to what it stands on.
    table = int(label.max()) + 1
    label = _grown(around, np.where(support, table, label), ~support, gap_m)
    foot = _beside(around, label, table, gap_m)
    foot |= _beside(around, np.where(foot, table, label), table, gap_m)
    label = _merged(around, np.where(label == table, -1, label), gap_m)
    order = np.argsort(label, kind="stable")
    found = np.split(order, np.cumsum(np.bincount(label + 1))[:-1])[1:]
    return [rows for rows in found if len(rows) >= _LEAST], foot


def components(around: Neighbourhood, member: NDArray[np.bool_], gap_m: Array) -> Indices:
    """Label [N] of the connected piece of each ``member`` [N], -1 for the others; gaps of ``gap_m`` [N] part."""
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
    """Labels with the free points [N] added to the pieces of their nearest labelled neighbours."""
    label = label.copy()
    for _ in range(_GROWTH):
        waiting = np.flatnonzero(free & (label < 0))
        if len(waiting) == 0:
            break
        best = gap_m[waiting] ** 2
        taken = np.full(len(waiting), -1, dtype=np.intp)
        for other in around.linked[waiting].T:
            apart = around.points_m[waiting] - around.points_m[other]
            # Equal distances are common on a grid of pixels and millimetres: the less hollow neighbour is nearer then.
            d2 = np.einsum("ni,ni->n", apart, apart) * (1.0 + around.hollow[other])
            d2 = np.where((other >= 0) & (label[other] >= 0), d2, np.inf)
            nearer = d2 < best
            best, taken = np.where(nearer, d2, best), np.where(nearer, label[other], taken)
        label[waiting] = taken
    return label


def _beside(around: Neighbourhood, label: Indices, other_label: int, gap_m: Array) -> NDArray[np.bool_]:
    """Which points [N] are linked to one of ``other_label``."""
    beside = np.zeros(len(label), dtype=bool)
    for other in around.linked.T:
        apart = around.points_m - around.points_m[other]
        near = np.einsum("ni,ni->n", apart, apart) < np.square(gap_m)
        beside |= (other >= 0) & near & (label[other] == other_label)
    return beside & (label != other_label)


def _merged(around: Neighbourhood, label: Indices, gap_m: Array) -> Indices:
    """Labels with those pieces joined whose common border is, all along it, no more hollow than noise or a bowl."""
    first, second, hollow = [], [], []
    for other in around.linked.T:
        row = np.flatnonzero((label >= 0) & (other >= 0) & (label[other] >= 0) & (label != label[other]))
        apart = around.points_m[row] - around.points_m[other[row]]
        row = row[np.einsum("ni,ni->n", apart, apart) < np.square(gap_m[row])]
        first.append(label[row])
        second.append(label[other[row]])
        hollow.append(0.5 * (around.hollow[row] + around.hollow[other[row]]))
    i, j, h = np.concatenate(first), np.concatenate(second), np.concatenate(hollow)
    if len(i) == 0:
        return label
    count = int(label.max()) + 1
    pair, inverse, links = np.unique(
        np.minimum(i, j) * count + np.maximum(i, j), return_inverse=True, return_counts=True
    )
    joined = pair[np.bincount(inverse.ravel(), h) + _DOUBT < _CREASE * (links + _DOUBT)]
    graph = coo_matrix((np.ones(len(joined), dtype=np.int8), (joined // count, joined % count)), shape=(count, count))
    return np.where(label >= 0, connected_components(graph, directed=False)[1][label], -1)


def _noise_radii(range2: Array) -> Array:
    """``normals.noise_radius`` of squared ranges [N]."""
    least = noise_radius(0.0)
    return least + (noise_radius(1.0) - least) * range2


def _in_image(row: Indices, column: Indices) -> tuple[NDArray[np.int64], NDArray[np.int64], float]:
    """Neighbours [N, K] on the grid, those next to a point [N, L], and no limit to their distance."""
    span = range(-_WINDOW, _WINDOW + 1)
    # Next to a pixel are its eight neighbours, and the straight ones beyond a hole of one pixel.
    offsets = sorted((max(abs(r), abs(c)) > 1 and r * c != 0, r, c) for r in span for c in span if (r, c) != (0, 0))
    links = sum(not beyond for beyond, _, _ in offsets)
    row, column = row - row.min() + _WINDOW, column - column.min() + _WINDOW
    grid = np.full((int(row.max()) + _WINDOW + 1, int(column.max()) + _WINDOW + 1), -1, dtype=np.int64)
    grid[row, column] = np.arange(len(row))
    near = np.stack([grid[row + r, column + c] for _, r, c in offsets], axis=1)
    return near, near[:, :links], np.inf


def _in_space(points: Array) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """Nearest neighbours [N, K], those next to a point [N, L], and the distance [N] of the last.

    Which one of several equally far ones is the last is chance: at its distance a neighbour must not count any more.
    """
    k = min(_NEIGHBOURS + 1, len(points))
    distance, near = (a.reshape(len(points), k)[:, 1:] for a in cKDTree(points).query(points, k=k))
    last = min(_LINKS, k - 2)
    linked = np.where(distance[:, :last] < (1.0 - _TIE) * distance[:, last : last + 1], near[:, :last], -1)
    return near.astype(np.int64), linked.astype(np.int64), np.maximum(distance[:, -1], 1e-9)


def _normals(points: Array, towards: Array, near: NDArray[np.int64], reach: Array) -> Array:
    """Unit normals [N, 3] of the planes through the neighbours within ``reach`` [N], towards the viewpoint."""
    total, count = np.ones(len(points)), np.zeros(len(points))
    first = np.zeros((3, len(points)))
    second = np.zeros((6, len(points)))
    reach2 = np.square(reach)
    x = np.ascontiguousarray(points.T)
    for k in range(near.shape[1]):
        other = near[:, k]
        d = x[:, other] - x
        d2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
        w = np.where((other >= 0) & (d2 < reach2), np.square(1.0 - d2 / reach2), 0.0)
        total += w
        count += w > 0.0
        wd = w * d
        first += wd
        second[:3] += wd * d
        second[3:] += wd * d[[1, 2, 0]]
    mean = first / total
    diagonal = second[:3] / total - mean * mean
    mixed = second[3:] / total - mean * mean[[1, 2, 0]]  # xy, yz, zx
    normal = _flattest(diagonal, mixed)
    away = np.sqrt(np.einsum("ni,ni->n", towards, towards))
    along = np.einsum("ni,ni->n", normal, towards)
    sound = (count >= 3) & (np.abs(along) > _EDGE_ON * away)  # False where it is not finite
    normal = np.where(along[:, None] < 0.0, -normal, normal)
    return np.where(sound[:, None], normal, towards / away[:, None])


def _flattest(diagonal: Array, mixed: Array) -> Array:
    """Unit eigenvectors [N, 3] of the least eigenvalues of symmetric matrices (diagonals [3, N]; xy, yz, zx [3, N])."""
    xx, yy, zz = diagonal
    xy, yz, zx = mixed
    q = (xx + yy + zz) / 3.0
    p = np.sqrt(((xx - q) ** 2 + (yy - q) ** 2 + (zz - q) ** 2 + 2.0 * (xy * xy + yz * yz + zx * zx)) / 6.0) + 1e-300
    a, b, c = (xx - q) / p, (yy - q) / p, (zz - q) / p
    d, e, f = xy / p, yz / p, zx / p
    half = 0.5 * (a * (b * c - e * e) - d * (d * c - e * f) + f * (d * e - b * f))
    least = q + 2.0 * p * np.cos(np.arccos(np.clip(half, -1.0, 1.0)) / 3.0 + 2.0 * np.pi / 3.0)
    rows = np.stack(
        [
            np.stack([xx - least, xy, zx], axis=1),
            np.stack([xy, yy - least, yz], axis=1),
            np.stack([zx, yz, zz - least], axis=1),
        ]
    )
    crosses = np.stack([np.cross(rows[i], rows[j]) for i, j in ((0, 1), (1, 2), (2, 0))])
    length = np.linalg.norm(crosses, axis=2)
    best = length.argmax(axis=0)
    every = np.arange(len(q))
    with np.errstate(invalid="ignore", divide="ignore"):
        return crosses[best, every] / length[best, every][:, None]


def _least_curvature(points: Array, normals: Array, near: NDArray[np.int64], reach: Array) -> Array:
    """The least principal curvature [N] in 1/m, negative where the surface is hollow to the viewer."""
    axis = np.abs(normals).argmin(axis=1)  # which tangents are used does not change the eigenvalues
    helper = np.eye(3)[axis]
    u = np.cross(normals, helper)
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    v = np.cross(normals, u)
    A = np.full((3, len(points)), 1e-12)
    A[2] = 0.0
    B = np.zeros((4, len(points)))
    reach2 = np.square(reach)
    for k in range(near.shape[1]):
        other = near[:, k]
        d = points[other] - points
        d2 = np.einsum("ni,ni->n", d, d)
        w = np.where(other >= 0, np.clip(4.0 * (1.0 - d2 / reach2), 0.0, 1.0), 0.0)
        turn = normals[other] - normals
        a, b = np.einsum("ni,ni->n", d, u), np.einsum("ni,ni->n", d, v)
        s, t = np.einsum("ni,ni->n", turn, u), np.einsum("ni,ni->n", turn, v)
        A += w * np.stack([a * a, b * b, a * b])
        B += w * np.stack([a * s, b * s, a * t, b * t])
    det = A[0] * A[1] - A[2] * A[2]
    sound = det > 1e-4 * np.square(A[0] + A[1])
    det = np.where(sound, det, 1.0)
    ss = (A[1] * B[0] - A[2] * B[1]) / det
    st = (A[0] * B[1] - A[2] * B[0]) / det
    ts = (A[1] * B[2] - A[2] * B[3]) / det
    tt = (A[0] * B[3] - A[2] * B[2]) / det
    mean, mixed = 0.5 * (ss + tt), 0.5 * (st + ts)
    least = mean - np.sqrt(np.square(0.5 * (ss - tt)) + mixed * mixed)
    return np.where(sound, least, 0.0)
