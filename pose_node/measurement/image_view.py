"""Views of a part of a depth image, around an expected object, at a fraction of the cost of a ``Scene``.

An image's pixels already are a raster in which neighbours are adjacent, so that no search is needed, as in a bare cloud.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_dilation

from pose_node.arrays import Array, Indices
from pose_node.geometry.normals import LEAST, plane_normals
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.sampling import evenly_spaced
from pose_node.measurement.sensor import DEFAULT, Sensor
from pose_node.measurement.view import BORDER_CELLS, Rays, View
from pose_node.types import Segment

_REACH = 2  # steps on the pixel grid to each side, within which a normal is fitted
_MIN_NEIGHBOURS = 2.0  # readings to each side that a normal needs
_MAX_PIXELS = 500  # of an object; a finer image of it adds little and is thinned


class Lattice:
    """The rows of a depth image's cloud by pixel. K: [3, 3] its intrinsics. sensor: that took it."""

    def __init__(self, cloud: Cloud, K: Array, sensor: Sensor = DEFAULT) -> None:
        self.cloud, self.K, self._sensor = cloud, K, sensor
        row = np.full(cloud.shape[0] * cloud.shape[1], -1, dtype=np.int32)
        row[cloud.source_index] = np.arange(len(cloud), dtype=np.int32)
        self._row = row.reshape(cloud.shape)

    def around(self, centre_m: Array, reach_m: float, diameter_m: float, points: int) -> Patch | None:
        """The pixels within a sphere about ``centre_m`` [3] of radius ``reach_m``, thinned where an object of ``diameter_m``
        has many; None where the camera is in the sphere. points: size of the sample of a segment in the patch.
        """
        height, width = self.cloud.shape
        z = float(centre_m[2])
        if z <= reach_m:
            return None
        # A little wider than the sphere: its outline is an ellipse, longest away from the optical axis.
        slant = 1.0 + float(np.linalg.norm(centre_m[:2])) / z
        half = slant * reach_m / (z - reach_m) * max(self.K[0, 0], self.K[1, 1])
        u, v = (self.K @ (centre_m / z))[:2]
        filled = np.pi / 8.0 * (diameter_m / z * self.K[0, 0]) ** 2  # an object fills half of its circle
        # Thinning must leave each normal enough readings.
        most = self._sensor.normal_radius_m(z) / (_MIN_NEIGHBOURS * z / self.K[0, 0])
        stride = max(int(min(np.sqrt(filled / _MAX_PIXELS), most)), 1)
        # The same grid of pixels wherever the object is expected.
        (top, left), (bottom, right) = (
            np.ceil(np.clip(corner, 0, (height, width)) / stride).astype(int) * stride
            for corner in ((v - half, u - half), (v + half + 1.0, u + half + 1.0))
        )
        row = self._row[top:bottom:stride, left:right:stride]
        scale = 1.0 / self.K[0, 0]
        low = np.array([left, top]) * scale - 0.5 * stride * scale
        return Patch(self.cloud, row, low, stride * scale, self._basis(), points, self._sensor)

    def _basis(self) -> Array:
        """The intrinsics in units of a pixel's width, [3, 3]: as ``View.basis`` they make the pixels the raster's cells."""
        basis: Array = self.K / self.K[0, 0]
        basis[2] = (0.0, 0.0, 1.0)
        return basis


