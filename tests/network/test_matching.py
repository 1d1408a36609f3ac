"""Poses from per-point predictions: exact for exact ones, robust to wrong ones, equivariant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_node.geometry.se3 import angle, apply, exp_so3, transform
from pose_node.geometry.symmetry import Axis, Symmetry, rotation_grid
from pose_node.network.matching import consensus, densest, frames_to_rotations, weighted_centre

seeds = st.integers(0, 2**31)
ASYMMETRIC = Symmetry(np.eye(4)[None])
HALF_TURN = transform(exp_so3(np.array([0.0, 0.0, np.pi])), np.zeros(3))


def rotation(rng, largest=np.pi):
    axis = rng.normal(size=3)
    return exp_so3(axis / np.linalg.norm(axis) * rng.uniform(0.0, largest))


def apart(A, B):
    """Angle between rotations in radians."""
    return angle(np.swapaxes(A, -1, -2) @ B)


def correspondences(rng, count=128, wrong=0.0, noise=0.0, turn_noise=0.0):
    """A pose, and each point's predictions of it: (R, t, seen, known, frames); the first ``wrong`` share is nonsense."""
    R, t = rotation(rng), rng.uniform(-0.3, 0.3, 3)
    known = rng.uniform(-0.4, 0.4, (count, 3))
    seen = known @ R.T + t + noise * rng.normal(size=known.shape)
    frames = exp_so3(turn_noise * rng.normal(size=(count, 3))) @ R
    bad = int(wrong * count)
    known[:bad] = rng.uniform(-0.4, 0.4, (bad, 3))
    frames[:bad] = exp_so3(rng.normal(size=(bad, 3)) * 2.0)
    return R, t, seen, known, frames


@given(seeds)
def test_axes_of_any_length_and_with_a_skew_become_rotations(seed):
    rng = np.random.default_rng(seed)
    R = rotation_grid(20)
    axes = np.swapaxes(R, -1, -2)[:, :2]
    np.testing.assert_allclose(frames_to_rotations(axes), R, atol=1e-12)
    np.testing.assert_allclose(frames_to_rotations(3.0 * axes), R, atol=1e-12)
    skewed = frames_to_rotations(axes + 0.2 * rng.normal(size=axes.shape))
    np.testing.assert_allclose(skewed @ np.swapaxes(skewed, -1, -2), np.tile(np.eye(3), (20, 1, 1)), atol=1e-12)
    assert (np.linalg.det(skewed) > 0).all()


@given(seeds)
def test_frames_turn_with_the_cloud(seed):
    rng = np.random.default_rng(seed)
    axes, R = rng.normal(size=(30, 2, 3)), rotation(rng)
    np.testing.assert_allclose(frames_to_rotations(axes @ R.T), R @ frames_to_rotations(axes), atol=1e-7)


@given(seeds)
def test_the_centre_is_robust_and_moves_with_the_cloud(seed):
    rng = np.random.default_rng(seed)
    votes = 0.02 * rng.normal(size=(100, 3))
    votes[:40] += rng.uniform(0.2, 0.6, (40, 3))  # all to one side: the mean would be off by 0.28
    weight = rng.uniform(0.5, 1.0, 100)
    centre = weighted_centre(votes, weight)
    assert np.linalg.norm(centre) < 0.06
    T = transform(rotation(rng), rng.normal(size=3))
    np.testing.assert_allclose(weighted_centre(apply(T, votes), weight), apply(T, centre[None])[0], atol=1e-9)


def test_the_centre_of_no_votes_is_finite():
    assert np.isfinite(weighted_centre(np.ones((10, 3)), np.zeros(10))).all()


@given(seeds)
@settings(max_examples=25)
def test_a_pose_is_found_among_forty_percent_of_nonsense(seed):
    R, t, seen, known, frames = correspondences(np.random.default_rng(seed), 128, 0.4, 0.01, 0.15)
    found_R, found_t, support = consensus(seen, known, frames, np.full(128, 1.0 / 128))[0]
    assert apart(found_R, R) < np.deg2rad(1.5)
    assert np.linalg.norm(found_t - t) < 0.01
    assert 0.5 < support < 0.7, "the share that agrees"


