"""A pose measured in one frame, as the tracker uses it: in the fixed frame, with its errors split by what they share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_node.arrays import Array
from pose_node.geometry import se3
from pose_node.geometry.symmetry import nearest_symmetric
from pose_node.measurement.sensor import Sensor
from pose_node.objects.card import ObjectCard
from pose_node.pose.error_model import depth_bias, shared_covariance
from pose_node.types import Estimate


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """Where and when a frame was taken: T_fixed_camera [4, 4], viewpoint_m [3] in the camera's frame, stamp_ns."""

    T_fixed_camera: Array
    viewpoint_m: Array
    stamp_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """One measured pose: T_fixed_object [4, 4] with its covariance [6, 6], in the fixed frame's axes.

    shared: [6, 6], and bias: [3] metres (its outer product with itself), the parts of the covariance that all observations
            of a camera have in common, in the fixed frame's axes; see ``pose.error_model``.
    towards: [3] unit vector from the object to the viewpoint, in the object frame.
    """

    T_fixed_object: Array
    covariance: Array
    shared: Array
    bias: Array
    towards: Array
    stamp_ns: int


def observe(
    estimate: Estimate,
    T_camera_object: Array,
    camera: Camera,
    card: ObjectCard,
    sensor: Sensor,
    near: Array | None = None,
) -> Observation:
    """The observation of one pose T_camera_object [4, 4] of an estimate: the leading one, or an alternative.

    near: T_fixed_object [4, 4]; of the poses that are equal by symmetry, the one nearest to it is taken.
    """
    T = camera.T_fixed_camera @ T_camera_object
    if near is not None:
        T = nearest_symmetric(near, T, card.symmetry)
    covariance = se3.rotate_covariance(camera.T_fixed_camera[:3, :3], estimate.covariance)
    viewpoint_m = camera.T_fixed_camera[:3, :3] @ camera.viewpoint_m + camera.T_fixed_camera[:3, 3]
    away_m = T[:3, :3] @ card.centre_m + T[:3, 3] - viewpoint_m
    range_m = float(np.linalg.norm(away_m))
    towards = -T[:3, :3].T @ away_m / range_m
    shared, bias = shared_covariance(range_m, sensor), depth_bias(away_m, sensor)
    return Observation(T, covariance, shared, bias, towards, camera.stamp_ns)
