"""Neighbours, normals and curvature of each point of a cloud.

Neighbours come from an image's own grid or, of a bare cloud, from distances. Distances, normals and curvatures do not change
when points and viewpoint move together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pose_node.arrays import Array, Indices
from pose_node.geometry.normals import EDGE_ON
from pose_node.measurement.sensor import Sensor

MIN_POINTS = 30  # fewer points cannot identify an object
_WINDOW = 2  # pixels to each side that are neighbours in an image
_NEIGHBOURS = 24  # of a bare cloud's points
_LINKS = 8  # the nearest of them are linked
_LEAST_SPACINGS = 1.5  # radius of a normal's neighbourhood, whatever the noise
_TIE = 1e-9  # relative difference below which two distances are equal


@dataclass(frozen=True, slots=True, eq=False)
class Neighbourhood:
    """Points of a cloud and the surface around each.

    points_m, normals: [N, 3], unit normals towards the viewpoint.
    range2:            [N] squared range.
    linked:            [N, L] rows of the points next to each, -1 for none.
    spacing_rad:       angle between points next to each other.
    concavity:         [N] the most concave principal curvature (0 where there is none), times the radius of the normals.
    """

    points_m: Array
    normals: Array
    range2: Array
    linked: NDArray[np.int64]
    spacing_rad: float
    concavity: Array


def neighbourhood(
    points_m: Array, viewpoint_m: Array, pixels: tuple[Indices, Indices] | None, sensor: Sensor
) -> Neighbourhood:
    """The neighbourhoods of points [N, 3] seen from ``viewpoint_m`` [3]; pixels: their rows and columns [N] in an image, if any."""
    near, linked, farthest_m = _in_image(*pixels) if pixels is not None else _in_space(points_m)
    towards = viewpoint_m - points_m
    range2 = np.einsum("ni,ni->n", towards, towards)
    range_m = np.sqrt(range2)
    spacing_rad = _spacing(points_m, linked if pixels is not None else linked[:, :1], range_m)
    radius = np.maximum(sensor.normal_radius_m(range_m), _LEAST_SPACINGS * spacing_rad * range_m)
    normals = _normals(points_m, towards, near, np.minimum(1.5 * radius, farthest_m))
    curvature = _least_curvature(points_m, normals, near, np.minimum(2.0 * radius, farthest_m))
    concavity = np.maximum(-curvature, 0.0) * radius
    return Neighbourhood(points_m, normals, range2, linked, spacing_rad, concavity)


def _spacing(points: Array, linked: NDArray[np.int64], range_m: Array) -> float:
    """Median angle between a point and the nearest of those ``linked`` [N, L] to it."""
    nearest = np.full(len(points), np.inf)
    for other in linked.T:
        off = points[other] - points
        nearest = np.minimum(nearest, np.where(other >= 0, np.einsum("ni,ni->n", off, off), np.inf))
    found = np.isfinite(nearest) & (range_m > 0.0)
    return float(np.median(np.sqrt(nearest[found]) / range_m[found])) if found.any() else 0.0


def _in_image(row: Indices, column: Indices) -> tuple[NDArray[np.int64], NDArray[np.int64], float]:
    """Neighbours [N, K] on the grid, the linked ones [N, L], and the distance within which they are known: no limit."""
    span = range(-_WINDOW, _WINDOW + 1)
    # Linked are a pixel's eight neighbours and, to bridge a hole of one pixel, those two pixels away in a row or column.
    offsets = sorted((max(abs(r), abs(c)) > 1 and r * c != 0, r, c) for r in span for c in span if (r, c) != (0, 0))
    links = sum(not beyond for beyond, _, _ in offsets)
    row, column = row - row.min() + _WINDOW, column - column.min() + _WINDOW
    grid = np.full((int(row.max()) + _WINDOW + 1, int(column.max()) + _WINDOW + 1), -1, dtype=np.int64)
    grid[row, column] = np.arange(len(row))
    near = np.stack([grid[row + r, column + c] for _, r, c in offsets], axis=1)
    return near, near[:, :links], np.inf


def _in_space(points: Array) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """Nearest neighbours [N, K], the linked ones [N, L], and the distance [N] of the last of the K.

    Which of several equally distant ones is the last depends on the points' order: at that distance none may count.
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
    valid = (count >= 3) & (np.abs(along) > EDGE_ON * away)  # False where it is not finite
    normal = np.where(along[:, None] < 0.0, -normal, normal)
    return np.where(valid[:, None], normal, towards / away[:, None])


def _flattest(diagonal: Array, mixed: Array) -> Array:
    """Unit eigenvectors [N, 3] of the smallest eigenvalues of symmetric matrices (diagonals [3, N]; xy, yz, zx [3, N]).

    In closed form (Smith, "Eigenvalues of a symmetric 3 x 3 matrix", 1961): several times as fast as ``np.linalg.eigh`` here.
    """
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
    point = np.arange(len(q))
    with np.errstate(invalid="ignore", divide="ignore"):
        return crosses[best, point] / length[best, point][:, None]


def _least_curvature(points: Array, normals: Array, near: NDArray[np.int64], reach: Array) -> Array:
    """The smallest principal curvature [N] in 1/m, negative where the surface is concave to the viewer: by least squares, how
    the normal changes from each point to its neighbours within ``reach`` [N]."""
    axis = np.abs(normals).argmin(axis=1)  # any tangents do: they do not change the eigenvalues
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
    valid = det > 1e-4 * np.square(A[0] + A[1])
    det = np.where(valid, det, 1.0)
    ss = (A[1] * B[0] - A[2] * B[1]) / det
    st = (A[0] * B[1] - A[2] * B[0]) / det
    ts = (A[1] * B[2] - A[2] * B[3]) / det
    tt = (A[0] * B[3] - A[2] * B[2]) / det
    mean, mixed = 0.5 * (ss + tt), 0.5 * (st + ts)
    least = mean - np.sqrt(np.square(0.5 * (ss - tt)) + mixed * mixed)
    return np.where(valid, least, 0.0)
