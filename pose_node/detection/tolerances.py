"""Distances of the segmentation that grow with the camera's noise, which grows with the square of the range."""

from __future__ import annotations

from pose_node.arrays import Array
from pose_node.config import SegmentConfig

_NOISE_PER_M2 = 0.003  # 1/m


def gap(range2: Array, config: SegmentConfig) -> Array:
    """Distance [...] in metres beyond which neighbouring points at squared ranges [...] are on different surfaces."""
    return config.cluster_gap_m + _NOISE_PER_M2 * range2


def plane_distance(range2: Array, config: SegmentConfig) -> Array:
    """Distance [...] in metres from a plane within which points at squared ranges [...] are on it."""
    return config.plane_distance_m + _NOISE_PER_M2 * range2
