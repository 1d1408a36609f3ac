"""Samples: even, repeatable, and chosen by invariants."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_node.geometry.se3 import exp_so3
from pose_node.measurement.sampling import even_subset, farthest_points

seeds = st.integers(0, 2**31)


def half_ball(seed, count=1500):
    """The side of a squashed ball that a camera at the origin sees, in its own diameters."""
    n = np.random.default_rng(seed).normal(size=(count, 3))
    n /= np.linalg.norm(n, axis=1, keepdims=True)
    n[:, 2] = -np.abs(n[:, 2])
    return n * (0.5, 0.35, 0.25)


@given(seeds, st.integers(1, 400), st.integers(1, 500))
def test_a_subset_has_each_point_once_and_covers_near_and_far(seed, count, wanted):
    points = np.random.default_rng(seed).normal(size=(count, 3))
    kept = even_subset(points, wanted)
    assert len(kept) == min(count, wanted)
    assert len({row.tobytes() for row in kept}) == len(kept)
    assert {row.tobytes() for row in kept} <= {row.tobytes() for row in points}
    distance = np.linalg.norm(kept - points.mean(axis=0), axis=1)
    assert (np.diff(distance) >= -1e-12).all()
    if wanted > 1:
        assert distance[-1] == pytest.approx(np.linalg.norm(points - points.mean(axis=0), axis=1).max())


def test_farthest_points_cover_all_points():
    points = half_ball(5)
    points = even_subset(points - points.mean(axis=0), len(points))
    chosen = points[farthest_points(points, 64)]
    between = np.linalg.norm(chosen[:, None] - chosen[None], axis=-1) + np.eye(64)
    reach = np.linalg.norm(points[:, None] - chosen[None], axis=-1).min(axis=1).max()
    assert reach <= between.min() + 1e-6, "the farthest point left is nearer than any two chosen ones"


@given(seeds)
@settings(max_examples=30)
def test_rounding_does_not_decide_ties(seed):
    """Corners of a lattice tie in every step; turned copies, in the same order, give the same rows."""
    lattice = np.stack(np.meshgrid(*[np.arange(5) - 2.0] * 3, indexing="ij"), axis=-1).reshape(-1, 3) * 0.2
    lattice = lattice[np.argsort(np.sum(lattice**2, axis=1), kind="stable")]
    R = exp_so3(np.random.default_rng(seed).normal(size=3))
    np.testing.assert_array_equal(farthest_points(lattice @ R.T, 60), farthest_points(lattice, 60))


def test_the_first_centre_is_the_farthest_from_the_centroid():
    points = half_ball(6, 500)
    points = even_subset(points - points.mean(axis=0), 500)
    assert farthest_points(points, 1)[0] == len(points) - 1
