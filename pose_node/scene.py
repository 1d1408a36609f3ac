"""A cloud made ready for judging: per segment, sampled points with normals and a raster of the rays around it.

Everything is expressed in a frame that belongs to the segment itself (its direction and its own main axes), never in the
camera's: a rigid motion of points and viewpoint moves it all along. A ``Scene`` lives for one cloud.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import binary_dilation, distance_transform_edt
from scipy.spatial import cKDTree

from pose_node.card import ObjectCard
from pose_node.cloud import Cloud
from pose_node.normals import noise_radius, normals
from pose_node.prepare import even_subset, every
from pose_node.types import Array, Indices, Segment

_POINTS = 800  # sampled points of a segment
_POOL = 4096  # points that their normals come from
_RAYS_PER_CELL_SIDE = 2.0
_CELLS_A_DIAMETER = 128  # finer cells than this say nothing more
_MOST_CELLS = 400  # a side; bounds memory when the sensor stands inside the scene
_MARGIN_REL = 0.4  # the raster reaches so many diameters beyond the segment
_HOLE_PITCHES = 0.8  # no reading nearer than this to a direction: there is none
_BORDER_CELLS = 2  # masks are wrong by this many cells at their border


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What was measured in and around one segment.

    points_m, normals: [P, 3] an even sample of the segment, normals towards the viewpoint.
    count:             points of the segment before sampling. range_m: distance of its centroid.
    basis:             [3, 3] rows: the raster's two axes and its viewing direction.
    cell, low, shape:  the raster of tangents: cell size, lower corner [2], (rows, columns).
    rays:              [2, cells] nearest and farthest measured point of each cell, rows of ``ray_points_m``; -1: none.
    ray_points_m:      [R, 3] relative to the viewpoint. ray_range_m: [R]. ray_inside: [R] in the segment.
    border:            [cells] within a few pixels of the segment.
    trusted:           the segment was somebody's word for one object, so it holds little else.
    pitch:             distance between neighbouring rays, as a tangent.
    core_m:            [C, 3] sample of the segment's core when nobody pointed at it: its borders are the surface's own.
    """

    points_m: Array
    normals: Array
    count: int
    range_m: float
    viewpoint_m: Array
    basis: Array
    cell: float
    low: Array
    shape: tuple[int, int]
    rays: Indices
    ray_points_m: Array
    ray_range_m: Array
    ray_inside: Any
    border: Any
    trusted: bool
    pitch: float
    core_m: Array

    def cells(self, points_m: Array) -> tuple[Indices, Any]:
        """Raster cells [...] of points [..., 3] relative to the viewpoint, and which of them lie in the raster."""
        uvw = points_m @ self.basis.T
        ahead = uvw[..., 2] > 1e-6
        scale = 1.0 / (np.where(ahead, uvw[..., 2], 1.0) * self.cell)
        column = np.floor(uvw[..., 0] * scale - self.low[0] / self.cell).astype(np.int64)
        row = np.floor(uvw[..., 1] * scale - self.low[1] / self.cell).astype(np.int64)
        inside = ahead & (row >= 0) & (row < self.shape[0]) & (column >= 0) & (column < self.shape[1])
        return np.where(inside, row * self.shape[1] + column, 0), inside


