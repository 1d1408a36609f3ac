"""Observations: estimates in the fixed frame, with direction and bias along the line of sight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pose_node.geometry import se3
from pose_node.geometry.symmetry import Symmetry
from pose_node.measurement.sensor import DEFAULT
from pose_node.tracking.observation import Camera, observe
from pose_node.types import Estimate, Evidence, Segment

HALF_TURN = se3.transform(np.diag([-1.0, -1.0, 1.0]), np.zeros(3))
COVARIANCE = np.diag([0.001, 0.002, 0.003, 0.01, 0.02, 0.03]) ** 2
T_FIXED_CAMERA = se3.transform(se3.exp_so3(np.array([0.3, -0.5, 1.0])), np.array([1.0, -2.0, 0.5]))


def estimate(T):
    evidence, segment = Evidence(0.9, 0.0, 0.0, 0.9, 0.9, 0.001), Segment(np.arange(100), "mask", "block")
    return Estimate("block", T, 0.8, COVARIANCE, evidence, segment)


def test_an_observation_is_in_the_fixed_frame(block, pose):
    viewpoint_m = np.array([0.01, 0.02, 0.0])
    found = observe(estimate(pose), pose, Camera(T_FIXED_CAMERA, viewpoint_m, 7), block.card, DEFAULT)
    assert found.stamp_ns == 7
    np.testing.assert_allclose(found.T_fixed_object, T_FIXED_CAMERA @ pose)
    np.testing.assert_allclose(found.covariance, se3.rotate_covariance(T_FIXED_CAMERA[:3, :3], COVARIANCE))
    away_m = se3.apply(pose, block.card.centre_m[None])[0] - viewpoint_m
    np.testing.assert_allclose(pose[:3, :3] @ found.towards, -away_m / np.linalg.norm(away_m))
    np.testing.assert_allclose(np.cross(found.bias, T_FIXED_CAMERA[:3, :3] @ away_m), 0.0, atol=1e-12)


def test_of_symmetric_poses_the_nearest_is_observed(block, pose):
    card = replace(block.card, symmetry=Symmetry(np.stack([np.eye(4), HALF_TURN])))
    camera = Camera(np.eye(4), np.zeros(3), 0)
    found = observe(estimate(pose), pose @ HALF_TURN, camera, card, DEFAULT, near=pose)
    np.testing.assert_allclose(found.T_fixed_object, pose, atol=1e-12)
