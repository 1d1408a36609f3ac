"""Supports are wider than any object."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_node.config import SegmentConfig
from pose_node.detection.segmentation import segments
from pose_node.measurement.cloud import Cloud

CONFIG = SegmentConfig()


@pytest.mark.parametrize("remove_plane", [True, False])
def test_an_objects_own_face_is_no_support(cards, remove_plane):
    face = np.column_stack([np.random.default_rng(1).uniform(-0.05, 0.05, (2000, 2)), np.full(2000, 0.6)])
    (segment,), _ = segments(Cloud.from_points(face), None, cards, replace(CONFIG, remove_plane=remove_plane))
    assert len(segment.indices) == 2000
