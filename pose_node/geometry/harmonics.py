"""Real spherical harmonics up to degree 4 as polynomials, and functions on SO(3) built from them.

Component order is m = -l..l, so degree 1 is (y, z, x): the basis of escnn's irreps of SO(3), D_l(R) Y_l(u) = Y_l(R u)
(a test compares the two). The polynomials use only ``*``, ``+`` and ``-``: numpy arrays and torch tensors both fit.

A band-limited function on SO(3) is written f(R) = sum_l sum_j <c_lj, Y_l(R u_j)> with fixed directions u_j in the object
frame: for 2l + 1 directions in general position the Y_l(u_j) span degree l, so this is the full Wigner expansion
(Chirikjian, Kyatkin, "Engineering Applications of Noncommutative Harmonic Analysis", 2001, ch. 9) without Wigner matrices,
and c_lj turns with the cloud as a vector of degree l.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from pose_node.arrays import Array

MAX_DEGREE = 4
COEFFICIENTS = sum((2 * degree + 1) ** 2 for degree in range(MAX_DEGREE + 1))


def solid_harmonics(x: Any, y: Any, z: Any, max_degree: int) -> list[list[Any]]:
    """Harmonic polynomials of vectors, [degree][m], numpy arrays or torch tensors like x, y and z; for a unit vector each degree
    has unit length."""
    rows = [[x * 0 + 1.0], [y, z, x]]
    if max_degree >= 2:
        a = 3.0**0.5
        xx, yy, zz = x * x, y * y, z * z
        rows.append([a * x * y, a * y * z, zz - 0.5 * (xx + yy), a * x * z, 0.5 * a * (xx - yy)])
    if max_degree >= 3:
        rr = xx + yy + zz
        b, c, d = (5 / 8) ** 0.5, 15.0**0.5, (3 / 8) ** 0.5
        rows.append(
            [
                b * y * (3 * xx - yy),
                c * x * y * z,
                d * y * (5 * zz - rr),
                0.5 * z * (5 * zz - 3 * rr),
                d * x * (5 * zz - rr),
                0.5 * c * z * (xx - yy),
                b * x * (xx - 3 * yy),
            ]
        )
    if max_degree >= 4:
        e, f, g, h = (35 / 4) ** 0.5, (35 / 8) ** 0.5, (5 / 4) ** 0.5, (5 / 8) ** 0.5
        rows.append(
            [
                e * x * y * (xx - yy),
                f * y * z * (3 * xx - yy),
                g * x * y * (7 * zz - rr),
                h * y * z * (7 * zz - 3 * rr),
                0.125 * (35 * zz * zz - 30 * zz * rr + 3 * rr * rr),
                h * x * z * (7 * zz - 3 * rr),
                0.5 * g * (xx - yy) * (7 * zz - rr),
                f * x * z * (xx - 3 * yy),
                0.25 * e * (xx * (xx - 3 * yy) - yy * (3 * xx - yy)),
            ]
        )
    return rows[: max_degree + 1]


@lru_cache(maxsize=1)
def anchor_directions() -> Array:
    """The u_j: 2 * MAX_DEGREE + 1 unit vectors [9, 3] in general position (spiral points); degree l uses the first 2l + 1."""
    n = 2 * MAX_DEGREE + 1
    k = np.arange(n) + 0.5
    z = 1.0 - 2.0 * k / n
    turn = k * np.pi * (3.0 - 5.0**0.5)
    ring = np.sqrt(1.0 - z * z)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), z], axis=1)


def rotation_basis(R: Array) -> Array:
    """Values [..., COEFFICIENTS] at R [..., 3, 3] of the functions whose weighted sum is f, ordered (l, j, m)."""
    turned = np.einsum("...ij,nj->n...i", R, anchor_directions())
    rows = solid_harmonics(turned[..., 0], turned[..., 1], turned[..., 2], MAX_DEGREE)
    degrees = []
    for degree, row in enumerate(rows):
        stacked = np.stack(row, axis=-1)[: 2 * degree + 1]  # [j, ..., m]
        degrees.append(np.moveaxis(stacked, 0, -2).reshape(*R.shape[:-2], -1))
    return np.concatenate(degrees, axis=-1)


def derivatives(coefficients: Array) -> Array:
    """Coefficients [12, 165] of the gradient [3] and Hessian [3, 3] of f(exp(w) R) at w = 0, as functions of R.

    coefficients: [165] of f. Turning a vector of degree l is linear in its components, so the derivatives of f have the same
    basis as f.
    """
    slopes, curvatures, start = [], [], 0
    for J in _generators():
        width = J.shape[-1]
        c = coefficients[start : start + width * width].reshape(width, width)
        slope = c @ J
        curvature = slope[:, None] @ J
        slopes.append(slope.reshape(3, -1))
        curvatures.append(0.5 * (curvature + np.swapaxes(curvature, 0, 1)).reshape(9, -1))
        start += width * width
    return np.concatenate([np.concatenate(slopes, axis=1), np.concatenate(curvatures, axis=1)])


@lru_cache(maxsize=1)
def _generators() -> list[Array]:
    """For each degree the matrices [3, 2 l + 1, 2 l + 1] with dY_l(exp(w) u) / dw_a = J_a Y_l(u) at w = 0."""
    step = 1e-30  # complex-step derivative: exact for polynomials (Squire, Trapp 1998)
    anchors = anchor_directions()
    moved = anchors + 1j * step * np.cross(np.eye(3)[:, None], anchors)
    still, slopes = (solid_harmonics(u[..., 0], u[..., 1], u[..., 2], MAX_DEGREE) for u in (anchors, moved))
    out = []
    for degree in range(MAX_DEGREE + 1):
        width = 2 * degree + 1
        Y = np.stack(still[degree], axis=-1)[:width]
        slope = np.stack(slopes[degree], axis=-1)[:, :width].imag / step
        out.append(np.swapaxes(np.linalg.solve(Y, slope), -1, -2))
    return out


@dataclass(frozen=True, slots=True, eq=False)
class RotationDensity:
    """An unnormalised log density over SO(3), given by its ``coefficients`` [165], see ``rotation_basis``."""

    coefficients: Array

    def log(self, R: Array) -> Array:
        """Log density [...] at rotations [..., 3, 3], up to a constant."""
        return rotation_basis(R) @ self.coefficients
