"""Clouds of any density and size are segmented in all their points within reach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from detection.scenes import table_scene

from pose_node.config import SegmentConfig
from pose_node.detection.segmentation import segments
from pose_node.geometry.se3 import transform
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.sensor import DEFAULT

CONFIG = SegmentConfig()


@pytest.mark.parametrize(
    ("finer", "noise"), [(0.5, 1.0), (1.0, 1.0), (3.0, 1.0), (5.0, 0.0), (5.0, 0.1), (5.0, 1.0)], ids=str
)
@pytest.mark.parametrize("around_m", [0.0, 0.02, 0.1], ids=["alone", "with a rim", "with the wall"])
def test_a_bare_cloud_of_any_density_is_segmented(block, cards, pose, finer, noise, around_m):
    farther = transform(pose[:3, :3], np.array([0.02, -0.01, 1.1]))
    cloud, mask = block.see(farther, 1.5, finer=finer)
    sigma_m = noise * DEFAULT.sigma_m(1.1)
    mine = mask.ravel()[cloud.source_index]
    range_m = np.linalg.norm(cloud.points_m, axis=1, keepdims=True)
    noisy = cloud.points_m * (1.0 + sigma_m * np.random.default_rng(0).normal(size=range_m.shape) / range_m)
    low, high = cloud.points_m[mine, :2].min(axis=0) - around_m, cloud.points_m[mine, :2].max(axis=0) + around_m
    kept = mine | ((cloud.points_m[:, :2] > low) & (cloud.points_m[:, :2] < high)).all(axis=1) & (around_m > 0.0)
    found, rejected = segments(Cloud.from_points(noisy[kept]), None, cards, CONFIG)
    assert not rejected
    mine = np.flatnonzero(mine[kept])
    shares = [len(np.intersect1d(s.indices, mine)) / len(np.union1d(s.indices, mine)) for s in found]
    assert max(shares) > 0.9


def test_too_far_and_too_near_is_ignored(cards):
    face = np.column_stack([np.random.default_rng(1).uniform(-0.05, 0.05, (2000, 2)), np.full(2000, 3.5)])
    assert segments(Cloud.from_points(face), None, cards, CONFIG)[0] == []
    assert segments(Cloud.from_points(face * [1, 1, 0.02]), None, cards, replace(CONFIG, near_m=0.2))[0] == []


def test_large_images_are_thinned(cards):
    depth, masks = table_scene([(0.0, 0.1, 0.07, 0.12)])
    large = np.repeat(np.repeat(depth, 2, axis=0), 2, axis=1)
    big_K = np.array([[560.0, 0, 319.5], [0, 560.0, 239.5], [0, 0, 1]])
    cloud = Cloud.from_depth(large, big_K)
    found, _ = segments(cloud, None, cards, CONFIG)
    mask = np.repeat(np.repeat(masks[0], 2, axis=0), 2, axis=1)
    inside = mask.ravel()[cloud.source_index][found[0].indices]
    assert inside.mean() > 0.9
