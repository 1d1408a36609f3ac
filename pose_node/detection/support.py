"""The supporting surfaces, on which objects stand: planes that are wider than any object."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pose_node.arrays import Array
from pose_node.detection.neighbourhood import MIN_POINTS, Neighbourhood
from pose_node.detection.surface_pieces import components
from pose_node.measurement.sampling import even_subset
from pose_node.measurement.sensor import Sensor
from pose_node.objects.card import ObjectCard

_SUBSET = 1500  # points that a plane is fitted to
_TRIALS = 256
_MIN_COSINE = 0.8  # between the plane's normal and that of a point on the plane
_MIN_RADIUS_REL = 0.6  # of the largest object's diameter: a plane's connected piece of this radius is a support


def supports(
    around: Neighbourhood,
    viewpoint_m: Array,
    cards: Mapping[str, ObjectCard],
    gap_m: Array,
    sensor: Sensor,
) -> NDArray[np.bool_]:
    """Which points [N] belong to a support: a connected piece of a plane that is wider than any object.

    All points near a plane would be too many: the lower edges of objects on it, the bottom of a bowl. Planes are searched for,
    the largest first, until one has no such piece.
    gap_m: [N] see ``tolerances.gap``.
    """
    support = np.zeros(len(around.points_m), dtype=bool)
    widest = max(card.diameter_m for card in cards.values())
    while np.count_nonzero(~support) >= MIN_POINTS:
        left = np.flatnonzero(~support)
        plane = _largest_plane(around.points_m[left], viewpoint_m, sensor)
        # Distance and tilt together: the lower edge of a wall is near the table's plane, the top of a box is parallel to it.
        off = (around.points_m @ plane[:3] + plane[3]) / sensor.tolerance_m(np.sqrt(around.range2))
        tilt = (1.0 - np.abs(around.normals @ plane[:3])) / (1.0 - _MIN_COSINE)
        on = ~support & (off * off + tilt * tilt < 1.0)
        # A support is smooth: half of the gap that divides objects divides it.
        label, wide = components(around, on, 0.5 * gap_m), np.zeros(len(support), dtype=bool)
        for piece in np.flatnonzero(np.bincount(label[on]) >= MIN_POINTS):
            flat = label == piece
            points = around.points_m[flat]
            radius_m = np.percentile(np.linalg.norm(points - points.mean(axis=0), axis=1), 90)
            if radius_m >= _MIN_RADIUS_REL * widest:
                wide |= flat
        if not wide.any():
            break
        support |= wide
    return support


def _largest_plane(points: Array, viewpoint_m: Array, sensor: Sensor) -> Array:
    """The plane [4] (unit normal, offset) near most of the points [N, 3]: RANSAC (Fischler, Bolles 1981), then least squares."""
    subset = even_subset(points, _SUBSET)
    rng = np.random.default_rng(0)  # draws ranks in an invariant order, so that a motion of the points changes nothing
    triple = subset[rng.integers(0, len(subset), (_TRIALS, 3))]
    normal = np.cross(triple[:, 1] - triple[:, 0], triple[:, 2] - triple[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    offset = -np.einsum("ti,ti->t", normal, triple[:, 0])
    limit = sensor.tolerance_m(np.linalg.norm(subset - viewpoint_m, axis=1))
    inliers = np.abs(subset @ normal.T + offset) < limit[:, None]
    best = int(inliers.sum(axis=0).argmax())
    plane = np.append(normal[best], offset[best])
    for _ in range(3):
        on = subset[np.abs(subset @ plane[:3] + plane[3]) < limit]
        if len(on) < 3:
            break
        centroid = on.mean(axis=0)
        normal = np.linalg.eigh((on - centroid).T @ (on - centroid))[1][:, 0]
        plane = np.append(normal, -normal @ centroid)
    return plane
