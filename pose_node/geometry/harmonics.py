"""Real spherical harmonics up to degree 4 as polynomials.

Component order is m = -l..l, so degree 1 is (y, z, x): the basis of escnn's irreps of SO(3), D_l(R) Y_l(u) = Y_l(R u)
(a test compares the two). The polynomials use only ``*``, ``+`` and ``-``: numpy arrays and torch tensors both fit.
"""

from __future__ import annotations

from typing import Any

MAX_DEGREE = 4


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
