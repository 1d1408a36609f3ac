"""A cloud made ready for judging: per segment, sampled points with normals and a raster of the rays around it.

Everything is expressed in a frame that belongs to the segment itself (its direction and its own main axes), never in the
camera's: a rigid motion of points and viewpoint moves it all along. A ``Scene`` lives for one cloud.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.ndimage import binary_dilation, distance_transform_edt
from scipy.spatial import cKDTree

from pose_node.arrays import Array, Indices
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.sampling import CENTRES, POINTS, Drawn, draw, even_subset
from pose_node.objects.card import ObjectCard
from pose_node.types import Segment

_OWN_POINTS = 800  # of a segment that nobody vouches for, of which a pose must hold the surface around it
_BLOCK = 16384  # points of the cloud that are sifted at once
_RAYS_PER_CELL_SIDE = 2.0
_CELLS_A_DIAMETER = 128  # finer cells than this say nothing more
_MOST_CELLS = 400  # a side; bounds memory when the sensor stands inside the scene
_AROUND_REL = 1e-6  # of the diameter: a centroid nearer to the viewpoint than this has no direction
_MARGIN_REL = 0.4  # the raster reaches so many diameters beyond the segment
_HOLE_PITCHES = 0.8  # no reading nearer than this to a direction: there is none
_SPARE_CELLS = 5  # about what is asked for, so that the next question finds its answer
BORDER_CELLS = 2  # masks are wrong by this many cells at their border


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What was measured in and around one segment.

    points_m, normals: [P, 3] an even sample of the segment, normals towards the viewpoint.
    count:             points of the segment before sampling. range_m: distance of its centroid.
    basis:             [3, 3] rows: the raster's two axes and its viewing direction.
    cell, low, shape:  the raster of tangents: cell size, lower corner [2], (rows, columns).
    rays:              [2, cells] nearest and farthest measured point of each cell, rows of ``ray_points_m``; -1: none.
    ray_points_m:      [R, 3] relative to the viewpoint. ray_range_m: [R]. ray_inside: [R] in the segment. ray_cell: [R].
    ray_told:          [R] in what the segment was trimmed from: its border is finer than what the trimming left.
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
    ray_told: Any
    ray_cell: Indices
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
    """The measured ray nearest to any direction of one view. The search knows the rays near to the segment and to what was asked."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._known = view.border.reshape(view.shape)  # cells of the raster
        self._rows = np.zeros(0, dtype=np.intp)
        self._tree: Any = None

    def nearest(self, points_m: Array) -> tuple[Indices, Any]:
        """Rows [...] of the rays nearest to points [..., 3] relative to the viewpoint, and where there is none: a hole."""
        asked = _tangents(points_m.reshape(-1, 3), self._view.basis)
        self._learn_about(asked)
        distance, place = self._tree.query(asked, distance_upper_bound=_HOLE_PITCHES * self._view.pitch)
        row = np.append(self._rows, 0)[place]  # what is not found is one beyond the last
        return row.reshape(points_m.shape[:-1]), np.isinf(distance).reshape(points_m.shape[:-1])

    def _learn_about(self, asked: Array) -> None:
        """Make sure that the rays in the cells of the tangents [N, 2] and in those beside them are known: no others are near."""
        view = self._view
        place = np.floor((asked - view.low) / view.cell).astype(np.int64)
        column, row = np.clip(place, 0, np.array(view.shape[::-1]) - 1).T[..., None] + np.arange(-1, 2)
        wanted = np.zeros((view.shape[0] + 2, view.shape[1] + 2), dtype=bool)
        wanted[row[:, :, None] + 1, column[:, None] + 1] = True
        wanted = wanted[1:-1, 1:-1]
        if self._tree is None or np.any(wanted & ~self._known):
            self._known = binary_dilation(wanted | self._known, iterations=_SPARE_CELLS)
            self._rows = np.flatnonzero(self._known.ravel()[view.ray_cell])
            self._tree = cKDTree(
                _tangents(view.ray_points_m[self._rows], view.basis), compact_nodes=False, balanced_tree=False
            )


class Views(Protocol):
    """What refinement asks of a frame."""

    def view(self, segment: Segment) -> View:
        """The view of ``segment``."""

    def rays(self, segment: Segment) -> Rays:
        """The rays of ``segment``'s view, for looking up directions."""


