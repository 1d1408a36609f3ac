"""The part of a cloud that is segmented, and the way back to all its points.

Of a large image every k-th pixel is used, of a bare cloud points spaced by the noise: closer ones add nothing to the surface.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pose_node.arrays import Array, Indices
from pose_node.config import SegmentConfig
from pose_node.detection.neighbourhood import MIN_POINTS, Neighbourhood, neighbourhood
from pose_node.detection.tolerances import gap
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.sampling import evenly_spaced
from pose_node.measurement.sensor import Sensor
from pose_node.measurement.thinning import spaced_subset
from pose_node.types import Segment

_MAX_POINTS = 320 * 480
# Spacings of a bare cloud's points in one radius of the normals: gives about as many points as an image has pixels.
_SPACINGS_PER_RADIUS = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Subsample:
    """Rows of a cloud that are segmented.

    kept:    [S] rows that the thinning kept.
    index:   [N] those of them within ``near_m`` and ``far_m``.
    around:  the neighbourhood of each of these N points.
    """

    kept: Indices
    index: Indices
    around: Neighbourhood


def subsample(cloud: Cloud, config: SegmentConfig, sensor: Sensor) -> Subsample | None:
    """The points of the cloud to segment; None where there are too few."""
    kept = _thinned(cloud, config, sensor)
    index = _within_reach(cloud, kept, config)
    if len(index) < MIN_POINTS:
        return None
    around = neighbourhood(cloud.points_m[index], cloud.viewpoint_m, _pixels(cloud, index), sensor)
    return Subsample(kept, index, around)


def restored(
    cloud: Cloud, sample: Subsample, found: list[Segment], config: SegmentConfig, sensor: Sensor
) -> list[Segment]:
    """Segments of rows that ``sample`` kept with the points that thinning left out: each joins the segments of the kept row
    nearest to it."""
    kept = sample.kept
    if len(kept) == len(cloud):
        return found
    if len(cloud.shape) == 2:
        step = _step(cloud)
        row, column = np.divmod(cloud.source_index, cloud.shape[1])
        cell = (row // step) * cloud.shape[1] + column // step
        row_of_cell = np.full(int(cell.max()) + 1, -1, dtype=np.intp)
        row_of_cell[cell[kept]] = kept
        nearest = row_of_cell[cell]
    else:
        distance, near = cKDTree(cloud.points_m[kept]).query(cloud.points_m, k=2)
        # Which of two equally near rows comes first depends on the points' order, so such a point joins neither.
        nearest = np.where(distance[:, 0] < (1.0 - 1e-9) * distance[:, 1], kept[near[:, 0]], -1)
    offset = cloud.points_m - cloud.points_m[nearest]
    range_m = np.linalg.norm(cloud.points_m - cloud.viewpoint_m, axis=1)
    limit = gap(range_m, sensor, sample.around.spacing_rad)
    joins = (nearest >= 0) & (np.einsum("ni,ni->n", offset, offset) < limit * limit)
    if len(cloud.shape) == 1:  # only points within reach were thinned
        joins &= _reached(range_m, config)

    def whole(rows: Indices) -> Indices:
        inside = np.zeros(len(cloud), dtype=bool)
        inside[rows] = True
        return np.flatnonzero(inside[nearest] & joins)

    return [
        replace(s, indices=whole(s.indices), off_support=None if s.off_support is None else whole(s.off_support))
        for s in found
    ]


def _thinned(cloud: Cloud, config: SegmentConfig, sensor: Sensor) -> Indices:
    """Rows of the cloud: of an image every k-th pixel; of a bare cloud points within reach, spaced by the noise."""
    if len(cloud.shape) == 2:
        step = _step(cloud)
        row, column = np.divmod(cloud.source_index, cloud.shape[1])
        return np.flatnonzero((row % step == 0) & (column % step == 0))
    index = _within_reach(cloud, np.arange(len(cloud)), config)
    points = cloud.points_m[index]
    range_m = np.linalg.norm(points - cloud.viewpoint_m, axis=1)
    rows = spaced_subset(points, sensor.normal_radius_m(range_m) / _SPACINGS_PER_RADIUS)
    if len(rows) > _MAX_POINTS:  # chosen by an invariant, as ``even_subset`` does
        distance2 = np.sum((points[rows] - points[rows].mean(axis=0)) ** 2, axis=1)
        rows = rows[np.argsort(distance2, kind="stable")][evenly_spaced(len(rows), _MAX_POINTS)]
    return index[rows]


def _step(cloud: Cloud) -> int:
    """Every how many pixels of an image's rows and columns are used."""
    return int(np.ceil(np.sqrt(np.prod(cloud.shape) / _MAX_POINTS)))


def _pixels(cloud: Cloud, index: Indices) -> tuple[Indices, Indices] | None:
    """Rows and columns [N] of points on the thinned grid of an image; None for a bare cloud."""
    if len(cloud.shape) != 2:
        return None
    row, column = np.divmod(cloud.source_index[index], cloud.shape[1])
    return row // _step(cloud), column // _step(cloud)


def _within_reach(cloud: Cloud, index: Indices, config: SegmentConfig) -> Indices:
    return index[_reached(np.linalg.norm(cloud.points_m[index] - cloud.viewpoint_m, axis=1), config)]


def _reached(range_m: Array, config: SegmentConfig) -> NDArray[np.bool_]:
    return (range_m >= config.near_m) & (range_m <= config.far_m)
