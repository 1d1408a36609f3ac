"""What real cameras do to invariants more often than rendered ones: eroded silhouettes, other noise than stated, fewer readings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_node.arrays import Array

_ERODED_SHARE = 0.7  # of the groups
_MISSTATED = 0.35  # standard deviation of the logarithm of the factor by which a sensor's error is misstated
_LOST = 0.3  # of the eroded samples have no reading, the others that of the background


def eroded(samples: Array, sizes: Sequence[int], rng: np.random.Generator) -> Array:
    """Samples [B, S, 9] of groups of these ``sizes`` (their sum is B) of which many seen at a slant show the background, or nothing.

    A camera loses the border of an object or smears it into the background, and a mesh is a little larger than the object here
    and there. All poses of a group suffer alike, so that this decides nothing among them.
    """
    shape = samples.shape[:2]
    share = np.repeat(rng.uniform(0.0, 0.9, len(sizes)) * (rng.random(len(sizes)) < _ERODED_SHARE), sizes)
    steepest = np.repeat(rng.uniform(0.15, 0.6, len(sizes)), sizes)
    facing, border = samples[..., 3], np.maximum(samples[..., 6], samples[..., 5])
    gone = (facing < steepest[:, None]) & (rng.random(shape) < share[:, None]) & (samples[..., 4] > 0.0)
    hit = rng.random(shape) >= _LOST
    gap = rng.uniform(1.8, 6.0, shape)
    other = np.zeros_like(samples)
    other[..., 3], other[..., 6], other[..., 7] = facing, border, 1.0
    other[..., 0] = other[..., 8] = gap * hit
    other[..., 1] = np.tanh(0.25 * gap) * hit
    other[..., 2] = np.maximum(gap - 1.0, 0.5) * hit
    other[..., 4] = hit
    return np.where(gone[..., None], other, samples)


def rescaled(samples: Array, points: Array, sizes: Sequence[int], rng: np.random.Generator) -> tuple[Array, Array]:
    """Samples [B, S, 9] and points [B, P, 6] of groups of these ``sizes`` whose sensor's error was stated too large or too small."""
    factor = np.repeat(np.exp(rng.normal(scale=_MISSTATED, size=len(sizes))), sizes)[:, None]
    samples, points = samples.copy(), points.copy()
    for values, channels in ((samples, (0, 2, 8)), (points, (0,))):
        for channel in channels:
            values[..., channel] = np.arcsinh(factor * np.sinh(values[..., channel]))
    return samples, points


def thinned(samples: Array, weight: Array, points: Array, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """A random part of the samples [B, S, 9] with their weight [B, S], and of the points [B, P, 6]."""
    keep = rng.permutation(samples.shape[1])[: rng.integers(samples.shape[1] // 3, samples.shape[1] + 1)]
    some = rng.permutation(points.shape[1])[: rng.integers(points.shape[1] // 4, points.shape[1] + 1)]
    left = weight[:, keep]
    return samples[:, keep], left / np.maximum(left.sum(axis=1, keepdims=True), 1e-6), points[:, some]
