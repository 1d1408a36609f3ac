"""Distances of the segmentation, as multiples of the sensor's tolerance."""

from __future__ import annotations

from typing import Any

import numpy as np

from pose_node.arrays import Array
from pose_node.measurement.sensor import Sensor

_GAP = 1.8
_GAP_SPACINGS = 5.0  # between points next to each other on a surface at a slant
_PLANE = 1.3


def gap(range_m: float | Array, sensor: Sensor, spacing_rad: float = 0.0) -> Any:
    """Distance [...] in metres beyond which neighbouring points at ranges [...] are on different surfaces.

    spacing_rad: angle between neighbouring points.
    """
    return np.maximum(_GAP * sensor.tolerance_m(range_m), _GAP_SPACINGS * spacing_rad * range_m)


def plane_distance(range_m: Array, sensor: Sensor) -> Any:
    """Distance [...] in metres from a plane within which points at ranges [...] are on it."""
    return _PLANE * sensor.tolerance_m(range_m)
