"""Whether a bare cloud can have been seen from where it says: a sensor sees no surface through another.

Clouds that were moved to a robot's frame, or merged from several views, show such surfaces from their frame's origin.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from pose_node.arrays import Array
from pose_node.geometry.normals import noise_radius
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.sampling import even_subset
from pose_node.types import Rejected

_POINTS = 20000  # that are looked at
_AROUND = 16  # rays around one that are looked at
_GAPS = 4.0  # noise radii by which a surface lies before another
_BLOCKED = 0.4  # share of the rays around a hidden one: where two surfaces lie behind one another, rays are of both
_MOST_HIDDEN = 0.03  # share that flying pixels may hide: up to 0.024 in whole frames of real cameras


def contradiction(cloud: Cloud) -> Rejected | None:
    """Why a bare cloud was not seen from its viewpoint, as far as it shows; None otherwise, and for depth images."""
    if len(cloud.shape) == 2 or len(cloud) <= _AROUND:
        return None
    share = hidden_share(cloud.points_m, cloud.viewpoint_m)
    if share <= _MOST_HIDDEN:
        return None
    place = ", ".join(f"{x:.2f}" for x in cloud.viewpoint_m)
    return Rejected(
        "viewpoint",
        f"cloud: found {share:.0%} of its points hidden behind others as seen from ({place}) m, expected the sensor's own place "
        "(viewpoint_frame or viewpoint_m), and one view a cloud.",
    )


def hidden_share(points_m: Array, viewpoint_m: Array) -> float:
    """Share of the points [N, 3] that lie behind what many of the rays around theirs hit, as seen from ``viewpoint_m`` [3]."""
    offset = even_subset(points_m, _POINTS) - viewpoint_m
    range_m = np.linalg.norm(offset, axis=1)
    rays = offset / range_m[:, None]
    near = cKDTree(rays).query(rays, k=min(_AROUND + 1, len(rays)))[1][:, 1:]
    blocked = range_m[near] < (range_m - _GAPS * noise_radius(range_m))[:, None]
    return float((blocked.mean(axis=1) > _BLOCKED).mean())
