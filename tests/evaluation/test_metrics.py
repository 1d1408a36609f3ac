"""Pose errors: zero for the label and equal poses, invariant to the viewpoint."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_node.arrays import Array
from pose_node.evaluation import metrics
from pose_node.geometry import se3

K = np.array([[600.0, 0.0, 320.0], [0.0, 600.0, 240.0], [0.0, 0.0, 1.0]])
IDENTITY = np.eye(4)[None]
HALF_TURN = {"symmetries_discrete": [np.diag([-1.0, -1.0, 1.0, 1.0]).ravel().tolist()]}
ROUND = {"symmetries_continuous": [{"axis": [0, 0, 1], "offset": [2.0, 0.0, 0.0]}]}


def random_pose(rng: np.random.Generator) -> Array:
    return se3.transform(se3.exp_so3(rng.normal(size=3)), np.array([0.0, 0.0, 1.0]) + 0.1 * rng.normal(size=3))


def cloud(rng: np.random.Generator, count: int = 60) -> Array:
    return rng.normal(size=(count, 3)) * (0.05, 0.03, 0.02)


def half_turn_cloud(rng: np.random.Generator) -> Array:
    points = cloud(rng)
    return np.concatenate([points, points * (-1, -1, 1)])


@given(st.integers(0, 10_000))
def test_the_truth_scores_zero(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, T = cloud(rng), random_pose(rng)
    assert metrics.add(points, T, T) == 0.0
    assert metrics.adds(points, T, T) == 0.0
    assert metrics.mssd(points, T, T, IDENTITY) < 1e-15
    assert metrics.mspd(points, T, T, IDENTITY, K) == 0.0
    assert metrics.rotation_error(T, T, IDENTITY) < 1e-7
    assert metrics.translation_error(T, T, IDENTITY, np.zeros(3)) == 0.0


@given(st.integers(0, 10_000))
def test_symmetric_equivalents_score_zero(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, T = half_turn_cloud(rng), random_pose(rng)
    symmetries = metrics.bop_symmetries(HALF_TURN)
    other = T @ symmetries[1]
    assert metrics.mssd(points, other, T, symmetries) < 1e-12
    assert metrics.mspd(points, other, T, symmetries, K) < 1e-9
    assert metrics.adds(points, other, T) < 1e-12
    assert metrics.rotation_error(other, T, symmetries) < 1e-7
    assert metrics.add(points, other, T) > 0.01
    np.testing.assert_allclose(metrics.nearest_pose(points, other, T, symmetries), other, atol=1e-12)


@given(st.integers(0, 10_000))
def test_errors_do_not_depend_on_the_frame(seed: int) -> None:
    """A rigid motion of both poses leaves the errors in space as they are."""
    rng = np.random.default_rng(seed)
    points, T_est, T_gt, motion = cloud(rng), random_pose(rng), random_pose(rng), random_pose(rng)
    symmetries = metrics.bop_symmetries(HALF_TURN)
    for error in (
        lambda a, b: metrics.add(points, a, b),
        lambda a, b: metrics.adds(points, a, b),
        lambda a, b: metrics.mssd(points, a, b, symmetries),
        lambda a, b: metrics.rotation_error(a, b, symmetries),
        lambda a, b: metrics.translation_error(a, b, symmetries, np.array([0.01, 0.0, 0.0])),
    ):
        assert error(motion @ T_est, motion @ T_gt) == pytest.approx(error(T_est, T_gt), abs=1e-9)


@given(st.integers(0, 10_000))
def test_adds_is_at_most_add_and_add_at_most_mssd(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, T_est, T_gt = cloud(rng), random_pose(rng), random_pose(rng)
    adds, add = metrics.adds(points, T_est, T_gt), metrics.add(points, T_est, T_gt)
    assert adds <= add + 1e-12
    assert add <= metrics.mssd(points, T_est, T_gt, IDENTITY) + 1e-12


@given(st.integers(0, 10_000))
def test_the_hull_is_enough_for_mssd(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, T_est, T_gt = cloud(rng, 300), random_pose(rng), random_pose(rng)
    symmetries = metrics.bop_symmetries(HALF_TURN)
    whole = metrics.mssd(points, T_est, T_gt, symmetries)
    assert metrics.mssd(metrics.hull_points(points), T_est, T_gt, symmetries) == pytest.approx(whole, rel=1e-12)


def test_a_flat_model_is_its_own_hull(rng: np.random.Generator) -> None:
    flat = cloud(rng) * (1, 1, 0)
    assert metrics.hull_points(flat) is flat


def test_known_values() -> None:
    points = np.array([[0.0, 0.0, 0.0], [0.1, 0.0, 0.0]])
    T_gt = se3.transform(np.eye(3), np.array([0.0, 0.0, 1.0]))
    shifted = se3.transform(np.eye(3), np.array([0.03, 0.04, 1.0]))
    assert metrics.add(points, shifted, T_gt) == pytest.approx(0.05)
    assert metrics.mssd(points, shifted, T_gt, IDENTITY) == pytest.approx(0.05)
    assert metrics.mspd(points, shifted, T_gt, IDENTITY, K) == pytest.approx(30.0)
    assert metrics.translation_error(shifted, T_gt, IDENTITY, np.zeros(3)) == pytest.approx(0.05)
    turned = T_gt @ se3.transform(se3.exp_so3(np.array([0.0, 0.0, np.pi / 2])), np.zeros(3))
    assert metrics.rotation_error(turned, T_gt, IDENTITY) == pytest.approx(np.pi / 2)
    assert metrics.mssd(points, turned, T_gt, IDENTITY) == pytest.approx(0.1 * np.sqrt(2))
    assert metrics.add(points, turned, T_gt) == pytest.approx(0.05 * np.sqrt(2))


def test_a_point_behind_the_camera_has_no_projection() -> None:
    T = se3.transform(np.eye(3), np.array([0.0, 0.0, 1.0]))
    behind = se3.transform(np.eye(3), np.array([0.0, 0.0, -1.0]))
    assert metrics.mspd(np.zeros((1, 3)), behind, T, IDENTITY, K) == np.inf


def test_symmetries_come_in_metres_and_as_many_as_bop_makes() -> None:
    symmetries = metrics.bop_symmetries(ROUND)
    assert len(symmetries) == 315  # ceil(pi / 0.01)
    np.testing.assert_array_equal(symmetries[0], np.eye(4))
    on_axis = np.array([[0.002, 0.0, 0.5]])
    np.testing.assert_allclose(se3.apply(symmetries, on_axis), np.broadcast_to(on_axis, (315, 1, 3)), atol=1e-12)
    assert len(metrics.bop_symmetries({**ROUND, **HALF_TURN})) == 630
    assert len(metrics.bop_symmetries({})) == 1


def test_a_round_model_may_be_rotated_about_its_axis(rng: np.random.Generator) -> None:
    """Discretised steps leave at most half a step of the largest radius, and the many truths are searched exactly."""
    turn = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    points = np.stack([0.002 + 0.05 * np.cos(turn), 0.05 * np.sin(turn), 0.03 * np.cos(7 * turn)], axis=1)
    symmetries = metrics.bop_symmetries(ROUND)
    T = random_pose(rng)
    for angle in rng.uniform(0, 2 * np.pi, 10):
        R = se3.exp_so3(np.array([0.0, 0.0, angle]))
        axis = np.array([0.002, 0.0, 0.0])
        other = T @ se3.transform(R, axis - R @ axis)
        error = metrics.mssd(points, other, T, symmetries)
        assert error <= 0.05 * 0.01 + 1e-9
        each = np.linalg.norm(se3.apply(T @ symmetries, points) - se3.apply(other, points), axis=-1).max(axis=1)
        assert error == pytest.approx(each.min(), rel=1e-9)
        assert metrics.rotation_error(other, T, symmetries) <= 0.01 + 1e-9
        assert metrics.translation_error(other, T, symmetries, axis) < 1e-9


def test_depth_symmetries_join_the_declared_ones() -> None:
    info = {**HALF_TURN, "symmetries_depth": [np.diag([1.0, -1.0, -1.0, 1.0]).ravel().tolist()]}
    assert len(metrics.bop_symmetries(info)) == 2
    assert len(metrics.bop_symmetries(info, "_depth")) == 3
    both = {**ROUND, "symmetries_depth_continuous": [{"axis": [0, 0, -1], "offset": [2.0, 0.0, 9.0]}]}
    assert len(metrics.bop_symmetries(both, "_depth")) == 315  # the same line twice is one
    with pytest.raises(ValueError, match="suffix: found 'depth'"):
        metrics.bop_symmetries(info, "depth")
