"""SE(3): the group's laws, on random motions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pose_node.geometry import se3

lengths = st.floats(-10.0, 10.0, width=32)
vectors = arrays(float, 3, elements=lengths)
point_sets = arrays(float, (7, 3), elements=lengths)


@st.composite
def rotvecs(draw, largest=np.pi - 1e-3):
    """Rotation vectors shorter than ``largest``, tiny ones among them."""
    direction = draw(arrays(float, 3, elements=st.floats(-1.0, 1.0)).filter(lambda v: np.linalg.norm(v) > 1e-3))
    size = draw(st.one_of(st.floats(0.0, largest), st.floats(0.0, 1e-6)))
    return direction / np.linalg.norm(direction) * size


@st.composite
def poses(draw):
    return se3.transform(se3.exp_so3(draw(rotvecs())), draw(vectors))


@st.composite
def twists(draw):
    return np.concatenate([draw(vectors), draw(rotvecs())])


def is_rotation(R):
    return np.allclose(R @ R.T, np.eye(3), atol=1e-12) and np.isclose(np.linalg.det(R), 1.0, atol=1e-12)


@given(poses())
def test_inverse_undoes_from_both_sides(T):
    np.testing.assert_allclose(T @ se3.invert(T), np.eye(4), atol=1e-12)
    np.testing.assert_allclose(se3.invert(T) @ T, np.eye(4), atol=1e-12)


@given(poses(), poses(), point_sets)
def test_applying_two_is_applying_their_product(A, B, points):
    np.testing.assert_allclose(se3.apply(A, se3.apply(B, points)), se3.apply(A @ B, points), atol=1e-10)


@given(poses(), point_sets)
def test_distances_stay(T, points):
    moved = se3.apply(T, points)
    before = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.testing.assert_allclose(np.linalg.norm(moved[:, None] - moved[None], axis=-1), before, atol=1e-10)


@given(rotvecs())
def test_log_undoes_exp(rotvec):
    R = se3.exp_so3(rotvec)
    assert is_rotation(R)
    np.testing.assert_allclose(se3.log_so3(R), rotvec, atol=1e-9)
    np.testing.assert_allclose(se3.exp_so3(se3.log_so3(R)), R, atol=1e-12)


@given(rotvecs(largest=np.pi))
def test_angle_is_the_length_of_the_rotation_vector(rotvec):
    assert se3.angle(se3.exp_so3(rotvec)) == pytest.approx(np.linalg.norm(rotvec), abs=1e-12)


@given(poses(), twists())
def test_local_undoes_retract(T, twist):
    np.testing.assert_allclose(se3.local(T, se3.retract(T, twist)), twist, atol=1e-7)


@given(poses(), poses())
def test_retract_undoes_local(A, B):
    np.testing.assert_allclose(se3.retract(A, se3.local(A, B)), B, atol=1e-9)


@given(arrays(float, (3, 3), elements=st.floats(-2.0, 2.0)).filter(lambda M: np.abs(np.linalg.det(M)) > 1e-3))
def test_projection_is_the_nearest_rotation(M):
    R = se3.project_so3(M)
    assert is_rotation(R)
    rng = np.random.default_rng(0)
    others = se3.exp_so3(rng.normal(size=(50, 3))) @ R
    assert np.linalg.norm(M - R) <= np.linalg.norm(M - others, axis=(1, 2)).min() + 1e-12


def test_projection_of_a_reflection_is_a_rotation():
    assert is_rotation(se3.project_so3(np.diag([1.0, 1.0, -1.0])))


@given(rotvecs(), rotvecs(largest=1.0))
def test_mean_lies_midway_and_follows_weights(a, b):
    R = se3.exp_so3(a)
    pair = np.stack([R @ se3.exp_so3(b), R @ se3.exp_so3(-b)])
    np.testing.assert_allclose(se3.mean_so3(pair), R, atol=1e-9)
    np.testing.assert_allclose(se3.mean_so3(pair, weights=np.array([1.0, 0.0])), pair[0], atol=1e-9)


@given(rotvecs(), rotvecs(), arrays(float, (6, 6), elements=st.floats(-1.0, 1.0)))
def test_covariances_turn_as_a_group(a, b, root):
    A, B, C = se3.exp_so3(a), se3.exp_so3(b), root @ root.T
    turned = se3.rotate_covariance(A, se3.rotate_covariance(B, C))
    np.testing.assert_allclose(turned, se3.rotate_covariance(A @ B, C), atol=1e-10)
    assert np.trace(turned) == pytest.approx(np.trace(C), abs=1e-9)


def test_covariance_of_a_quarter_turn_about_z():
    quarter = se3.exp_so3(np.array([0.0, 0.0, np.pi / 2]))
    turned = se3.rotate_covariance(quarter, np.diag([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
    np.testing.assert_allclose(turned, np.diag([2.0, 1.0, 3.0, 5.0, 4.0, 6.0]), atol=1e-12)


def test_all_functions_take_batches(rng):
    twists = rng.normal(size=(2, 3, 6))
    T = se3.retract(np.broadcast_to(np.eye(4), (2, 3, 4, 4)), twists)
    assert T.shape == (2, 3, 4, 4)
    one = T[1, 2]
    np.testing.assert_allclose(se3.invert(T)[1, 2], se3.invert(one), atol=1e-15)
    np.testing.assert_allclose(se3.local(np.eye(4)[None, None], T), twists, atol=1e-9)
    np.testing.assert_allclose(se3.angle(T[..., :3, :3]), np.linalg.norm(se3.log_so3(T[..., :3, :3]), axis=-1))
    np.testing.assert_allclose(se3.project_so3(T[..., :3, :3]), T[..., :3, :3], atol=1e-12)
    assert se3.apply(T, rng.normal(size=(5, 3))).shape == (2, 3, 5, 3)


def test_look_at_is_an_optical_frame():
    T_world_camera = se3.look_at(np.array([1.0, 0.0, 0.5]), np.array([0.0, 0.0, 0.5]), up=np.array([0.0, 0.0, 1.0]))
    assert is_rotation(T_world_camera[:3, :3])
    T_camera_world = se3.invert(T_world_camera)
    np.testing.assert_allclose(se3.apply(T_camera_world, np.array([[0.0, 0.0, 0.5]])), [[0.0, 0.0, 1.0]], atol=1e-12)
    above = se3.apply(T_camera_world, np.array([[0.0, 0.0, 0.6]]))[0]
    assert above[1] < 0.0, "what is up in the world has a smaller row, as y points down in an optical frame"


def test_no_rotations_are_no_rotation_vectors():
    assert se3.exp_so3(np.zeros((2, 0, 3))).shape == (2, 0, 3, 3)
    assert se3.log_so3(np.zeros((0, 3, 3))).shape == (0, 3)
