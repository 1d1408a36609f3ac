"""The shipped Clebsch-Gordan tensors: those of escnn, and equivariant in the basis of ``geometry.harmonics``."""

from __future__ import annotations

import importlib.util
import warnings
from itertools import product

import numpy as np
import pytest

from pose_node.geometry.harmonics import MAX_DEGREE, solid_harmonics
from pose_node.geometry.symmetry import rotation_grid
from pose_node.learning.coupling_table import MAX_RIGHT_DEGREE, TABLE_FILE, clebsch_gordan, compute_table

DEGREES = range(MAX_DEGREE + 1)
PATHS = [p for p in product(DEGREES, range(MAX_RIGHT_DEGREE + 1), DEGREES) if abs(p[0] - p[1]) <= p[2] <= p[0] + p[1]]


def wigner(R, degree):
    """The matrix D with Y(R u) = D Y(u), from as many directions as are needed to solve for it."""
    u = np.random.default_rng(0).normal(size=(60, 3))
    before, after = (np.stack(solid_harmonics(*v.T, MAX_DEGREE)[degree], axis=-1) for v in (u, u @ R.T))
    return np.linalg.lstsq(before, after, rcond=None)[0].T


@pytest.mark.parametrize(("left", "right", "out"), PATHS)
def test_rotating_both_factors_rotates_the_product(left, right, out):
    tensor = clebsch_gordan(left, right, out)
    assert tensor.shape == (2 * left + 1, 2 * right + 1, 2 * out + 1)
    for R in rotation_grid(5):
        D_left, D_right, D_out = (wigner(R, degree) for degree in (left, right, out))
        rotated = np.einsum("abc,ax,by->xyc", tensor, D_left, D_right)
        np.testing.assert_allclose(rotated, tensor @ D_out.T, atol=1e-6)


@pytest.mark.parametrize(("left", "right"), [p[:2] for p in PATHS if p[2] == p[0] + p[1]])  # all products are there
def test_the_products_of_two_degrees_are_an_orthonormal_basis(left, right):
    outs = range(abs(left - right), left + right + 1)
    columns = np.concatenate([clebsch_gordan(left, right, out) for out in outs], axis=-1)
    square = columns.reshape(-1, columns.shape[-1])
    np.testing.assert_allclose(square.T @ square, np.eye(len(square)), atol=1e-6)


def test_degrees_that_break_the_triangle_rule_have_no_tensor():
    with pytest.raises(KeyError):
        clebsch_gordan(0, 1, 2)


@pytest.fixture(scope="module")
def so3():
    """escnn's SO(3), which works without py3nj; only escnn's own Clebsch-Gordan tensors need that."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`py3nj` package not found")
        return pytest.importorskip("escnn.group").so3_group(MAX_DEGREE)


@pytest.mark.learning
def test_the_table_is_equivariant_under_the_irreps_of_escnn(so3):
    """With the orthonormality above this fixes each tensor up to its sign: SO(3) has each product's parts once."""
    for R in rotation_grid(5):
        D = [so3.irrep(degree)(so3.element(R, "MAT")) for degree in DEGREES]
        for left, right, out in PATHS:
            tensor = clebsch_gordan(left, right, out)
            rotated = np.einsum("abc,ax,by->xyc", tensor, D[left], D[right])
            np.testing.assert_allclose(rotated, tensor @ D[out].T, atol=1e-12)


@pytest.mark.learning
@pytest.mark.skipif(
    importlib.util.find_spec("py3nj") is None, reason="py3nj is not installed: the extra escnn brings it"
)
def test_the_table_is_what_escnn_computes(so3):
    found, expected = dict(np.load(TABLE_FILE)), compute_table()
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        np.testing.assert_allclose(found[key], tensor, atol=1e-12, err_msg=key)


@pytest.mark.learning
def test_schurs_lemma_leaves_one_weight(so3):
    """Why the network's linear maps have a single weight for each pair of channels."""
    for degree in DEGREES:
        np.testing.assert_allclose(so3.irrep(degree).endomorphism_basis(), np.eye(2 * degree + 1)[None], atol=1e-12)
