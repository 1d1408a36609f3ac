"""Stated covariances: a round body's turn is unknown, that of one with a handle is known, and none is below the noise."""

from __future__ import annotations

import numpy as np
import pytest

from pose_node.geometry.se3 import exp_so3, rotate_covariance, transform
from pose_node.geometry.symmetry import Axis
from pose_node.measurement.sensor import DEFAULT
from pose_node.pose.covariance import pose_covariance, widen
from pose_node.pose.error_model import depth_bias


def body(handle: bool, roughness_rad: float = 0.05, count: int = 2000):
    """Points [N, 3] and normals of the half of a cylinder that a camera sees, with a plate standing out on it or not."""
    rng = np.random.default_rng(0)
    angle, height = rng.uniform(0.0, np.pi, count), rng.uniform(-0.05, 0.05, count)
    normals = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(count)])
    points = 0.04 * normals + np.column_stack([np.zeros((count, 2)), height])
    normals = normals + roughness_rad * rng.normal(size=normals.shape)
    if handle:
        plate = np.column_stack([np.zeros(200), rng.uniform(0.04, 0.07, 200), rng.uniform(-0.03, 0.03, 200)])
        points, normals = np.concatenate([points, plate]), np.concatenate([normals, np.tile([1.0, 0.0, 0.0], (200, 1))])
    return points, normals / np.linalg.norm(normals, axis=1, keepdims=True)


AWAY = np.array([0.1, 0.2, 0.6])


def turn_sigma_deg(block, T, handle, **of_body):
    points, normals = body(handle, **of_body)
    weight = np.ones(len(points))
    covariance = pose_covariance(T, points, normals, weight, 1e4, AWAY, block.card, DEFAULT)[1]
    axis = T[:3, :3] @ [0.0, 0.0, 1.0]
    return np.degrees(np.sqrt(axis @ covariance[3:, 3:] @ axis))


def test_the_turn_of_a_round_body_is_unknown_and_that_of_one_with_a_handle_is_not(block, pose):
    assert turn_sigma_deg(block, pose, handle=False) > 60.0
    assert turn_sigma_deg(block, pose, handle=True) < 5.0


def test_a_rough_round_body_is_still_unknown_in_turn(block, pose):
    few, more = (turn_sigma_deg(block, pose, False, roughness_rad=r) for r in (0.02, 0.06))
    assert few > 60.0 and more > 60.0


@pytest.mark.parametrize("handle", [False, True])
def test_the_covariance_turns_with_the_pose(block, pose, handle):
    points, normals = body(handle)
    M = transform(exp_so3(np.array([0.3, -0.8, 0.4])), np.array([0.1, 0.2, -0.3]))
    weight = np.ones(len(points))
    for still, turned in zip(
        pose_covariance(pose, points, normals, weight, 1e4, AWAY, block.card, DEFAULT),
        pose_covariance(M @ pose, points, normals, weight, 1e4, M[:3, :3] @ AWAY, block.card, DEFAULT),
    ):
        np.testing.assert_allclose(turned, rotate_covariance(M[:3, :3], still), rtol=1e-6, atol=1e-12)


def test_more_information_lowers_the_variance_down_to_the_shared_errors(block, pose):
    points, normals = body(True)
    few, many, most = (
        np.trace(
            pose_covariance(pose, points, normals, np.ones(len(points)), information, AWAY, block.card, DEFAULT)[1][
                :3, :3
            ]
        )
        for information in (1e3, 1e5, 1e12)
    )
    assert few > many > most > 1e-7


def test_the_depth_bias_is_part_of_the_covariance(block, pose):
    points, normals = body(True)
    aside = np.linalg.norm(AWAY) * np.array([1.0, 0.0, 0.0])
    along, across = (
        pose_covariance(pose, points, normals, np.ones(len(points)), 1e12, away, block.card, DEFAULT)[1]
        for away in (AWAY, aside)
    )
    expected = np.outer(depth_bias(AWAY, DEFAULT), depth_bias(AWAY, DEFAULT)) - np.outer(
        depth_bias(aside, DEFAULT), depth_bias(aside, DEFAULT)
    )
    np.testing.assert_allclose((along - across)[:3, :3], expected, atol=1e-10)


def test_widening_keeps_a_larger_variance(block, pose):
    axis = Axis(np.array([0.0, 0.0, 1.0]), np.zeros(3))
    C = np.eye(6)
    np.testing.assert_array_equal(widen(C, pose, axis, 0.5), C)
    direction = pose[:3, 2]
    assert direction @ widen(C, pose, axis, 2.0)[3:, 3:] @ direction == pytest.approx(2.0)
