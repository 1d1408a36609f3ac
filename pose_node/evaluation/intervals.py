"""Bootstrap intervals of means, by placement: neighbouring frames see the same object in the same place, so whole placements
are drawn, not frames (Efron and Tibshirani, "An introduction to the bootstrap", 1993; Field and Welsh, "Bootstrapping
clustered data", 2007)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

RESAMPLES = 2000
SHARE = 0.95
FEWEST = 3  # placements below which drawing them again says nothing


def mean_interval(
    values: ArrayLike, clusters: Sequence[Hashable], seed: int = 0, resamples: int = RESAMPLES
) -> tuple[np.ndarray, np.ndarray]:
    """The central ``SHARE`` of the means [...] over resampled clusters, of values [N, ...]; NaN below ``FEWEST`` clusters.

    NaN among the values is a measurement that is not there: it counts in no mean, and a draw without any is left out.
    """
    values = np.asarray(values, float)
    _, which = np.unique(np.array([repr(c) for c in clusters], dtype=object).astype(str), return_inverse=True)
    shape, count = values.shape[1:], int(which.max()) + 1 if len(which) else 0
    if count < FEWEST:
        return np.full(shape, np.nan), np.full(shape, np.nan)
    flat = values.reshape(len(values), -1)
    known = np.isfinite(flat)
    sums, counts = np.zeros((count, flat.shape[1])), np.zeros((count, flat.shape[1]))
    np.add.at(sums, which, np.where(known, flat, 0.0))
    np.add.at(counts, which, known)
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1.0 / count), size=resamples)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (draws @ sums) / (draws @ counts)
    tail = 50.0 * (1.0 - SHARE)
    have = np.isfinite(means).any(axis=0)
    low, high = np.full(flat.shape[1], np.nan), np.full(flat.shape[1], np.nan)
    low[have], high[have] = np.nanpercentile(means[:, have], (tail, 100.0 - tail), axis=0)
    return low.reshape(shape), high.reshape(shape)
