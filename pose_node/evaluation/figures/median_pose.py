"""The median of poses of one object, and the deviation of each pose from it."""

from __future__ import annotations

import numpy as np

from pose_node.arrays import Array
from pose_node.geometry import se3

_MAX_COMPARED = 60  # orientations, which are compared pairwise


def twists_from_median(poses: Array, among: Array | None = None) -> Array:
    """The twists [N, 6] (metres and radians, axes of the frame) of poses [N, 4, 4] from their median, or from that of ``among``.

    It has the median position, and the orientation with the least mean angle to the others, so outliers do not move it.
    """
    chosen = poses if among is None else among
    median = se3.transform(_median_rotation(chosen[:, :3, :3]), np.median(chosen[:, :3, 3], axis=0))
    return se3.local(median, poses)


def _median_rotation(rotations: Array) -> Array:
    """The one of rotations [N, 3, 3] with the least mean angle to the others, among ``_MAX_COMPARED`` evenly spaced ones."""
    few = rotations[np.unique(np.linspace(0, len(rotations) - 1, _MAX_COMPARED).astype(int))]
    apart = se3.angle(few[:, None].transpose(0, 1, 3, 2) @ few[None])
    return few[int(np.argmin(apart.mean(axis=1)))]
