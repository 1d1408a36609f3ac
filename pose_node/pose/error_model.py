"""What the errors of all frames have in common: of camera intrinsics, mesh, and the sensor's bias."""

from __future__ import annotations

import numpy as np

from pose_node.arrays import Array
from pose_node.measurement.sensor import Sensor

_SHARED_BIAS = 0.5  # standard deviation in any direction from intrinsics and mesh, in biases of the sensor
_SHARED_RAD = 0.004


def shared_covariance(range_m: float, sensor: Sensor) -> Array:
    """Covariance [6, 6] of the errors of camera intrinsics and mesh, isotropic: averaging over frames does not reduce it."""
    return np.diag([(_SHARED_BIAS * sensor.bias_m(range_m)) ** 2] * 3 + [_SHARED_RAD**2] * 3)


def depth_bias(away_m: Array, sensor: Sensor) -> Array:
    """Error of the sensor's depth calibration, one standard deviation along the line of sight: [3] metres.

    away_m: [3] from the viewpoint to the object. The error has the same sign in all frames of one camera, so it cancels only
    as far as the lines of sight differ.
    """
    range_m = float(np.linalg.norm(away_m))
    return away_m * (sensor.bias_m(range_m) / max(range_m, 1e-9))


def add_bias(covariance: Array, bias: Array) -> Array:
    """``covariance`` [6, 6] plus that of an error of one standard deviation ``bias``: [3] of the position, or [6] of the pose."""
    total = covariance.copy()
    total[: len(bias), : len(bias)] += np.outer(bias, bias)
    return total
