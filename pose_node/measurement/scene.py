"""One cloud and the views of its segments, made on demand.

Each view has a frame of its own (the segment's direction and main axes), never the camera's: a rigid motion of points and
viewpoint moves everything along.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt
from scipy.spatial import cKDTree

from pose_node.arrays import Array, Indices
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.sampling import CENTRES, POINTS, Sample, even_subset, sample_segment
from pose_node.measurement.sensor import DEFAULT, Sensor
from pose_node.measurement.view import BORDER_CELLS, Rays, View, tangents
from pose_node.objects.card import ObjectCard
from pose_node.types import Segment

_OFF_SUPPORT_POINTS = 800  # of a cluster, that poses are checked against for surface that continues beside them
_BLOCK = 16384  # points of the cloud processed at once
_RAYS_PER_CELL_SIDE = 2.0
_CELLS_PER_DIAMETER = 128  # finer cells than this add nothing
_MAX_CELLS = 400  # a side; limits memory when points lie all around the sensor
_AROUND_REL = 1e-6  # of the diameter: a centroid nearer to the viewpoint than this has no direction
_MARGIN_REL = 0.4  # the raster extends so many diameters beyond the segment


class Scene:
    """One cloud; samples and views of its segments are kept as long as the scene."""

    def __init__(
        self, cloud: Cloud, cards: Mapping[str, ObjectCard], points: int = POINTS, sensor: Sensor = DEFAULT
    ) -> None:
        """cards: {object name: card}, for the diameters. points: size of a segment's sample; fewer than ``POINTS`` only where
        no network takes it. sensor: that took the cloud."""
        self.cloud = cloud
        self.cards = cards
        self._points, self._sensor = points, sensor
        self._views: dict[int, tuple[Segment, View]] = {}
        self._rays: dict[int, Rays] = {}
        self._samples: dict[int, tuple[Segment, Sample]] = {}

    def sample(self, segment: Segment) -> Sample:
        """The even sample of ``segment`` that network and view share."""
        kept = self._samples.get(id(segment))
        if kept is None:
            centres = CENTRES if self._points == POINTS else 0  # only the network uses them
            points_m = self.cloud.points_m[segment.indices]
            sample = sample_segment(points_m, self.cloud.viewpoint_m, self._points, centres, self._sensor)
            kept = self._samples[id(segment)] = (segment, sample)
        return kept[1]

    def view(self, segment: Segment) -> View:
        """The view of ``segment``, which must have at least three points."""
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
        """The view of ``segment``; its raster extends beyond it in proportion to ``diameter_m``."""
        cloud, sample = self.cloud, self.sample(segment)
        relative = sample.points - sample.viewpoint
        centroid = -sample.viewpoint
        range_m = float(np.linalg.norm(centroid))
        if range_m < _AROUND_REL * diameter_m:  # points all around the viewpoint have no common direction: any will do
            centroid, range_m = relative[-1], float(np.linalg.norm(relative[-1]))
        basis = _basis(relative, centroid / range_m)

        uv = tangents(relative, basis)
        low, high = uv.min(axis=0), uv.max(axis=0)
        margin = _MARGIN_REL * diameter_m / range_m
        low, high = np.maximum(low - margin, -3.0), np.minimum(high + margin, 3.0)
        pitch = _pitch(cloud.points_m[segment.indices] - cloud.viewpoint_m, basis)
        cell = max(
            _RAYS_PER_CELL_SIDE * pitch, diameter_m / range_m / _CELLS_PER_DIAMETER, (high - low).max() / _MAX_CELLS
        )

        index, (u, v) = _within(cloud, basis, low, high)
        near = cloud.points_m[index] - cloud.viewpoint_m
        columns, rows = (int(n) for n in np.maximum(np.ceil((high - low) / cell).astype(int), 1))
        column = np.minimum(((u - low[0]) / cell).astype(np.int64), columns - 1)
        row = np.minimum(((v - low[1]) / cell).astype(np.int64), rows - 1)
        flat = row * columns + column
        ranges = np.sqrt(np.einsum("ni,ni->n", near, near))
        rays = np.stack([_least(sign * ranges, flat, rows * columns, near) for sign in (1.0, -1.0)])

        inside = _mask(segment.indices, len(cloud))[index]
        untrimmed = inside if segment.untrimmed is None else _mask(segment.untrimmed, len(cloud))[index]
        occupied = _mask(flat[inside], rows * columns).reshape(rows, columns)
        return View(
            points_m=sample.points + sample.centre_m,
            normals=sample.normals,
            count=len(segment.indices),
            range_m=range_m,
            viewpoint_m=cloud.viewpoint_m,
            basis=basis,
            cell=cell,
            low=low,
            shape=(rows, columns),
            rays=_fill_pinholes(rays, (rows, columns)),
            ray_points_m=near,
            ray_range_m=ranges,
            ray_inside=inside,
            ray_untrimmed=untrimmed,
            ray_cell=flat,
            border=binary_dilation(occupied, iterations=BORDER_CELLS).ravel(),
            source=segment.source,
            pitch=pitch,
            off_support_m=self._off_support(segment),
        )

    def _off_support(self, segment: Segment) -> Array:
        """See ``View.off_support_m``."""
        if segment.source != "cluster":
            return np.zeros((0, 3))
        rows = segment.indices if segment.off_support is None or len(segment.off_support) == 0 else segment.off_support
        return even_subset(self.cloud.points_m[rows], _OFF_SUPPORT_POINTS)


def _mask(indices: Indices, length: int) -> NDArray[np.bool_]:
    """[length] bool: True at the ``indices``."""
    mask = np.zeros(length, dtype=bool)
    mask[indices] = True
    return mask


def _within(cloud: Cloud, basis: Array, low: Array, high: Array) -> tuple[Indices, Array]:
    """Rows of the cloud whose tangents lie in the window from ``low`` to ``high``, and those tangents [2, R].

    In blocks that fit into the processor's cache: the cloud is a whole image, the window a part of it.
    """
    rows, found = [], []
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
        found.append(np.stack([u[index], v[index]]) / depth[index])
    return np.concatenate(rows), np.concatenate(found, axis=1)


def _basis(points: Array, direction: Array) -> Array:
    """[3, 3] rows: the main axis of the points [N, 3] perpendicular to ``direction`` [3], their cross product, ``direction``."""
    across = points - np.outer(points @ direction, direction)
    across = across - across.mean(axis=0)
    scatter = across.T @ across
    first = np.linalg.eigh(scatter)[1][:, 2]
    first = first - (first @ direction) * direction
    if first @ first < 0.5:  # points along one ray have no main axis: any will do
        first = np.cross(direction, np.eye(3)[np.abs(direction).argmin()])
    first = first / np.linalg.norm(first)
    if np.sum((across @ first) ** 3) < 0:
        first = -first
    return np.stack([first, np.cross(direction, first), direction])


def _pitch(points: Array, basis: Array) -> float:
    """Distance between neighbouring rays as a tangent, from the rays nearest to the segment's centroid."""
    uv = tangents(points, basis)
    off = np.einsum("ni,ni->n", uv, uv)
    if len(uv) > 4096:
        central = off <= np.partition(off, 4095)[4095]
        uv, off = uv[central], off[central]
    uv = uv[np.lexsort((uv[:, 1], uv[:, 0], off))]  # which rays are queried below must not depend on the points' order
    # On a square lattice the four nearest neighbours are one pitch away; the median ignores borders and holes.
    k = min(5, len(uv))
    return float(np.median(cKDTree(uv).query(uv[::8], k=k)[0][:, -1]))


def _least(value: Array, cell: Indices, cells: int, points: Array) -> Indices:
    """For each cell the entry of least ``value`` [N], -1 where there is none; ties are broken by coordinates.

    Each pass writes every entry below its cell's, and the last one written remains: a few passes settle all cells.
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
    """Cells without a ray take those of the nearest cell when that is a neighbour: resampling a lattice leaves such gaps."""
    empty = (rays[0] < 0).reshape(shape)
    if not empty.any() or empty.all():
        return rays
    distance, (row, column) = distance_transform_edt(empty, return_indices=True)
    source = row * shape[1] + column
    return np.where((distance <= 1.0).ravel(), rays[:, source.ravel()], rays)
