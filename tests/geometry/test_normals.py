"""Normals of measured points: exact on a plane, towards the viewpoint, equivariant, independent of the order."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_node.geometry.normals import normals
from pose_node.geometry.se3 import apply, exp_so3, transform

RADIUS_M = 0.0055


def bowl_of_points(rng, count=1500):
    xy = rng.uniform(-0.05, 0.05, (count, 2))
    return np.column_stack([xy, 0.7 + 4.0 * (xy**2).sum(axis=1) + rng.normal(0, 0.0005, count)])


def test_plane():
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(-0.05, 0.05, (2000, 2)), np.full(2000, 0.6)])
    found = normals(points, points[:100], np.zeros(3), RADIUS_M)
    np.testing.assert_allclose(found, np.tile([0.0, 0.0, -1.0], (100, 1)), atol=1e-9)


def test_too_few_neighbours_give_the_direction_to_the_viewpoint():
    alone = np.array([[0.0, 0.0, 1.0], [0.3, 0.0, 1.0], [0.0, 0.4, 1.0]])
    expected = -alone / np.linalg.norm(alone, axis=1, keepdims=True)
    np.testing.assert_allclose(normals(alone, alone, np.zeros(3), 0.01), expected, atol=1e-12)
    np.testing.assert_allclose(normals(alone[:2], alone[:2], np.zeros(3), 0.01), expected[:2], atol=1e-12)
    assert normals(alone, alone[:0], np.zeros(3), 0.01).shape == (0, 3)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31))
def test_a_rigid_motion_turns_them(seed):
    rng = np.random.default_rng(seed)
    points = bowl_of_points(rng)
    T = transform(exp_so3(rng.normal(size=3)), rng.uniform(-1, 1, 3))
    moved = normals(apply(T, points), apply(T, points[:80]), T[:3, 3], RADIUS_M)
    np.testing.assert_allclose(moved, normals(points, points[:80], np.zeros(3), RADIUS_M) @ T[:3, :3].T, atol=1e-8)


def test_the_order_of_the_points_does_not_matter_to_the_last_bit():
    rng = np.random.default_rng(1)
    points = bowl_of_points(rng)
    shuffled = normals(points[rng.permutation(len(points))], points[:80], np.zeros(3), RADIUS_M)
    assert shuffled.tobytes() == normals(points, points[:80], np.zeros(3), RADIUS_M).tobytes()
