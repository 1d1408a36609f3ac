"""Offsets of a smoothed curved surface, against a depth image that is smoothed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from pose_node.objects.surface import Surface
from pose_node.objects.surface_lookup import SurfaceLookup
from pose_node.pose.depth_smoothing import DepthSmoothing

RADIUS_M = 0.04
FOCAL_PX, CENTRE_PX, SIZE = 600.0, 60.0, 121
RANGE_M = 0.8
HALF_PX = 2


def even_directions(count):
    """[count, 3] unit vectors of a Fibonacci lattice."""
    i = np.arange(count) + 0.5
    z, turn = 1.0 - 2.0 * i / count, np.pi * (1.0 + 5.0**0.5) * i
    return np.stack([np.sqrt(1.0 - z * z) * np.cos(turn), np.sqrt(1.0 - z * z) * np.sin(turn), z], axis=1)


@pytest.fixture(scope="module")
def ball():
    normals = even_directions(8192)
    nothing = np.zeros((0, 3)), np.zeros((0, 2048), bool)
    return SurfaceLookup(Surface(RADIUS_M * normals, normals, *nothing), 2.0 * RADIUS_M)


def seen(lookup):
    """A ball on the optical axis through a window: offsets [N] of the readings along the normal, near samples, normals, rays,
    ranges, of pixels whose window sees nothing else."""
    v, u = np.mgrid[:SIZE, :SIZE]
    ray = np.stack([(u - CENTRE_PX) / FOCAL_PX, (v - CENTRE_PX) / FOCAL_PX, np.ones(u.shape)], axis=-1)
    along, square = RANGE_M * ray[..., 2], (ray * ray).sum(axis=-1)
    inside = along**2 - square * (RANGE_M**2 - RADIUS_M**2)
    hit = inside > 0.0
    z = np.where(hit, (along - np.sqrt(np.maximum(inside, 0.0))) / square, 0.0)
    window = 2 * HALF_PX + 1
    whole = uniform_filter(hit.astype(float), window) > 1.0 - 1e-9
    read = (uniform_filter(z, window)[..., None] * ray - [0.0, 0.0, RANGE_M])[whole]
    normals = (z[..., None] * ray - [0.0, 0.0, RANGE_M])[whole] / RADIUS_M
    offset = np.linalg.norm(read, axis=1) - RADIUS_M
    range_m = np.linalg.norm(ray[whole], axis=1) * z[whole]
    return offset, lookup.nearest(read, normals), normals, ray[whole] / np.sqrt(square[whole])[:, None], range_m


def test_offsets_match_a_ball_in_a_smoothed_depth_image(ball):
    offset, near, normals, ray, range_m = seen(ball)
    # The variance of a window of equal pixels.
    width_m = np.sqrt(((2 * HALF_PX + 1) ** 2 - 1) / 12.0) / FOCAL_PX * range_m
    expected, weight = DepthSmoothing(ball).offsets(near, normals, ray, width_m)
    facing = -np.einsum("ni,ni->n", ray, normals) > 0.6
    assert offset[facing].max() < 0.0, "a bulge is read too low"
    np.testing.assert_allclose(expected[facing], offset[facing], rtol=0.25)
    assert np.median(np.abs(expected - offset)[facing] / -offset[facing]) < 0.1
    assert weight[facing].min() > 0.5
    cosine = -np.einsum("ni,ni->n", ray, normals)
    assert weight[cosine < 0.5].max() < weight[cosine > 0.9].min(), "less certain readings weigh less"


def test_offsets_turn_with_the_object(ball):
    _, near, normals, ray, range_m = seen(ball)
    smoothing = DepthSmoothing(ball)
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    turned = DepthSmoothing(
        SurfaceLookup(
            Surface(ball.points_m @ turn.T, ball.normals @ turn.T, np.zeros((0, 3)), np.zeros((0, 2048), bool)), 0.08
        )
    )
    for here, there in zip(
        smoothing.offsets(near, normals, ray, 0.003 * range_m),
        turned.offsets(near, normals @ turn.T, ray @ turn.T, 0.003 * range_m),
    ):
        np.testing.assert_allclose(there, here, rtol=1e-6)


def test_planes_are_not_displaced():
    x, y = np.meshgrid(np.linspace(-0.05, 0.05, 40), np.linspace(-0.05, 0.05, 40))
    points = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1)
    normals = np.tile([0.0, 0.0, 1.0], (len(points), 1))
    lookup = SurfaceLookup(Surface(points, normals, np.zeros((0, 3)), np.zeros((0, 2048), bool)), 0.15)
    ray = np.tile([0.8, 0.0, -0.6], (len(points), 1))
    offset, weight = DepthSmoothing(lookup).offsets(np.arange(len(points)), normals, ray, np.full(len(points), 0.003))
    np.testing.assert_allclose(offset, 0.0, atol=1e-12)
    np.testing.assert_allclose(weight, 1.0)


def test_a_camera_without_smoothing_displaces_nothing(ball):
    _, near, normals, ray, range_m = seen(ball)
    offset, weight = DepthSmoothing(ball).offsets(near, normals, ray, 0.0 * range_m)
    np.testing.assert_allclose(offset, 0.0, atol=1e-12)
    np.testing.assert_allclose(weight, 1.0)
