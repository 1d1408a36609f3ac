"""The noise of consumer depth cameras, as a length on the surface."""

from __future__ import annotations

from typing import Any

from pose_node.arrays import Array


def noise_radius(range_m: float | Array) -> Any:
    """Radius in metres of a neighbourhood whose plane averages the noise out, at ``range_m`` (a number or an array)."""
    return 0.004 + 0.004 * range_m**2
