"""The middle of many poses of one thing, and how far each of them is from it."""

from __future__ import annotations

import numpy as np

from pose_node.arrays import Array
from pose_node.geometry import se3

_KEPT = 60  # orientations that are compared to find the middle one


def twists_from_median(poses: Array, among: Array | None = None) -> Array:
    """The twists [N, 6] (metres and radians, the frame's axes) of poses [N, 4, 4] from their middle, or from that of ``among``.

    The middle has the median position, and the one of the orientations with the least mean angle to the others: some poses
    that are quite another answer do not move it.
    """
    chosen = poses if among is None else among
    middle = se3.transform(_middle_turn(chosen[:, :3, :3]), np.median(chosen[:, :3, 3], axis=0))
    return se3.local(middle, poses)


def _middle_turn(rotations: Array) -> Array:
    """The one of rotations [N, 3, 3] with the least mean angle to the others, among ``_KEPT`` evenly taken ones."""
    few = rotations[np.unique(np.linspace(0, len(rotations) - 1, _KEPT).astype(int))]
    apart = se3.angle(few[:, None].transpose(0, 1, 3, 2) @ few[None])
    return few[int(np.argmin(apart.mean(axis=1)))]
