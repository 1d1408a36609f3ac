"""Augmentation changes what it should and keeps the rest."""

from __future__ import annotations

import numpy as np
import pytest

from pose_node.learning.scorer_augmentation import eroded, rescaled, thinned


@pytest.fixture
def samples(rng):
    x = rng.normal(size=(6, 50, 9)).astype(np.float32)
    x[..., 3], x[..., 4:8] = rng.random((6, 50)), 1.0
    return x


def test_only_samples_at_a_slant_erode_and_they_see_the_background_or_nothing(samples, rng):
    out = eroded(samples, [2, 4], rng)
    changed = (out != samples).any(axis=-1)
    assert changed.any() and samples[..., 3][changed].max() < 0.6
    assert np.array_equal(out[..., 3], samples[..., 3])
    gone = out[changed]
    assert (gone[:, 5] == 0).all() and (gone[gone[:, 4] > 0][:, 0] > 1.5).all()
    assert (gone[gone[:, 4] == 0][:, [0, 1, 2, 8]] == 0).all()


def test_poses_of_a_group_get_the_same_factor(samples, rng):
    points = rng.normal(size=(6, 20, 6)).astype(np.float32)
    x, y = rescaled(samples, points, [2, 4], rng)
    factor = np.sinh(x[..., 0]) / np.sinh(samples[..., 0])
    assert factor == pytest.approx(factor[:, :1].repeat(50, axis=1), rel=1e-3)
    assert factor[0, 0] == pytest.approx(factor[1, 0], rel=1e-3) and factor[0, 0] != pytest.approx(
        factor[2, 0], rel=1e-3
    )
    assert np.array_equal(x[..., 3:8], samples[..., 3:8]) and np.array_equal(y[..., 1:], points[..., 1:])


def test_the_weights_that_are_left_add_up_to_one(samples, rng):
    weight = np.full((6, 50), 0.02, np.float32)
    x, w, y = thinned(samples, weight, samples[..., :6], rng)
    assert x.shape[1] == w.shape[1] <= 50 and len(y[0]) <= 50
    assert w.sum(axis=1) == pytest.approx(np.ones(6))
