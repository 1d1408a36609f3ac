"""Spherical harmonics and functions on SO(3): the addition theorem, the representation, completeness."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import eval_legendre

from pose_node.geometry.harmonics import (
    COEFFICIENTS,
    MAX_DEGREE,
    anchor_directions,
    derivatives,
    rotation_basis,
    solid_harmonics,
)
from pose_node.geometry.se3 import exp_so3
from pose_node.geometry.symmetry import rotation_grid

seeds = st.integers(0, 2**31)
degrees = range(MAX_DEGREE + 1)


def directions(seed, count=80):
    u = np.random.default_rng(seed).normal(size=(count, 3))
    return u / np.linalg.norm(u, axis=1, keepdims=True)


def harmonics(u, degree):
    """Y_l(u) [..., 2 l + 1]."""
    return np.stack(np.broadcast_arrays(*solid_harmonics(u[..., 0], u[..., 1], u[..., 2], MAX_DEGREE)[degree]), axis=-1)


def representation(R, degree):
    """D_l(R), found from what it does to the harmonics."""
    u = directions(0)
    solution, *_ = np.linalg.lstsq(harmonics(u, degree), harmonics(u @ R.T, degree), rcond=None)
    return solution.T


def blocks(R):
    """Coefficients of a density over SO(3) when the cloud is turned by R: [165, 165]."""
    D = np.zeros((COEFFICIENTS, COEFFICIENTS))
    start = 0
    for degree in degrees:
        width = 2 * degree + 1
        for _ in range(width):
            D[start : start + width, start : start + width] = representation(R, degree)
            start += width
    return D


@given(seeds)
def test_products_are_legendre_polynomials_of_the_cosine(seed):
    u, v = directions(seed, 20), directions(seed + 1, 20)
    for degree in degrees:
        found = np.sum(harmonics(u, degree) * harmonics(v, degree), axis=-1)
        np.testing.assert_allclose(found, eval_legendre(degree, np.sum(u * v, axis=-1)), atol=1e-12)


@given(seeds, st.floats(0.0, 3.0))
def test_they_are_homogeneous(seed, scale):
    u = directions(seed, 5)
    for degree in degrees:
        np.testing.assert_allclose(harmonics(scale * u, degree), scale**degree * harmonics(u, degree), atol=1e-9)


@given(seeds)
@settings(max_examples=20)
def test_a_turn_mixes_each_degree_by_an_orthogonal_matrix(seed):
    R = exp_so3(np.random.default_rng(seed).normal(size=3))
    u = directions(seed)
    for degree in degrees:
        D = representation(R, degree)
        np.testing.assert_allclose(D @ D.T, np.eye(2 * degree + 1), atol=1e-10)
        np.testing.assert_allclose(harmonics(u @ R.T, degree), harmonics(u, degree) @ D.T, atol=1e-10)


@pytest.mark.learning
def test_the_basis_is_that_of_escnns_irreps():
    group = pytest.importorskip("escnn.group", reason="pip install -e '.[escnn]'").so3_group(MAX_DEGREE)
    rng = np.random.default_rng(0)
    for _ in range(10):
        element = group.sample()
        R = element.to("MAT")
        u = directions(int(rng.integers(1000)), 6)
        for degree in degrees:
            D = group.irrep(degree)(element)
            np.testing.assert_allclose(harmonics(u @ R.T, degree), harmonics(u, degree) @ D.T, atol=1e-6)


@pytest.mark.learning
def test_tensors_fit_too():
    torch = pytest.importorskip("torch", reason="the learning side's arrays")
    u = directions(3, 7)
    tensors = solid_harmonics(*torch.tensor(u).unbind(-1), MAX_DEGREE)
    for degree in degrees:
        np.testing.assert_allclose(torch.stack(tensors[degree], dim=-1).numpy(), harmonics(u, degree), atol=1e-12)


def test_only_the_asked_degrees_come():
    for degree in degrees:
        rows = solid_harmonics(0.1, 0.2, 0.3, degree)
        assert [len(row) for row in rows] == [2 * d + 1 for d in range(degree + 1)]


def test_anchor_directions_span_every_degree():
    u = anchor_directions()
    np.testing.assert_allclose(np.linalg.norm(u, axis=1), 1.0, atol=1e-12)
    for degree in degrees:
        Y = harmonics(u[: 2 * degree + 1], degree)
        assert np.linalg.cond(Y) < 100.0, f"degree {degree}"


def test_the_functions_on_rotations_are_independent():
    basis = rotation_basis(rotation_grid(1500))
    assert basis.shape == (1500, COEFFICIENTS)
    assert COEFFICIENTS == 165
    assert np.linalg.matrix_rank(basis) == COEFFICIENTS


def test_batches_of_rotations_keep_their_shape():
    R = rotation_grid(12).reshape(3, 4, 3, 3)
    basis = rotation_basis(R)
    assert basis.shape == (3, 4, COEFFICIENTS)
    np.testing.assert_array_equal(basis[1, 2], rotation_basis(R[1, 2]))


@given(seeds)
@settings(max_examples=20)
def test_a_density_turns_with_the_cloud(seed):
    """f'(R0 R) = f(R) when each coefficient turns as a vector of its degree: what makes the rotation head equivariant."""
    rng = np.random.default_rng(seed)
    coefficients, R0 = rng.normal(size=COEFFICIENTS), exp_so3(rng.normal(size=3))
    R = rotation_grid(50)
    np.testing.assert_allclose(
        rotation_basis(R0 @ R) @ (blocks(R0) @ coefficients), rotation_basis(R) @ coefficients, atol=1e-9
    )


@given(seeds)
@settings(max_examples=20)
def test_derivatives_are_those_of_the_density_under_turns_from_the_left(seed):
    rng = np.random.default_rng(seed)
    coefficients, R, w = rng.normal(size=COEFFICIENTS), rotation_grid(7), rng.normal(size=3)
    found = rotation_basis(R) @ derivatives(coefficients).T
    slope, curvature = found[:, :3] @ w, found[:, 3:].reshape(-1, 3, 3) @ w @ w
    step = 1e-3
    back, here, ahead = (rotation_basis(exp_so3(k * step * w) @ R) @ coefficients for k in (-1, 0, 1))
    np.testing.assert_allclose((ahead - back) / (2.0 * step), slope, atol=0.02)
    np.testing.assert_allclose((ahead - 2.0 * here + back) / step**2, curvature, atol=0.2)
