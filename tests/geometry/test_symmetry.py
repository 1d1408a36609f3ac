"""Poses up to symmetry: closed forms against brute force, and the rules of a group."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_node.geometry.se3 import angle, apply, invert, transform
from pose_node.geometry.symmetry import (
    Axis,
    Symmetry,
    largest_trace,
    nearest_symmetric,
    rotation_error,
    rotation_grid,
    symmetric_poses,
    translation_error,
    turn,
)

AXIS = Axis(np.array([0.0, 0.6, 0.8]), np.array([0.1, -0.2, 0.05]))  # misses the origin
ACROSS = Axis(np.array([1.0, 0.0, 0.0]), AXIS.origin_m)
NONE = Symmetry(np.eye(4)[None])
HALF_TURN = Symmetry(np.stack([np.eye(4), turn(AXIS, np.pi)]))
QUARTERS = Symmetry(turn(AXIS, np.arange(4) * np.pi / 2))
ROUND = Symmetry(np.eye(4)[None], (AXIS,))
ROUND_BOTH_ENDS = Symmetry(np.stack([np.eye(4), turn(ACROSS, np.pi)]), (AXIS,))
BALL = Symmetry(np.eye(4)[None], tuple(Axis(d, np.array([0.3, 0.1, 0.2])) for d in np.eye(3)))
ALL = {
    "none": NONE,
    "half turn": HALF_TURN,
    "quarters": QUARTERS,
    "round": ROUND,
    "round, both ends": ROUND_BOTH_ENDS,
    "ball": BALL,
}
each_symmetry = pytest.mark.parametrize("symmetry", ALL.values(), ids=ALL.keys())


def poses(rng, *batch):
    count = int(np.prod(batch, dtype=int))
    rotation = Rotation.random(count, random_state=int(rng.integers(2**31))).as_matrix()
    return transform(rotation, rng.normal(size=(count, 3))).reshape(*batch, 4, 4)


def rotation_between(A, B):
    return angle(np.swapaxes(A[..., :3, :3], -1, -2) @ B[..., :3, :3])


@each_symmetry
def test_nearest_is_at_least_as_near_as_any_equal_pose(symmetry, rng):
    T_ref, T = poses(rng, 20), poses(rng, 20)
    nearest = rotation_between(T_ref, nearest_symmetric(T_ref, T, symmetry))
    brute = rotation_between(T_ref[:, None], symmetric_poses(T, symmetry, axis_steps=72)).min(axis=1)
    assert (nearest <= brute + 1e-9).all()
    if len(symmetry.axes) < 2:  # 72 steps are 5 degrees apart
        np.testing.assert_allclose(nearest, brute, atol=np.radians(2.6))


@each_symmetry
def test_the_largest_trace_is_that_of_the_nearest_pose(symmetry, rng):
    T_a, T_b = poses(rng, 7), poses(rng, 9)
    nearest = nearest_symmetric(T_a[:, None], T_b[None], symmetry)[..., :3, :3]
    expected = np.einsum("aij,abij->ab", T_a[:, :3, :3], nearest)
    np.testing.assert_allclose(largest_trace(T_a[:, :3, :3], T_b[:, :3, :3], symmetry), expected, atol=1e-12)


@each_symmetry
def test_equal_poses_have_no_error(symmetry, rng):
    T = poses(rng)
    equal = symmetric_poses(T, symmetry, axis_steps=12)
    assert np.array_equal(equal[0], T) or np.allclose(equal[0], T)
    np.testing.assert_allclose(rotation_error(T, equal, symmetry), 0.0, atol=1e-7)
    point = symmetry.axes[0].origin_m if symmetry.axes else None
    np.testing.assert_allclose(translation_error(T, equal, symmetry, point), 0.0, atol=1e-9)
    np.testing.assert_allclose(translation_error(T, equal, symmetry), 0.0, atol=1e-7)


@each_symmetry
def test_a_turned_world_changes_no_error(symmetry, rng):
    A, B, world = poses(rng, 8), poses(rng, 8), poses(rng)
    np.testing.assert_allclose(
        rotation_error(world @ A, world @ B, symmetry), rotation_error(A, B, symmetry), atol=1e-9
    )
    np.testing.assert_allclose(
        translation_error(world @ A, world @ B, symmetry), translation_error(A, B, symmetry), atol=1e-9
    )


@each_symmetry
def test_batches_broadcast(symmetry, rng):
    A, B = poses(rng, 3, 1), poses(rng, 4)
    together = nearest_symmetric(A, B, symmetry)
    assert together.shape == (3, 4, 4, 4)
    np.testing.assert_allclose(together[2, 1], nearest_symmetric(A[2, 0], B[1], symmetry), atol=1e-12)
    assert rotation_error(A, B, symmetry).shape == translation_error(A, B, symmetry).shape == (3, 4)


@each_symmetry
def test_the_nearest_is_an_equal_pose(symmetry, rng):
    T_ref, T = poses(rng, 10), poses(rng, 10)
    S = invert(T) @ nearest_symmetric(T_ref, T, symmetry)
    if symmetry.axes:
        fixed = symmetry.axes[0].origin_m  # on the axis, and where the half-turn crosses it
        np.testing.assert_allclose(apply(S, fixed[None])[:, 0], np.tile(fixed, (10, 1)), atol=1e-9)
    else:
        apart = np.abs(S[:, None] - symmetry.discrete[None]).max(axis=(-1, -2)).min(axis=1)
        np.testing.assert_allclose(apart, 0.0, atol=1e-9)


def test_an_axis_that_misses_the_origin_moves_it():
    T = turn(AXIS, np.pi)
    assert np.linalg.norm(T[:3, 3]) > 0.05
    assert translation_error(np.eye(4), T, NONE) > 0.05
    assert translation_error(np.eye(4), T, ROUND) == pytest.approx(0.0, abs=1e-12)


def test_the_error_of_a_round_object_is_its_tilt():
    tilt = turn(ACROSS, np.radians(7.0)) @ turn(AXIS, 1.234)
    assert np.degrees(rotation_error(np.eye(4), tilt, ROUND)) == pytest.approx(7.0)
    over = turn(ACROSS, np.pi) @ turn(AXIS, 0.4)  # every turn is equally near: no crash, the pose is an equal one
    assert np.degrees(rotation_error(np.eye(4), over, ROUND)) == pytest.approx(180.0)
    assert np.degrees(rotation_error(np.eye(4), over, ROUND_BOTH_ENDS)) == pytest.approx(0.0, abs=1e-6)


def test_without_symmetry_the_pose_is_unchanged(rng):
    A, B = poses(rng, 5), poses(rng, 5)
    assert np.array_equal(nearest_symmetric(A, B, NONE), B)


def test_ties_do_not_depend_on_rounding():
    quarter = turn(AXIS, np.pi / 4 * (1 + 1e-15))  # as near to the identity as to the quarter turn
    assert np.array_equal(nearest_symmetric(quarter, np.eye(4), QUARTERS), np.eye(4))


def test_the_grid_covers_rotations_evenly(rng):
    grid = rotation_grid(500)
    np.testing.assert_allclose(grid @ np.swapaxes(grid, -1, -2), np.tile(np.eye(3), (500, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(grid), 1.0)
    probes = Rotation.random(200, random_state=0).as_matrix()
    nearest = angle(np.swapaxes(probes[:, None], -1, -2) @ grid[None]).min(axis=1)
    assert np.degrees(nearest.max()) < 35.0
