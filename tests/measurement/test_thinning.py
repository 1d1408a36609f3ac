"""Thinned points: at least a spacing apart, none missing, independent of motion and order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from pose_node.geometry.se3 import apply, exp_so3, transform
from pose_node.measurement.thinning import spaced_subset


def sheet(count, seed=0):
    """Points [count, 3] on a wavy sheet of 10 x 10 cm, and a spacing for each that doubles from one side to the other."""
    xy = np.random.default_rng(seed).uniform(-0.05, 0.05, (count, 2))
    return np.column_stack([xy, 0.5 + 0.01 * np.sin(60.0 * xy[:, 0])]), 0.002 + 0.02 * (xy[:, 1] + 0.05)


@given(st.integers(0, 4000), st.integers(0, 1000))
def test_kept_points_are_apart_and_dropped_ones_are_near_to_a_kept_one(count, seed):
    points, spacing = sheet(count, seed)
    rows = spaced_subset(points, spacing)
    if count == 0:
        assert len(rows) == 0
        return
    kept, least = points[rows], spacing[rows]
    apart = np.linalg.norm(kept[:, None] - kept[None], axis=-1) + np.diag(np.full(len(rows), np.inf))
    # Of two the later one obeys its own spacing, and spacings differ by less than a quarter over so short a way.
    assert (apart >= np.minimum(least[:, None], least[None])).all()
    dropped = np.setdiff1d(np.arange(count), rows)
    if len(dropped):
        assert (cKDTree(kept).query(points[dropped])[0] < spacing[dropped]).all()


def test_sparse_points_are_all_kept():
    points = np.stack(np.meshgrid(*[np.arange(12) * 0.01] * 2, [0.5]), axis=-1).reshape(-1, 3)
    rows = spaced_subset(points, np.full(len(points), 0.009))
    assert sorted(rows) == list(range(len(points)))


@pytest.mark.parametrize("seed", range(3))
def test_neither_a_motion_nor_the_order_changes_the_choice(seed):
    points, spacing = sheet(5000, seed)
    rng = np.random.default_rng(seed)
    M = transform(exp_so3(rng.normal(size=3)), rng.uniform(-1.0, 1.0, 3))
    chosen = set(spaced_subset(points, spacing))
    assert set(spaced_subset(apply(M, points), spacing)) == chosen
    order = rng.permutation(len(points))
    assert np.array_equal(
        points[order][spaced_subset(points[order], spacing[order])], points[spaced_subset(points, spacing)]
    )
    assert set(order[spaced_subset(points[order], spacing[order])]) == chosen


def test_equal_points_are_one():
    rows = spaced_subset(np.tile([[0.1, 0.2, 0.5]], (5000, 1)), np.full(5000, 0.001))
    assert len(rows) == 1
