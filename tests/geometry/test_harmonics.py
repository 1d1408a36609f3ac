"""Spherical harmonics: the addition theorem, the representation of rotations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import eval_legendre

from pose_node.geometry.harmonics import MAX_DEGREE, solid_harmonics
from pose_node.geometry.se3 import exp_so3

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
