"""Supports are wider than any object."""

from __future__ import annotations

import numpy as np

from pose_node.config import SegmentConfig
from pose_node.detection.segmentation import segments
from pose_node.measurement.cloud import Cloud

CONFIG = SegmentConfig()


def test_an_objects_own_face_is_no_support(cards):
    face = np.column_stack([np.random.default_rng(1).uniform(-0.05, 0.05, (2000, 2)), np.full(2000, 0.6)])
    (segment,), _ = segments(Cloud.from_points(face), None, cards, CONFIG)
    assert len(segment.indices) == 2000
