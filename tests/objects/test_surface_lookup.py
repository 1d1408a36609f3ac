"""The surface lookup: close to the exact surface, exact about thin walls, smooth between the samples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from pose_node.objects.surface import Surface
from pose_node.objects.surface_lookup import SurfaceLookup


@pytest.fixture(scope="module")
def lookup(block):
    return SurfaceLookup(block.card.surface, block.card.diameter_m)


def near_surface(block, rng, count=500, off_m=0.004):
    rows = rng.integers(0, 8192, count)
    surface = block.card.surface
    return surface.points_m[rows] + rng.normal(0, off_m, (count, 3)), surface.normals[rows]


def test_nearest_is_at_most_the_table_error_worse_than_exact(block, lookup):
    x, normal = near_surface(block, np.random.default_rng(0))
    found = np.linalg.norm(x - lookup.points_m[lookup.nearest(x, normal)], axis=1)
    exact = cKDTree(lookup.points_m).query(x)[0]
    # An edge between faces may make the point on the facing side lie farther off, so most and not all.
    assert np.mean(found < exact + lookup.table_error_m) > 0.98


def test_points_far_outside_the_table_get_a_sample(lookup):
    index = lookup.nearest(np.array([[10.0, -10.0, 3.0]]), np.array([[0.0, 0.0, 1.0]]))
    assert 0 <= index[0] < len(lookup.points_m)


def test_distance_bound_holds(block, lookup):
    x, _ = near_surface(block, np.random.default_rng(1), off_m=0.01)
    exact = cKDTree(lookup.points_m).query(x)[0]
    bound = lookup.distance_bound(x)
    assert np.all(bound >= exact - 1e-12) and np.all(bound < exact + lookup.table_error_m)


def test_surface_distance_is_that_of_the_face(lookup):
    x = np.array([[0.0, 0.0, 0.033], [0.01, -0.01, 0.027]])  # the block's top lies at z = 0.03
    distance, gradient, _, _ = lookup.surface(x, np.tile([0.0, 0.0, 1.0], (2, 1)))
    np.testing.assert_allclose(distance, [0.003, -0.003], atol=1e-9)
    np.testing.assert_allclose(gradient, np.tile([0.0, 0.0, 1.0], (2, 1)), atol=1e-9)


def test_surface_distance_moves_smoothly(block, lookup):
    rng = np.random.default_rng(2)
    x, normal = near_surface(block, rng, off_m=0.001)
    before, gradient, _, _ = lookup.surface(x, normal)
    step = 1e-6 * rng.normal(size=3)
    after = lookup.surface(x + step, normal)[0]
    error = np.abs(after - before - gradient @ step)
    assert np.median(error) < 1e-8 and error.max() < 1e-4


def test_the_sides_of_a_thin_wall_are_distinguished_by_the_normal():
    rng = np.random.default_rng(3)
    flat = np.column_stack([rng.uniform(-0.05, 0.05, (4000, 2)), np.zeros(4000)])
    flat[2000:, 2] = 0.002
    normals = np.tile([0.0, 0.0, -1.0], (4000, 1))
    normals[2000:] *= -1
    mixed = rng.permutation(4000)
    wall = SurfaceLookup(Surface(flat[mixed], normals[mixed], np.eye(3), np.ones((3, 2048), bool)), 0.14)
    x = np.column_stack([rng.uniform(-0.04, 0.04, (50, 2)), np.full(50, 0.001)])
    for sign in (1.0, -1.0):
        facing = np.tile([0.0, 0.0, sign], (50, 1))
        assert np.all(wall.normals[wall.nearest(x, facing), 2] == sign)
        np.testing.assert_allclose(wall.surface(x, facing)[0], -0.001, atol=1e-9)


def test_for_a_direction_that_no_sample_faces_all_samples_count():
    rng = np.random.default_rng(4)
    flat = np.column_stack([rng.uniform(-0.05, 0.05, (3000, 2)), np.zeros(3000)])
    surface = Surface(flat, np.tile([0.0, 0.0, 1.0], (3000, 1)), np.eye(3), np.ones((3, 2048), bool))
    index = SurfaceLookup(surface, 0.14).nearest(np.zeros((1, 3)), np.array([[0.0, 0.0, -1.0]]))
    assert 0 <= index[0] < 3000