class Scene:
    """One cloud, its views made on demand and kept while the frame is worked on."""

    def __init__(self, cloud: Cloud, cards: Mapping[str, ObjectCard], points: int = POINTS) -> None:
        """points: those of a segment that are looked at closely; where no network looks on, fewer will do."""
        self.cloud = cloud
        self.cards = cards
        self._points = points
        self._views: dict[int, tuple[Segment, View]] = {}
        self._rays: dict[int, Rays] = {}
        self._drawn: dict[int, tuple[Segment, Drawn]] = {}

    def drawn(self, segment: Segment) -> Drawn:
        """The even sample of ``segment`` that the network and the view share."""
        kept = self._drawn.get(id(segment))
        if kept is None:
            centres = CENTRES if self._points == POINTS else 0  # the network's alone
            drawn = draw(self.cloud.points_m[segment.indices], self.cloud.viewpoint_m, self._points, centres)
            kept = self._drawn[id(segment)] = (segment, drawn)
        return kept[1]

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
        cloud, drawn = self.cloud, self.drawn(segment)
        relative = drawn.points - drawn.viewpoint
        centroid = -drawn.viewpoint
        range_m = float(np.linalg.norm(centroid))
        if range_m < _AROUND_REL * diameter_m:  # points all around the viewpoint: no direction is theirs, any will do
            centroid, range_m = relative[-1], float(np.linalg.norm(relative[-1]))
        basis = _basis(relative, centroid / range_m)

        uv = _tangents(relative, basis)
        low, high = uv.min(axis=0), uv.max(axis=0)
        margin = _MARGIN_REL * diameter_m / range_m
        low, high = np.maximum(low - margin, -3.0), np.minimum(high + margin, 3.0)
        pitch = _pitch(cloud.points_m[segment.indices] - cloud.viewpoint_m, basis)
        cell = max(
            _RAYS_PER_CELL_SIDE * pitch, diameter_m / range_m / _CELLS_A_DIAMETER, (high - low).max() / _MOST_CELLS
        )

        index, (u, v) = _within(cloud, basis, low, high)
        near = cloud.points_m[index] - cloud.viewpoint_m
        shape = np.maximum(np.ceil((high - low) / cell).astype(int), 1)
        column = np.minimum(((u - low[0]) / cell).astype(np.int64), shape[0] - 1)
        row = np.minimum(((v - low[1]) / cell).astype(np.int64), shape[1] - 1)
        flat = row * shape[0] + column
        inside = np.zeros(len(cloud), dtype=bool)
        inside[segment.indices] = True
        told = inside
        if segment.told is not None:
            told = np.zeros(len(cloud), dtype=bool)
            told[segment.told] = True
        inside, told = inside[index], told[index]
        cells = int(shape[0] * shape[1])
        ranges = np.sqrt(np.einsum("ni,ni->n", near, near))
        rays = np.stack([_least(ranges, flat, cells, near), _least(-ranges, flat, cells, near)])
        shape2 = (int(shape[1]), int(shape[0]))
        occupied = np.zeros(cells, dtype=bool)
        occupied[flat[inside]] = True
        border = binary_dilation(occupied.reshape(shape2), iterations=BORDER_CELLS).ravel()
        return View(
            points_m=drawn.points + drawn.centre_m,
            normals=drawn.normals,
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
            ray_told=told,
            ray_cell=flat,
            border=border,
            trusted=segment.source == "mask",
            pitch=pitch,
            core_m=self._core(segment),
        )

    def _core(self, segment: Segment) -> Array:
        if segment.source != "cluster":
            return np.zeros((0, 3))
        rows = segment.indices if segment.core is None or len(segment.core) == 0 else segment.core
        return even_subset(self.cloud.points_m[rows], _OWN_POINTS)


def _within(cloud: Cloud, basis: Array, low: Array, high: Array) -> tuple[Indices, Array]:
    """Rows of the cloud whose tangents lie in the window from ``low`` to ``high``, and those tangents [2, R].

    In blocks that stay in the processor's cache: the cloud is a whole image, the window a part of it.
    """
    rows, tangents = [], []
    offset = basis @ cloud.viewpoint_m
    for start in range(0, len(cloud), _BLOCK):
        u, v, depth = basis @ cloud.points_m[start : start + _BLOCK].T - offset[:, None]
        index = np.flatnonzero(
            (depth > 0.0)
            & (u >= low[0] * depth)
            & (u < high[0] * depth)
            & (v >= low[1] * depth)
            & (v < high[1] * depth)
        )
        rows.append(index + start)
        tangents.append(np.stack([u[index], v[index]]) / depth[index])
    return np.concatenate(rows), np.concatenate(tangents, axis=1)


def _basis(points: Array, direction: Array) -> Array:
    """Rows: the main axis of the points [N, 3] across ``direction``, the one beside it, ``direction``."""
    across = points - np.outer(points @ direction, direction)
    across = across - across.mean(axis=0)
    scatter = across.T @ across
    first = np.linalg.eigh(scatter)[1][:, 2]
    first = first - (first @ direction) * direction
    if first @ first < 0.5:  # points along one ray have no such axis: any will do
        first = np.cross(direction, np.eye(3)[np.abs(direction).argmin()])
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
