"""A figure of a summary: its value with the bootstrap interval, {"value", "low", "high"}; the bounds are None without one."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from pose_node.arrays import Array
from pose_node.evaluation.figures.intervals import CONFIDENCE, MIN_CLUSTERS, RESAMPLES, mean_interval


def mean_figure(values: Array, clusters: Sequence[Hashable], seed: int) -> dict[str, float | None]:
    """The mean of values [N]."""
    low, high = mean_interval(values, clusters, seed)
    return _figure(float(values.mean()), float(low), float(high))


def median_figure(values: Array, clusters: Sequence[Hashable], seed: int) -> dict[str, float | None]:
    """The median of the finite values [N]."""
    finite = np.isfinite(values)
    groups: dict[Hashable, list[float]] = {}
    for value, cluster in zip(values[finite], np.array([repr(c) for c in clusters])[finite]):
        groups.setdefault(cluster, []).append(float(value))
    parts = [np.array(group) for group in groups.values()]
    low = high = float("nan")
    if len(parts) >= MIN_CLUSTERS:
        draws = np.random.default_rng(seed).integers(len(parts), size=(RESAMPLES, len(parts)))
        medians = [np.median(np.concatenate([parts[i] for i in draw])) for draw in draws]
        tail = 50.0 * (1.0 - CONFIDENCE)
        low, high = np.percentile(medians, (tail, 100.0 - tail))
    return _figure(float(np.median(values[finite])), float(low), float(high))


def _figure(value: float, low: float, high: float) -> dict[str, float | None]:
    known = np.isfinite(low) and np.isfinite(high)
    return {"value": value, "low": low if known else None, "high": high if known else None}
