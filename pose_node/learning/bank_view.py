"""One clean view of an object for its bank, as the backbone sees it in training and when an object is added."""

from __future__ import annotations

import numpy as np

from pose_node.arrays import Array
from pose_node.geometry.se3 import invert, transform
from pose_node.learning.render import Renderer, directions, sphere_window

DISTANCE_REL = 3.5  # of the camera from the object's centre, in diameters: a typical range of a depth camera
_SPAN_PX = 72.0  # of the object's bounding sphere: more points than the backbone takes from a view


def bank_view(renderer: Renderer, centre_m: Array, diameter_m: float, direction: Array) -> tuple[Array, Array]:
    """The noise-free surface seen from ``direction`` [3] (unit, object frame, from the object's centre to the camera).

    centre_m: [3] the object's centre. Returns points_m [N, 3] and viewpoint_m [3] in the object frame; N is 0 where nothing is seen.
    """
    viewpoint_m = centre_m + DISTANCE_REL * diameter_m * direction
    side = np.cross(direction, np.eye(3)[np.argmin(np.abs(direction))])
    side = side / np.linalg.norm(side)
    R_camera_object = np.stack([side, np.cross(-direction, side), -direction])
    T_camera_object = transform(R_camera_object, -R_camera_object @ viewpoint_m)
    focal = _SPAN_PX * DISTANCE_REL
    K = np.array([[focal, 0.0, 0.0], [0.0, focal, 0.0], [0.0, 0.0, 1.0]])
    window = sphere_window(np.array([0.0, 0.0, DISTANCE_REL * diameter_m]), 0.5 * diameter_m, K)
    rays = directions(K, window)
    depth_m, _ = renderer.cast(T_camera_object, rays)
    hit = np.isfinite(depth_m)
    points_m = rays[hit].astype(np.float64) * depth_m[hit, None]
    T_object_camera = invert(T_camera_object)
    return points_m @ T_object_camera[:3, :3].T + T_object_camera[:3, 3], viewpoint_m