class Patch:
    """A rectangle of pixels and its readings, ``points_m``; segments of it refer to rows of these."""

    def __init__(
        self, cloud: Cloud, row: Indices, low: Array, cell: float, basis: Array, points: int, sensor: Sensor
    ) -> None:
        """row: [h, w] rows of the cloud, -1: no reading. low, cell, basis: as in ``View``. points: size of a segment's sample."""
        self.shape = (int(row.shape[0]), int(row.shape[1]))
        flat = row.ravel()
        self._cell = np.flatnonzero(flat >= 0)
        self.rows = flat[self._cell].astype(np.intp)
        self.points_m = cloud.points_m[self.rows]
        self.viewpoint_m = cloud.viewpoint_m
        self._low, self._size, self._basis, self._points, self._sensor = low, cell, basis, points, sensor
        self._kept: tuple[Segment, View, Rays] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def view(self, segment: Segment) -> View:
        """The view of ``segment``."""
        return self._of(segment)[1]

    def rays(self, segment: Segment) -> Rays:
        """The rays of ``segment``'s view."""
        return self._of(segment)[2]

    def _of(self, segment: Segment) -> tuple[Segment, View, Rays]:
        if self._kept is None or self._kept[0] is not segment:
            view = self._make(segment)
            self._kept = (segment, view, Rays(view))
        return self._kept

    def _make(self, segment: Segment) -> View:
        inside = np.zeros(len(self), dtype=bool)
        inside[segment.indices] = True
        sample = segment.indices[evenly_spaced(len(segment.indices), self._points)]
        range_m = float(np.linalg.norm(self.points_m[sample].mean(axis=0) - self.viewpoint_m))
        relative = self.points_m - self.viewpoint_m
        trusted = segment.source == "mask"
        row = np.full(self.shape[0] * self.shape[1], -1, dtype=np.intp)  # of each cell
        row[self._cell] = np.arange(len(self))
        occupied = np.zeros(self.shape, dtype=bool)
        occupied.ravel()[self._cell[segment.indices]] = True
        return View(
            points_m=self.points_m[sample],
            normals=self._normals(sample, row, occupied, self._sensor.normal_radius_m(range_m)),
            count=len(segment.indices),
            range_m=range_m,
            viewpoint_m=self.viewpoint_m,
            basis=self._basis,
            cell=self._size,
            low=self._low,
            shape=self.shape,
            rays=np.stack([row, row]),
            ray_points_m=relative,
            ray_range_m=np.sqrt(np.einsum("ni,ni->n", relative, relative)),
            ray_inside=inside,
            ray_untrimmed=inside,
            ray_cell=self._cell,
            # Only a mask's border is used.
            border=(binary_dilation(occupied, iterations=BORDER_CELLS) if trusted else occupied).ravel(),
            source=segment.source,
            pitch=self._size,
            off_support_m=np.zeros((0, 3)),
        )

    def _normals(self, sample: Indices, row_of: Indices, own: Array, radius_m: float) -> Array:
        """Normals [Q, 3] of the points ``sample`` [Q] from the segment's readings around them.

        row_of: [cells] rows of the cells' readings. own: [h, w] bool: the segment's cells. radius_m: of the neighbourhood.
        """
        height, width = self.shape
        points = self.points_m[sample]
        to_viewpoint = self.viewpoint_m - points
        range_m = np.sqrt(np.einsum("qi,qi->q", to_viewpoint, to_viewpoint))
        lateral_m = self._size * float(np.median(range_m))
        step = max(int(round(radius_m / (_REACH + 0.5) / lateral_m)), 1)
        row, column = np.divmod(self._cell[sample], width)
        offsets = step * np.arange(-_REACH, _REACH + 1)
        r = np.clip(row[:, None] + offsets, 0, height - 1)
        c = np.clip(column[:, None] + offsets, 0, width - 1)
        cell = (r[:, :, None] * width + c[:, None]).reshape(len(sample), -1)
        offset = np.ascontiguousarray(self.points_m.T)[:, row_of[cell]] - points.T[..., None]
        apart2 = np.where(own.ravel()[cell], (offset * offset).sum(axis=0), np.inf)
        # As for other points (geometry.normals): the radius grows where most readings have hardly a neighbour so near.
        spacing2 = np.median(np.partition(apart2, LEAST - 1, axis=1)[:, LEAST - 1])
        reach2 = max(min(radius_m, (_REACH + 0.5) * step * lateral_m) ** 2, spacing2 if np.isfinite(spacing2) else 0.0)
        weight = np.square(np.maximum(1.0 - apart2 / reach2, 0.0))
        return plane_normals(offset, weight, to_viewpoint / range_m[:, None])
