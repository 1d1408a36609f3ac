"""Network input: independent of the points' order to the last bit, and equivariant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from pose_node.geometry.se3 import apply, exp_so3, transform
from pose_node.measurement.sampling import CENTRES, POINTS
from pose_node.network.input import prepare

DIAMETER_M = 0.2
ORIGIN = np.zeros(3)
seeds = st.integers(0, 2**31)


def half_shell(seed, count=1500, noise_m=0.001):
    """The side of a squashed ball that a camera at the origin sees."""
    rng = np.random.default_rng(seed)
    n = rng.normal(size=(count, 3))
    n /= np.linalg.norm(n, axis=1, keepdims=True)
    n[:, 2] = -np.abs(n[:, 2])
    return n * (0.1, 0.07, 0.05) + (0.05, -0.02, 0.7) + rng.normal(size=n.shape) * noise_m


def motion(seed):
    rng = np.random.default_rng(seed)
    return transform(exp_so3(rng.normal(size=3)), rng.uniform(-2.0, 2.0, 3))


def rows_in(prepared, points_m):
    """Which of ``points_m`` each prepared point is."""
    back = prepared.points.astype(float) * prepared.scale_m + prepared.centre_m
    apart, rows = cKDTree(points_m).query(back)
    assert apart.max() < 1e-6
    return rows


def same_bytes(a, b):
    arrays = zip((*a.inputs(), a.centre_m, a.centres_m()), (*b.inputs(), b.centre_m, b.centres_m()))
    return a.scale_m == b.scale_m and all(x.dtype == y.dtype and x.tobytes() == y.tobytes() for x, y in arrays)


@pytest.mark.parametrize("count", [60, 128, 700, POINTS, 3000, 9000])
def test_the_order_of_the_points_does_not_matter_to_the_last_bit(count):
    points = half_shell(count, count)
    first = prepare(points, ORIGIN, DIAMETER_M)
    for seed in range(3):
        assert same_bytes(first, prepare(np.random.default_rng(seed).permutation(points), ORIGIN, DIAMETER_M))


@given(seeds)
@settings(max_examples=20)
def test_order_does_not_matter_where_points_tie_or_repeat(seed):
    rng = np.random.default_rng(seed)
    points = rng.integers(-3, 4, size=(300, 3)) * 0.02 + (0.0, 0.0, 1.0)  # a lattice: many twins, many equal distances
    assert same_bytes(prepare(points, ORIGIN, DIAMETER_M), prepare(rng.permutation(points), ORIGIN, DIAMETER_M))


@pytest.mark.parametrize("count", [60, 1500, 5000])
def test_a_motion_of_points_and_viewpoint_picks_the_same_points_and_turns_the_vectors(count):
    points = half_shell(count + 1, count)
    still = prepare(points, ORIGIN, DIAMETER_M)
    for seed in range(4):
        T = motion(seed)
        moved = prepare(apply(T, points), T[:3, 3], DIAMETER_M)
        np.testing.assert_array_equal(rows_in(moved, apply(T, points)), rows_in(still, points))
        np.testing.assert_array_equal(moved.centres, still.centres)
        R = T[:3, :3]
        for name in ("points", "normals", "viewpoint"):
            np.testing.assert_allclose(getattr(moved, name), getattr(still, name) @ R.T, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(moved.centre_m, apply(T, still.centre_m[None])[0], atol=1e-12)
        np.testing.assert_allclose(moved.centres_m(), apply(T, still.centres_m()), atol=1e-6)


@pytest.mark.parametrize("frame", [0, 3])
def test_a_motion_of_a_real_segment_picks_the_same_points(frame):
    pytest.importorskip("PIL", reason="the demo's frames are PNG")
    from pose_node.measurement.cloud import Cloud
    from pose_node.ros.demo import recording

    recorded = recording.read("000002")[frame]
    cloud = Cloud.from_depth(recorded.depth_m, recorded.K)
    points = cloud.points_m[recorded.mask(0).ravel()[cloud.source_index]]
    still = prepare(points, cloud.viewpoint_m, DIAMETER_M)
    T = motion(frame)
    moved = prepare(apply(T, points), T[:3, 3], DIAMETER_M)
    np.testing.assert_array_equal(moved.centres, still.centres)
    np.testing.assert_allclose(moved.points, still.points @ T[:3, :3].T, atol=1e-6)
    np.testing.assert_allclose(moved.normals, still.normals @ T[:3, :3].T, atol=1e-4)


@pytest.mark.parametrize("count", [1, 3, 60, 127, 900, 3000])
def test_no_point_is_repeated(count):
    points = half_shell(2, count)
    prepared = prepare(np.concatenate([points, points[: count // 2]]), ORIGIN, DIAMETER_M)
    expected = min(count, POINTS)
    assert prepared.points.shape == prepared.normals.shape == (expected, 3)
    assert len(np.unique(prepared.points, axis=0)) == expected
    assert prepared.centres.shape == (min(CENTRES, expected),)
    assert len(set(prepared.centres)) == len(prepared.centres)


@given(seeds, st.integers(1, 2500))
@settings(max_examples=20)
def test_the_inputs_shapes_and_units(seed, count):
    points = half_shell(seed, count)
    prepared = prepare(points, ORIGIN, DIAMETER_M)
    assert [a.dtype for a in prepared.inputs()] == [np.float32, np.float32, np.float32, np.int64]
    assert all(np.isfinite(a).all() for a in prepared.inputs())
    np.testing.assert_allclose(np.linalg.norm(prepared.normals, axis=1), 1.0, atol=1e-6)
    towards = prepared.viewpoint - prepared.points
    assert (np.sum(prepared.normals * towards, axis=1) >= -1e-6).all(), "normals look at the viewpoint"
    assert prepared.centres.min() >= 0
    assert prepared.centres.max() < min(count, POINTS)
    assert (np.abs(prepared.centre_m - points.mean(axis=0)) < 0.01).all()
    rows_in(prepared, points)


def test_identical_points_stay_finite():
    prepared = prepare(np.tile([0.1, 0.2, 0.9], (80, 1)), ORIGIN, DIAMETER_M)
    assert all(np.isfinite(a).all() for a in prepared.inputs())


def test_a_cloud_twice_as_large_for_an_object_twice_as_large_has_the_same_points():
    points = half_shell(4)
    np.testing.assert_allclose(
        prepare(2.0 * points, ORIGIN, 2.0 * DIAMETER_M).points, prepare(points, ORIGIN, DIAMETER_M).points, atol=1e-6
    )
