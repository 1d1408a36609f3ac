"""Whether a bare cloud can have been seen from its viewpoint: a sensor sees no surface through another.

Clouds that were moved to a robot's frame, or merged from several views, show such surfaces from their frame's origin.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from pose_node.arrays import Array
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.sampling import even_subset
from pose_node.measurement.sensor import DEFAULT, Sensor
from pose_node.types import Rejected

_MAX_POINTS = 20000  # that are tested
_NEIGHBOURS = 16  # rays around each that are compared with it
_MIN_GAP = 3.0  # tolerances of the sensor by which a surface lies in front of another
_SLANT = 2.0  # or so many distances between the rays, as a surface at a slant does
_MIN_BLOCKED = 0.4  # share of the rays around a hidden point that end in front: behind a surface, about half do
_MAX_HIDDEN = 0.03  # share of hidden points; flying pixels make up to 0.024 in whole frames of real cameras


def wrong_viewpoint(cloud: Cloud, sensor: Sensor = DEFAULT) -> list[Rejected]:
    """One warning, with code viewpoint, for a bare cloud that cannot have been seen from its viewpoint; else none."""
    if len(cloud.shape) == 2 or len(cloud) <= _NEIGHBOURS:
        return []
    share = hidden_share(cloud.points_m, cloud.viewpoint_m, sensor)
    if share <= _MAX_HIDDEN:
        return []
    place = ", ".join(f"{x:.2f}" for x in cloud.viewpoint_m)
    reason = (
        f"cloud: found {share:.0%} of its points hidden behind others as seen from ({place}) m, expected the sensor's own "
        "position (viewpoint_frame or viewpoint_m), and one view a cloud."
    )
    return [Rejected("viewpoint", reason)]


def hidden_share(points_m: Array, viewpoint_m: Array, sensor: Sensor = DEFAULT) -> float:
    """Share of the points [N, 3] behind surfaces that many of the neighbouring rays from ``viewpoint_m`` [3] hit."""
    offset = even_subset(points_m, _MAX_POINTS) - viewpoint_m
    if len(offset) < 2:  # all at one place
        return 0.0
    range_m = np.linalg.norm(offset, axis=1)
    rays = offset / range_m[:, None]
    apart, near = (a[:, 1:] for a in cKDTree(rays).query(rays, k=min(_NEIGHBOURS + 1, len(rays))))
    least_m = np.maximum(_MIN_GAP * sensor.tolerance_m(range_m)[:, None], _SLANT * apart * range_m[:, None])
    blocked = range_m[near] < range_m[:, None] - least_m
    return float((blocked.mean(axis=1) > _MIN_BLOCKED).mean())
