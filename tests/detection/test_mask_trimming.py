"""Masks lose what is not the object, and nothing else."""

from __future__ import annotations

import numpy as np
from detection.scenes import share

from pose_node.config import SegmentConfig
from pose_node.detection.segmentation import segments

CONFIG = SegmentConfig()


def test_background_in_a_mask_is_dropped(block, cards, pose):
    cloud, mask = block.see(pose)
    wide = np.zeros_like(mask)
    rows, columns = np.nonzero(mask)
    wide[rows.min() - 3 : rows.max() + 4, columns.min() - 3 : columns.max() + 4] = True  # the wall is 0.3 m behind
    (segment,), _ = segments(cloud, {"block": [wide]}, cards, CONFIG)
    assert share(cloud, segment, mask) > 0.99


def test_parts_that_an_occluder_cut_off_stay(block, cards, pose):
    cloud, mask = block.see(pose)
    _, columns = np.nonzero(mask)
    cut = mask.copy()
    centre = int(np.median(columns))
    cut[:, centre - 4 : centre + 5] = False
    (segment,), _ = segments(cloud, {"block": [cut]}, cards, CONFIG)
    assert share(cloud, segment, cut) > 0.99
