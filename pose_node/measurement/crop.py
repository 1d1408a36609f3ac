"""A part of a recording that shows an object whose pose there is known: what fine-tuning learns from and is measured with."""

from __future__ import annotations

from dataclasses import dataclass

from pose_node.arrays import Array


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """points_m: [N, 3], viewpoint_m: [3], T_camera_object: [4, 4], all in the camera's frame.

    group: the same for crops that are not independent, such as those of neighbouring frames.
    """

    points_m: Array
    viewpoint_m: Array
    T_camera_object: Array
    group: str
