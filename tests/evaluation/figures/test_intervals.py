"""Intervals have their coverage, and placements are resampled."""

from __future__ import annotations

import numpy as np
import pytest

from pose_node.evaluation.figures.intervals import (
    mean_interval,
    share_difference_interval,
    share_interval,
    statistic_interval,
)


def test_most_intervals_hold_the_mean():
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        values = rng.normal(3.0, 1.0, 60)
        low, high = mean_interval(values, range(60), seed, resamples=400)
        held += low <= 3.0 <= high
    assert 180 <= held <= 200  # 95 % of 200, and what the bootstrap of 60 loses


def test_repeated_frames_narrow_nothing(rng):
    values = rng.normal(size=30)
    once = mean_interval(values, range(30))
    often = mean_interval(np.repeat(values, 10), np.repeat(np.arange(30), 10))
    np.testing.assert_allclose(once, often)
    apart = mean_interval(np.repeat(values, 10), range(300))
    assert apart[1] - apart[0] < 0.5 * (often[1] - often[0])


def test_fewer_than_three_placements_give_no_interval():
    assert np.isnan(mean_interval([1.0, 2.0, 3.0], ["a", "a", "b"])).all()
    assert np.isnan(statistic_interval([1.0, 2.0, 3.0], ["a", "a", "b"], np.median)).all()
    assert np.isnan(mean_interval(np.zeros((0, 4)), [])[0]).all()


def test_each_column_has_its_own_and_nan_counts_in_none(rng):
    values = rng.normal(size=(40, 3))
    values[:, 2] = np.nan
    values[:5, 1] = np.nan
    low, high = mean_interval(values, range(40))
    assert low.shape == high.shape == (3,)
    assert (low[:2] < np.nanmean(values[:, :2], axis=0)).all() and (high[:2] > np.nanmean(values[:, :2], axis=0)).all()
    assert np.isnan([low[2], high[2]]).all()
    alone = mean_interval(values[:, 0], range(40))
    np.testing.assert_allclose([low[0], high[0]], alone)


def test_the_same_seed_gives_the_same_interval(rng):
    values, places = rng.normal(size=50), np.arange(50) // 5
    assert mean_interval(values, places, 1) == mean_interval(values, places, 1)
    assert mean_interval(values, places, 1) != mean_interval(values, places, 2)
    assert statistic_interval(values, places, np.median, 1) == statistic_interval(values, places, np.median, 1)


def test_a_mean_as_any_statistic(rng):
    values = rng.normal(size=200)
    of_mean = mean_interval(values, range(200))
    of_any = statistic_interval(values, range(200), np.mean, resamples=2000)
    np.testing.assert_allclose(of_mean, of_any, atol=0.03)


def test_intervals_of_shares_are_those_of_the_papers():
    """Wilson's of 81 in 263 and Newcombe's of 56 in 70 against 48 in 80 (table II of the latter, method 10)."""
    assert share_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert share_difference_interval(48 / 80, 80, 56 / 70, 70) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    low, high = share_interval(1.0, 10)
    assert 0.7 < low < high == pytest.approx(1.0)
