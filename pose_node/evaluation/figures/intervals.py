"""Bootstrap intervals by clusters. Neighbouring frames show the same object in the same place, so placements are resampled as
a whole, not frames (Efron and Tibshirani, "An introduction to the bootstrap", 1993; Field and Welsh, "Bootstrapping clustered
data", 2007).

Written by hand: ``scipy.stats.bootstrap`` resamples samples, not clusters, and draws other resamples of a seed, so that all
published intervals would change."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

RESAMPLES = 2000
CONFIDENCE = 0.95
MIN_CLUSTERS = 3  # with fewer clusters there is no interval
_NORMAL = 1.959964  # standard deviations of a normal distribution within which ``CONFIDENCE`` of it lies
_PARTS = 10  # of a recording with few scenes, taken as independent


def mean_interval(
    values: ArrayLike, clusters: Sequence[Hashable], seed: int = 0, resamples: int = RESAMPLES
) -> tuple[np.ndarray, np.ndarray]:
    """The central ``CONFIDENCE`` interval of the mean [...] of values [N, ...]; NaN with fewer than ``MIN_CLUSTERS`` clusters.

    NaN values are missing and count in no mean; resamples without any value are left out.
    """
    values = np.asarray(values, float)
    which, count = _numbered(clusters)
    shape = values.shape[1:]
    if count < MIN_CLUSTERS:
        return np.full(shape, np.nan), np.full(shape, np.nan)
    flat = values.reshape(len(values), -1)
    known = np.isfinite(flat)
    sums, counts = np.zeros((count, flat.shape[1])), np.zeros((count, flat.shape[1]))
    np.add.at(sums, which, np.where(known, flat, 0.0))
    np.add.at(counts, which, known)
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1.0 / count), size=resamples)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (draws @ sums) / (draws @ counts)
    tail = 50.0 * (1.0 - CONFIDENCE)
    defined = np.isfinite(means).any(axis=0)
    low, high = np.full(flat.shape[1], np.nan), np.full(flat.shape[1], np.nan)
    low[defined], high[defined] = np.nanpercentile(means[:, defined], (tail, 100.0 - tail), axis=0)
    return low.reshape(shape), high.reshape(shape)


def statistic_interval(
    values: ArrayLike,
    clusters: Sequence[Hashable],
    statistic: Callable[[np.ndarray], float],
    seed: int = 0,
    resamples: int = 500,
) -> tuple[float, float]:
    """The same for any ``statistic`` of values [N, ...], such as a quantile."""
    values = np.asarray(values, float)
    which, count = _numbered(clusters)
    if count < MIN_CLUSTERS:
        return float("nan"), float("nan")
    members = [values[which == c] for c in range(count)]
    rng = np.random.default_rng(seed)
    drawn = [statistic(np.concatenate([members[c] for c in rng.integers(0, count, count)])) for _ in range(resamples)]
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(drawn, (tail, 100.0 - tail))
    return float(low), float(high)


def share_interval(share: float, count: int) -> tuple[float, float]:
    """The score interval of a share of ``count`` independent trials (Wilson, "Probable inference, the law of succession, and
    statistical inference", 1927)."""
    z2 = _NORMAL**2 / count
    centre, reach = share + z2 / 2.0, math.sqrt(share * (1.0 - share) * z2 + z2**2 / 4.0)
    return (centre - reach) / (1.0 + z2), (centre + reach) / (1.0 + z2)


def share_difference_interval(a: float, count_a: int, b: float, count_b: int) -> tuple[float, float]:
    """The interval of ``b - a`` of two independent shares, from those of each (Newcombe, "Interval estimation for the difference
    between independent proportions", 1998, method 10)."""
    (low_a, high_a), (low_b, high_b) = share_interval(a, count_a), share_interval(b, count_b)
    return b - a - math.hypot(b - low_b, high_a - a), b - a + math.hypot(high_b - b, a - low_a)


def resampling_units(scenes: Sequence[str]) -> list[Hashable]:
    """The clusters of frames, given the scene of each in order: scenes, or tenths of the recording if there are fewer than
    ``MIN_CLUSTERS`` scenes."""
    if len(set(scenes)) >= MIN_CLUSTERS:
        return list(scenes)
    return [(scene, _PARTS * i // len(scenes)) for i, scene in enumerate(scenes)]


def _numbered(clusters: Sequence[Hashable]) -> tuple[np.ndarray, int]:
    """Clusters as numbers [N] from 0, and how many there are."""
    numbers: dict[Hashable, int] = {}
    which = np.array([numbers.setdefault(c, len(numbers)) for c in clusters], dtype=np.intp)
    return which, len(numbers)
