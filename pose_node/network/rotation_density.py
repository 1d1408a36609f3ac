"""The peaks of a network's density over SO(3), by ascent from a fixed grid."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from pose_node.arrays import Array
from pose_node.geometry.harmonics import derivatives, rotation_basis
from pose_node.geometry.se3 import exp_so3
from pose_node.geometry.symmetry import rotation_grid

SAME_RAD = np.deg2rad(20.0)  # rotations closer than this are one mode
_GRID = 2304
_FIRST_STEPS, _LAST_STEPS = 8, 40
_CONVERGED_RAD = 1e-8  # length of the longest step at which the ascent ends
_STARTS, _PEAKS = 20, 4
_MAX_NATS = 4.0  # peaks further below the highest are dropped


def density_peaks(coefficients: Array) -> list[tuple[Array, float]]:
    """The highest maxima (R [3, 3], height relative to the highest) of a log density given by its coefficients [165].

    The ascent starts from the best cells of a fixed grid; where it ends does not depend on the grid.
    """
    grid, basis = search_grid()
    density = basis @ coefficients
    best = np.argsort(-density, kind="stable")[:600]
    starts = best[well_apart(grid[best], SAME_RAD, _STARTS)]
    R = _highest(ascend(grid[starts], coefficients, _FIRST_STEPS), coefficients, 2 * _PEAKS)
    R = _highest(ascend(R, coefficients, _LAST_STEPS), coefficients, _PEAKS)
    height = rotation_basis(R) @ coefficients
    return [(R[i], float(np.exp(height[i] - height[0]))) for i in range(len(R)) if height[i] > height[0] - _MAX_NATS]


@lru_cache(maxsize=1)
def search_grid() -> tuple[Array, Array]:
    """The grid of rotations [_GRID, 3, 3] that the ascent starts from, and their basis [_GRID, 165]; the same for all objects."""
    grid = rotation_grid(_GRID)
    return grid, rotation_basis(grid)


def ascend(R: Array, coefficients: Array, steps: int = 40) -> Array:
    """Maxima [P, 3, 3] of the density reached from rotations [P, 3, 3] by at most ``steps`` bounded Newton steps."""
    slopes = derivatives(coefficients).T
    for _ in range(steps):
        found = rotation_basis(R) @ slopes
        gradient, curvature = found[:, :3], found[:, 3:].reshape(-1, 3, 3)
        size, axes = np.linalg.eigh(curvature)
        # Uphill along each principal axis: |curvature| instead of curvature, bounded below, so that no step goes to a minimum.
        along = np.einsum("pij,pi->pj", axes, gradient)
        step = along / np.maximum(np.abs(size), 1e-3 * (1.0 + np.abs(size).max(axis=1, keepdims=True)))
        step = np.einsum("pij,pj->pi", axes, step)
        length = np.linalg.norm(step, axis=1, keepdims=True)
        R = exp_so3(step * np.minimum(1.0, 0.2 / np.maximum(length, 1e-12))) @ R
        if length.max() < _CONVERGED_RAD:
            break
    return R


def _highest(R: Array, coefficients: Array, count: int) -> Array:
    """At most ``count`` different ones of the rotations [P, 3, 3], highest density first."""
    R = R[np.argsort(-(rotation_basis(R) @ coefficients), kind="stable")]
    return R[well_apart(R, 0.5 * SAME_RAD, count)]


def well_apart(R: Array, angle_rad: float, count: int) -> list[int]:
    """Rows of at most ``count`` of the rotations [N, 3, 3]: each is ``angle_rad`` or more from all that were taken before it."""
    flat = R.reshape(-1, 9)
    left = np.ones(len(flat), dtype=bool)
    taken: list[int] = []
    while len(taken) < count and left.any():
        taken.append(int(left.argmax()))
        left &= flat @ flat[taken[-1]] < 1.0 + 2.0 * np.cos(angle_rad)
    return taken
