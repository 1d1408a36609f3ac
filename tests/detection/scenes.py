"""A table with boxes as a depth camera sees it, and a measure of segments."""

from __future__ import annotations

import numpy as np

from pose_node.geometry.se3 import exp_so3

K = np.array([[280.0, 0.0, 159.5], [0.0, 280.0, 119.5], [0.0, 0.0, 1.0]])
SHAPE = (240, 320)


def table_scene(boxes, wall=True):
    """Depth image [m] of a tilted table with upright boxes (x, width, depth, height in metres), and a mask of each."""
    v, u = np.indices(SHAPE, dtype=float)
    rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones(SHAPE)], axis=-1)
    tilt = exp_so3(np.array([0.7, 0.0, 0.0]))
    along = rays @ tilt  # table frame: y down is its normal, the table lies at y = 0.55
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where(along[..., 1] > 1e-6, 0.55 / along[..., 1], 5.0 if wall else np.nan)
        masks = []
        for x, width, deep, height in boxes:
            low = np.array([x - width / 2, 0.55 - height, 0.55 - deep / 2])
            high = np.array([x + width / 2, 0.55, 0.55 + deep / 2])
            t = np.stack([low / along, high / along])
            enter, leave = t.min(axis=0).max(axis=-1), t.max(axis=0).min(axis=-1)
            mask = (enter < leave) & (enter > 0) & (enter < depth)
            depth = np.where(mask, enter, depth)
            masks.append(mask)
    return depth, masks


def share(cloud, segment, mask):
    """Intersection over union of a segment and a mask."""
    inside = np.zeros(len(cloud), bool)
    inside[segment.indices] = True
    truth = mask.ravel()[cloud.source_index]
    return (inside & truth).sum() / (inside | truth).sum()
