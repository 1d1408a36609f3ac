"""Blind hypotheses turn with the cloud."""

from __future__ import annotations

import numpy as np

from pose_node.geometry.se3 import apply, exp_so3, transform
from pose_node.measurement.cloud import Cloud
from pose_node.pose.blind_search import blind_poses


def test_blind_poses_turn_with_the_cloud(block, stages, seen, pose):
    cloud, segment = seen(pose)
    T = transform(exp_so3(np.array([0.3, 1.0, -0.4])), np.array([0.5, 0.2, -0.1]))
    moved = Cloud.from_points(apply(T, cloud.points_m), T[:3, 3])
    still = blind_poses(block.card, stages.scene(cloud).view(segment), 40)
    turned = blind_poses(block.card, stages.scene(moved).view(segment), 40)
    np.testing.assert_allclose(turned, T @ still, atol=1e-9)
