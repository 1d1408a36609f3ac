"""Measured points: a depth image with its intrinsics, or bare points, as a Cloud. Checked here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose_node.arrays import Array, Indices
from pose_node.errors import InputError

_LARGEST_16 = int(np.iinfo(np.uint16).max)
_LARGEST_16_M = 1e-3 * _LARGEST_16  # the same, as millimetres converted to metres
# Beyond the range of depth cameras and indoor lidars: such values are millimetres taken for metres, or no readings.
_FARTHEST_M = 100.0
# Closer than any depth camera measures; a scene within 10 m whose metres were divided by 1000 is all below.
_NEAREST_M = 0.01
_MIN_READINGS = 100  # with fewer the unit cannot be judged


@dataclass(frozen=True, slots=True, eq=False)
class Cloud:
    """Measured points and the viewpoint that they were seen from.

    points_m:     [N, 3] float64, finite, in the order of the source.
    viewpoint_m:  [3] the sensor's position in the same frame.
    source_index: [N] row (bare clouds) or flat pixel (depth images) that each point came from.
    shape:        shape of the source: (rows,) or (height, width).
    K:            [3, 3] intrinsics in pixels when the cloud comes from a pinhole depth image, else None.
    stamp_ns:     time of the measurement.
    frame_id:     name of the points' frame, used in messages only.
    """

    points_m: Array
    viewpoint_m: Array
    source_index: Indices
    shape: tuple[int, ...]
    K: Array | None = None
    stamp_ns: int = 0
    frame_id: str = ""

    @classmethod
    def from_depth(cls, depth_m: Array, K: Array, stamp_ns: int = 0, frame_id: str = "") -> Cloud:
        """Back-project a depth image.

        depth_m: [H, W] metres along the optical axis. No reading (REP 117, REP 118): 0, negative, NaN, inf, beyond 100 m, and
                 65.535 (the largest 16-bit count in metres).
        K:       [3, 3] pinhole intrinsics in pixels; a pixel's centre lies at integer (u, v).
        Raises InputError when a shape, the intrinsics or the units are invalid.
        """
        K = checked_intrinsics(K)
        z, index, shape = _readings(depth_m)
        y = (np.arange(shape[0]) - K[1, 2]) / K[1, 1]
        x = (np.arange(shape[1]) - K[0, 2] - K[0, 1] * y[:, None]) / K[0, 0]
        points = np.empty((len(z), 3))
        points[:, 0], points[:, 1], points[:, 2] = x.ravel()[index] * z, np.repeat(y, shape[1])[index] * z, z
        return cls(points, np.zeros(3), index, shape, K, int(stamp_ns), frame_id)

    @classmethod
    def from_rays(cls, depth_m: Array, rays: Array, stamp_ns: int = 0, frame_id: str = "") -> Cloud:
        """Back-project a depth image of a camera that is not a pinhole.

        depth_m: [H, W] as for ``from_depth``.
        rays:    [H, W, 2] where each pixel's ray meets the plane z = 1; NaN where the lens model has no ray.
        The cloud has no K, since its pixels are not a pinhole image.
        Raises InputError when a shape or the units are invalid.
        """
        z, index, shape = _readings(depth_m)
        if np.shape(rays) != (*shape, 2):
            raise InputError(f"rays: found shape {np.shape(rays)}, expected {(*shape, 2)}.")
        xy = np.asarray(rays, dtype=np.float64).reshape(-1, 2)[index]
        seen = np.isfinite(xy).all(axis=1)
        z, xy, index = z[seen, None], xy[seen], index[seen]
        points = np.concatenate([xy * z, z], axis=1)
        return cls(points, np.zeros(3), index, shape, None, int(stamp_ns), frame_id)

    @classmethod
    def from_points(
        cls,
        points_m: Array,
        viewpoint_m: Sequence[float] | Array = (0.0, 0.0, 0.0),
        stamp_ns: int = 0,
        frame_id: str = "",
    ) -> Cloud:
        """Take bare points [N, 3] in metres seen from ``viewpoint_m`` [3].

        No reading, and dropped: rows that are not finite, at the viewpoint itself (drivers write them where there is none), or
        beyond 100 m.
        Raises InputError when a shape or the units are invalid.
        """
        points = np.asarray(points_m, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 3:
            raise InputError(f"points: found shape {points.shape}, expected (N, 3).")
        viewpoint = np.asarray(viewpoint_m, dtype=np.float64)
        if viewpoint.shape != (3,) or not np.isfinite(viewpoint).all():
            raise InputError(f"viewpoint: found {viewpoint_m!r}, expected three finite numbers in metres.")
        with np.errstate(invalid="ignore", over="ignore", under="ignore"):
            range_m = np.linalg.norm(points - viewpoint, axis=1)
        index = np.flatnonzero((range_m > 0.0) & (range_m < np.inf))
        _check_metres(range_m[index], "points")
        index = index[range_m[index] <= _FARTHEST_M]
        points = points[index]
        return cls(points, viewpoint, index, (len(points_m),), None, int(stamp_ns), frame_id)

    def __len__(self) -> int:
        return len(self.points_m)


def are_readings(counts: NDArray[Any]) -> NDArray[np.bool_]:
    """Which integer depth counts are readings: neither 0 nor the largest of their type, which means no reading too.

    A wider type whose values all fit into 16 bits is a 16-bit image, as some PNG readers return it.
    """
    widened = counts.dtype.itemsize > 2 and counts.max(initial=0) <= _LARGEST_16
    largest = _LARGEST_16 if widened else np.iinfo(counts.dtype).max
    return (counts > 0) & (counts != largest)


def checked_intrinsics(K: Array) -> Array:
    """K as float64 [3, 3]; raises InputError, with code no_intrinsics for focal lengths that are not positive."""
    K = np.asarray(K, dtype=np.float64)
    if K.shape != (3, 3):
        raise InputError(f"camera matrix K: found shape {K.shape}, expected (3, 3).")
    if not np.isfinite(K).all() or K[0, 0] <= 0 or K[1, 1] <= 0:
        raise InputError(
            f"camera matrix K: found fx={K[0, 0]:g}, fy={K[1, 1]:g}, expected positive focal lengths in pixels "
            "(an uncalibrated camera publishes zeros).",
            "no_intrinsics",
        )
    if K[1, 0] != 0 or not np.array_equal(K[2], (0.0, 0.0, 1.0)):
        raise InputError(f"camera matrix K: found rows {K[1:].tolist()}, expected [0, fy, cy] and [0, 0, 1].")
    return K


def _readings(depth_m: Array) -> tuple[Array, Indices, tuple[int, int]]:
    """The readings of a depth image [H, W]: depths [N] in metres, their flat pixels [N], and (H, W)."""
    depth = np.asarray(depth_m)
    if depth.ndim != 2 or depth.size == 0:
        raise InputError(f"depth image: found shape {depth.shape}, expected a non-empty (height, width).")
    if not np.issubdtype(depth.dtype, np.floating):
        raise InputError(f"depth image: found {depth.dtype}, expected floats in metres (divide 16UC1 by 1000).")
    flat = depth.ravel()
    with np.errstate(invalid="ignore"):
        index = np.flatnonzero((flat > 0.0) & (flat < np.inf))
    z = flat[index].astype(np.float64)
    _check_metres(z, "depth image")
    seen = (z <= _FARTHEST_M) & (np.abs(z - _LARGEST_16_M) > 1e-5)
    z, index = z[seen], index[seen]
    return z, index, (depth.shape[0], depth.shape[1])


def _check_metres(ranges_m: Array, what: str) -> None:
    """Raises InputError, code not_metres, where most ranges [N] are larger or smaller than any sensor's."""
    # Counting decides the same as the median, and is faster.
    if 2 * np.count_nonzero(ranges_m > _FARTHEST_M) > len(ranges_m):
        found, doubt = f"{float(np.median(ranges_m)):.0f} m", "was it millimetres?"
    elif len(ranges_m) >= _MIN_READINGS and 2 * np.count_nonzero(ranges_m < _NEAREST_M) > len(ranges_m):
        found = f"{float(np.median(ranges_m)):.2g} m, nearer than any depth camera sees"
        doubt = "was the scale in metres a count, or applied twice?"
    else:
        return
    raise InputError(f"{what}: found a median range of {found}, expected metres ({doubt}).", "not_metres")
