"""Distances of the segmentation, from the sensor's tolerance."""

from __future__ import annotations

from typing import Any

import numpy as np

from pose_node.arrays import Array
from pose_node.measurement.sensor import Sensor

_GAP_SPACINGS = 5.0  # between points next to each other on a surface at a slant


def gap(range_m: float | Array, sensor: Sensor, spacing_rad: float = 0.0) -> Any:
    """Distance [...] in metres beyond which neighbouring points at ranges [...] are on different surfaces.

    Each of the points may be off by its own tolerance. spacing_rad: angle between neighbouring points.
    """
    return np.maximum(2.0 * sensor.tolerance_m(range_m), _GAP_SPACINGS * spacing_rad * range_m)