class Rays:
    """The measured ray nearest to any direction of one view."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._tree = cKDTree(_tangents(view.ray_points_m, view.basis), compact_nodes=False, balanced_tree=False)

    def nearest(self, points_m: Array) -> tuple[Indices, Any]:
        """Rows [...] of the rays nearest to points [..., 3] relative to the viewpoint, and where there is none: a hole."""
        distance, row = self._tree.query(_tangents(points_m.reshape(-1, 3), self._view.basis))
        shape = points_m.shape[:-1]
        return row.reshape(shape), (distance > _HOLE_PITCHES * self._view.pitch).reshape(shape)


class Scene:
    """One cloud, its views made on demand and kept while the frame is worked on."""

    def __init__(self, cloud: Cloud, cards: Mapping[str, ObjectCard]) -> None:
        self.cloud = cloud
        self.cards = cards
        self._views: dict[int, tuple[Segment, View]] = {}
        self._rays: dict[int, Rays] = {}
        self._relative: Array | None = None
        self._range: Array | None = None

    def view(self, segment: Segment) -> View:
        """The view of ``segment``, which must hold at least three points."""
        kept = self._views.get(id(segment))
        if kept is None:
            names = [segment.object_name] if segment.object_name else list(self.cards)
            diameter_m = max(self.cards[name].diameter_m for name in names)
            kept = self._views[id(segment)] = (segment, self._make(segment, diameter_m))
        return kept[1]

    def rays(self, segment: Segment) -> Rays:
        """The rays of ``segment``'s view, for looking up directions."""
        view = self.view(segment)
        if id(segment) not in self._rays:
            self._rays[id(segment)] = Rays(view)
        return self._rays[id(segment)]

    def _make(self, segment: Segment, diameter_m: float) -> View:
        cloud = self.cloud
        if self._relative is None or self._range is None:
            self._relative = np.ascontiguousarray((cloud.points_m - cloud.viewpoint_m).T)
            self._range = np.sqrt(np.einsum("in,in->n", self._relative, self._relative))
        pool = even_subset(cloud.points_m[segment.indices], _POOL)
        points = pool[every(len(pool), _POINTS)]
        centroid = pool.mean(axis=0) - cloud.viewpoint_m
        range_m = float(np.linalg.norm(centroid))
        basis = _basis(pool - cloud.viewpoint_m, centroid / range_m)

        uv = _tangents(pool - cloud.viewpoint_m, basis)
        low, high = uv.min(axis=0), uv.max(axis=0)
        margin = _MARGIN_REL * diameter_m / range_m
        low, high = np.maximum(low - margin, -3.0), np.minimum(high + margin, 3.0)
        pitch = _pitch(self._relative[:, segment.indices].T, basis)
        cell = max(
            _RAYS_PER_CELL_SIDE * pitch, diameter_m / range_m / _CELLS_A_DIAMETER, (high - low).max() / _MOST_CELLS
        )

        u, v, depth = basis @ self._relative  # rows of [3, N]: long contiguous runs are what numpy is quick at
        index = np.flatnonzero(
            (depth > 0.0)
            & (u >= low[0] * depth)
            & (u < high[0] * depth)
            & (v >= low[1] * depth)
            & (v < high[1] * depth)
        )
        near = np.ascontiguousarray(self._relative[:, index].T)
        shape = np.maximum(np.ceil((high - low) / cell).astype(int), 1)
        column = np.minimum(((u[index] / depth[index] - low[0]) / cell).astype(np.int64), shape[0] - 1)
        row = np.minimum(((v[index] / depth[index] - low[1]) / cell).astype(np.int64), shape[1] - 1)
        flat = row * shape[0] + column
        inside = np.zeros(len(cloud), dtype=bool)
        inside[segment.indices] = True
        inside = inside[index]
        cells = int(shape[0] * shape[1])
        ranges = self._range[index]
        rays = np.stack([_least(ranges, flat, cells, near), _least(-ranges, flat, cells, near)])
        shape2 = (int(shape[1]), int(shape[0]))
        occupied = np.zeros(cells, dtype=bool)
        occupied[flat[inside]] = True
        border = binary_dilation(occupied.reshape(shape2), iterations=_BORDER_CELLS).ravel()
        radius = noise_radius(range_m)
        return View(
            points_m=points,
            normals=normals(pool, points, cloud.viewpoint_m, radius),
            count=len(segment.indices),
            range_m=range_m,
            viewpoint_m=cloud.viewpoint_m,
            basis=basis,
            cell=cell,
            low=low,
            shape=shape2,
            rays=_fill_pinholes(rays, shape2),
            ray_points_m=near,
            ray_range_m=ranges,
            ray_inside=inside,
            border=border,
            trusted=segment.source == "mask",
            pitch=pitch,
            core_m=self._core(segment),
        )

    def _core(self, segment: Segment) -> Array:
        if segment.source != "cluster":
            return np.zeros((0, 3))
        return even_subset(self.cloud.points_m[segment.indices if segment.core is None else segment.core], _POINTS)


def _basis(points: Array, direction: Array) -> Array:
    """Rows: the main axis of the points [N, 3] across ``direction``, the one beside it, ``direction``."""
    across = points - np.outer(points @ direction, direction)
    across = across - across.mean(axis=0)
    scatter = across.T @ across
    first = np.linalg.eigh(scatter)[1][:, 2]
    first = first - (first @ direction) * direction
    first = first / np.linalg.norm(first)
    if np.sum((across @ first) ** 3) < 0:
        first = -first
    return np.stack([first, np.cross(direction, first), direction])


def _tangents(points: Array, basis: Array) -> Array:
    """Where points [N, 3] relative to the viewpoint lie in the raster's plane, [N, 2]."""
    uvw = points @ basis.T
    return uvw[:, :2] / np.maximum(uvw[:, 2:], 1e-6)


def _pitch(points: Array, basis: Array) -> float:
    """Distance between neighbouring rays as a tangent, from the rays nearest to the segment's middle."""
    uv = _tangents(points, basis)
    off = np.einsum("ni,ni->n", uv, uv)
    if len(uv) > 4096:
        middle = off <= np.partition(off, 4095)[4095]
        uv, off = uv[middle], off[middle]
    uv = uv[np.lexsort((uv[:, 1], uv[:, 0], off))]  # the rays asked about below must not depend on the points' order
    # On a square lattice the four nearest neighbours are one pitch away; a median over all forgives borders and holes.
    k = min(5, len(uv))
    return float(np.median(cKDTree(uv).query(uv[::8], k=k)[0][:, -1]))


def _least(value: Array, cell: Indices, cells: int, points: Array) -> Indices:
    """For each cell the entry of least ``value`` [N], -1 where there is none; equal values are told apart by coordinates.

    Each pass writes every entry that beats its cell, and the last one written stays: a few passes settle all cells.
    """
    best = np.full(cells, np.inf)
    left = np.arange(len(value))
    while len(left):
        best[cell[left]] = value[left]
        left = left[value[left] < best[cell[left]]]
    winner = np.flatnonzero(value == best[cell])
    out = np.full(cells, -1, dtype=np.intp)
    out[cell[winner]] = winner
    if len(winner) > np.count_nonzero(out >= 0):
        winner = winner[np.lexsort(points[winner].T)]
        out[cell[winner]] = winner
    return out


def _fill_pinholes(rays: Indices, shape: tuple[int, int]) -> Indices:
    """Cells without a ray take those of the nearest cell when that is a neighbour: a lattice leaves such gaps."""
    empty = (rays[0] < 0).reshape(shape)
    if not empty.any() or empty.all():
        return rays
    distance, (row, column) = distance_transform_edt(empty, return_indices=True)
    source = row * shape[1] + column
    return np.where((distance <= 1.0).ravel(), rays[:, source.ravel()], rays)
