"""How a consumer depth camera and a mesh err: noise, which is new in each frame, and what all frames have in common."""

from __future__ import annotations

import numpy as np

from pose_node.arrays import Array

_SHARED_M = 0.0005  # standard deviation from camera intrinsics and mesh, plus _SHARED_PER_M for each metre of range
_SHARED_PER_M = 0.001
_SHARED_RAD = 0.004
_DEPTH_OFFSET_M = 0.00115  # standard deviations of a depth camera's offset (within 2 mm) and scale (within 0.5 %)
_DEPTH_SCALE = 0.0029


def noise_sigma(range_m: float) -> float:
    """Standard deviation in metres of one depth reading at ``range_m``, along the ray."""
    return 0.0005 + 0.0015 * range_m**2


def shared_covariance(range_m: float) -> Array:
    """Covariance [6, 6] of the errors of camera intrinsics and mesh, isotropic: averaging over frames does not reduce it."""
    return np.diag([(_SHARED_M + _SHARED_PER_M * range_m) ** 2] * 3 + [_SHARED_RAD**2] * 3)


def depth_bias(away_m: Array) -> Array:
    """Error of the camera's depth calibration, one standard deviation along the line of sight: [3] metres.

    away_m: [3] from the viewpoint to the object. The error has the same sign in all frames of one camera, so it cancels only
    as far as the lines of sight differ.
    """
    range_m = float(np.linalg.norm(away_m))
    size_m = np.hypot(_DEPTH_OFFSET_M, _DEPTH_SCALE * range_m)
    return away_m * (size_m / max(range_m, 1e-9))


def add_bias(covariance: Array, bias: Array) -> Array:
    """``covariance`` [6, 6] plus that of an error of one standard deviation ``bias``: [3] of the position, or [6] of the pose."""
    total = covariance.copy()
    total[: len(bias), : len(bias)] += np.outer(bias, bias)
    return total
