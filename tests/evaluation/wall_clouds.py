"""Clouds of a slanted wall with known noise, for tests."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from pose_node.measurement.cloud import Cloud

K = np.array([[300.0, 0.0, 119.5], [0.0, 300.0, 89.5], [0.0, 0.0, 1.0]])
SHAPE = (180, 240)


def wall(distance_m, seed, window_px=0.0, bend_m=0.0, tilt_rad=0.2):
    """A slanted wall with 0.4 mm + 1.5 mm/m^2 of noise along the rays, smoothed over ``window_px``, and a bend."""
    rng = np.random.default_rng(seed)
    v, u = np.mgrid[: SHAPE[0], : SHAPE[1]]
    ray = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones(SHAPE)], axis=2)
    z = distance_m / (1.0 + np.tan(tilt_rad) * ray[..., 0])
    noise = rng.normal(size=SHAPE)
    if window_px:
        noise = gaussian_filter(noise, window_px)
        noise /= noise.std()
    length = np.linalg.norm(ray, axis=2)
    range_m = z * length
    error = noise * (0.0004 + 0.0015 * range_m**2) + bend_m * np.sin(2.0 * np.pi * v / SHAPE[0])
    return Cloud.from_depth(z + error / length, K)