@given(seeds)
@settings(max_examples=25)
def test_exact_correspondences_give_the_exact_pose(seed):
    R, t, seen, known, frames = correspondences(np.random.default_rng(seed), 60)
    for found_R, found_t, support in consensus(seen, known, frames, np.full(60, 1.0 / 60))[:2]:
        np.testing.assert_allclose(found_R, R, atol=1e-6)
        np.testing.assert_allclose(found_t, t, atol=1e-6)
        assert support == pytest.approx(1.0)


@given(seeds)
@settings(max_examples=15)
def test_consensus_moves_with_the_cloud(seed):
    rng = np.random.default_rng(seed)
    _, _, seen, known, frames = correspondences(rng, 80, 0.4, 0.02, 0.2)
    T, weight = transform(rotation(rng), rng.normal(size=3)), np.full(80, 1.0 / 80)
    still = consensus(seen, known, frames, weight)
    moved = consensus(apply(T, seen), known, T[:3, :3] @ frames, weight)
    assert len(moved) == len(still)
    for (A, a, s), (B, b, r) in zip(still, moved):
        np.testing.assert_allclose(transform(B, b), T @ transform(A, a), atol=1e-6)
        assert s == pytest.approx(r, abs=1e-9)


def test_two_equally_supported_poses_are_both_proposed(rng):
    """Half of the points support each of two poses: a symmetric view."""
    R, _, seen, known, frames = correspondences(rng, 128, 0.0, 0.005)
    turn = exp_so3(np.array([0.0, 0.0, np.pi]))
    known[::2], frames[::2] = known[::2] @ turn.T, frames[::2] @ turn.T
    found = consensus(seen, known, frames, np.full(128, 1.0 / 128))
    for wanted in (R, R @ turn.T):
        assert min(apart(found_R, wanted) for found_R, _, _ in found[:3]) < np.deg2rad(2.0)


@given(seeds)
@settings(max_examples=20)
def test_the_densest_votes_come_first_and_turn_with_the_cloud(seed):
    rng = np.random.default_rng(seed)
    A, B = rotation(rng), None
    while B is None or apart(A, B) < 1.2:
        B = rotation(rng)
    votes = np.concatenate([exp_so3(0.08 * rng.normal(size=(60, 3))) @ A, exp_so3(0.08 * rng.normal(size=(40, 3))) @ B])
    found = densest(votes, np.ones(100), ASYMMETRIC, 5)
    assert apart(found[0][0], A) < np.deg2rad(3.0)
    assert apart(found[1][0], B) < np.deg2rad(3.0)
    assert found[0][1] > found[1][1] > 0.2
    R = rotation(rng)
    for (still, s), (moved, m) in zip(found, densest(R @ votes, np.ones(100), ASYMMETRIC, 5)):
        np.testing.assert_allclose(moved, R @ still, atol=1e-7)
        assert s == pytest.approx(m)


def test_votes_for_equal_poses_count_together(rng):
    symmetry = Symmetry(np.stack([np.eye(4), HALF_TURN]))
    A = rotation(rng)
    votes = exp_so3(0.05 * rng.normal(size=(100, 3))) @ A
    votes[::2] = votes[::2] @ HALF_TURN[:3, :3]
    (R, share), *_ = densest(votes, np.ones(100), symmetry, 3)
    assert min(apart(R, A), apart(R, A @ HALF_TURN[:3, :3])) < np.deg2rad(2.0)
    assert share > 0.9
    assert densest(votes, np.ones(100), ASYMMETRIC, 3)[0][1] < 0.55


def test_votes_about_an_axis_of_symmetry_count_together(rng):
    symmetry = Symmetry(np.eye(4)[None], (Axis(np.array([0.0, 0.0, 1.0]), np.zeros(3)),))
    A = rotation(rng)
    turns = exp_so3(rng.uniform(-np.pi, np.pi, 100)[:, None] * np.array([0.0, 0.0, 1.0]))
    R, share = densest(exp_so3(0.03 * rng.normal(size=(100, 3))) @ A @ turns, np.ones(100), symmetry, 3)[0]
    assert np.arccos(np.clip(R[:, 2] @ A[:, 2], -1, 1)) < np.deg2rad(2.0)
    assert share > 0.9
