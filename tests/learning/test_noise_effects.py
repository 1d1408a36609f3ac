"""Effects on depth images, one by one."""

import numpy as np
import pytest

from pose_node.learning.noise_effects import field, mesh_error, occlusion_shadow, patches


def test_the_shadow_is_on_one_side():
    depth = np.full((120, 140), 1.2, np.float32)
    depth[30:90, 40:100] = 0.6
    left = occlusion_shadow(depth, 575 * 0.075, False)
    right = occlusion_shadow(depth, 575 * 0.075, True)
    width = 575 * 0.075 * (1 / 0.6 - 1 / 1.2)
    assert left[60].sum() == pytest.approx(width, abs=2) and right[60].sum() == pytest.approx(width, abs=2)
    assert left[60, 100:140].any() != left[60, :40].any()
    assert right[60, 100:140].any() != right[60, :40].any()
    assert not (left & right).any()
    assert not left[:29].any()


def test_fields_have_unit_variance_and_their_correlation_length():
    rng = np.random.default_rng(0)
    for spacing in (1.0, 3.0, 9.0):
        many = np.stack([field((90, 110), spacing, rng) for _ in range(30)])
        assert many.std() == pytest.approx(1.0, abs=0.06)
    assert np.corrcoef(many[:, :, 3:].ravel(), many[:, :, :-3].ravel())[0, 1] > 0.7


def test_patches_cover_their_share():
    rng = np.random.default_rng(0)
    shares = [patches((100, 100), 0.05, 3.0, rng).mean() for _ in range(30)]
    assert np.mean(shares) == pytest.approx(0.05, abs=0.015)
    assert not patches((50, 50), 0.0, 3.0, rng).any()


def test_the_mesh_error_is_smooth_and_bounded():
    rng = np.random.default_rng(0)
    points = np.random.default_rng(1).normal(size=(500, 3)) * 0.05
    shift = mesh_error(points, 0.1, 0.0015, np.random.default_rng(2))
    beside = mesh_error(points + rng.normal(size=points.shape) * 1e-3, 0.1, 0.0015, np.random.default_rng(2))
    assert 0.0003 < np.abs(shift).max() <= 0.0015 + 1e-7
    assert np.abs(shift - beside).max() < 0.0006
