"""The peaks of a density over SO(3) do not depend on the grid that the search starts from."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_node.geometry.harmonics import rotation_basis
from pose_node.geometry.se3 import angle, exp_so3
from pose_node.geometry.symmetry import rotation_grid
from pose_node.network.rotation_density import ascend

seeds = st.integers(0, 2**31)
TENTH_DEG = np.deg2rad(0.1)


def rotation(rng, largest=np.pi):
    axis = rng.normal(size=3)
    return exp_so3(axis / np.linalg.norm(axis) * rng.uniform(0.0, largest))


def apart(A, B):
    """Angle between rotations in radians."""
    return angle(np.swapaxes(A, -1, -2) @ B)


@given(seeds)
@settings(max_examples=15)
def test_peaks_do_not_depend_on_the_grid(peaked, seed):
    """The ascent ends at the peak from any grid."""
    rng = np.random.default_rng(seed)
    R = rotation(rng)
    coefficients = peaked(R)
    for _ in range(2):
        grid = rotation(rng) @ rotation_grid(2304)
        start = grid[np.argsort(-(rotation_basis(grid) @ coefficients))[:3]]
        assert apart(ascend(start, coefficients), R).max() < TENTH_DEG


@given(seeds)
@settings(max_examples=10)
def test_both_peaks_are_found_with_any_grid(peaked, seed):
    rng = np.random.default_rng(seed)
    A = rotation(rng)
    B = A @ exp_so3(np.array([0.0, 2.5, 0.0]))
    coefficients = peaked(A) + 0.9 * peaked(B)
    found = []
    for _ in range(2):
        grid = rotation(rng) @ rotation_grid(2304)
        density = rotation_basis(grid) @ coefficients
        starts = [np.where(apart(grid, M) < 0.4, density, -np.inf).argmax() for M in (A, B)]
        found.append(ascend(grid[starts], coefficients))
    assert apart(found[0], found[1]).max() < TENTH_DEG
    assert apart(found[0], np.stack([A, B])).max() < np.deg2rad(5.0), "each a little displaced by the other, no more"


def test_a_flat_density_does_not_run_away():
    R = rotation_grid(10)
    climbed = ascend(R, np.zeros(165))
    assert np.isfinite(climbed).all()
    np.testing.assert_allclose(climbed @ np.swapaxes(climbed, -1, -2), np.tile(np.eye(3), (10, 1, 1)), atol=1e-9)
