"""Turned parts: random profiles with steps, grooves, fillets and beads, solid or bored."""

from __future__ import annotations

import numpy as np

from pose_node.learning.mesh_building import revolve
from pose_node.learning.shape_kinds.sections import ring


def profile(rng, sections: tuple[int, int] = (2, 7), thin: float = 0.35) -> tuple[list[float], list[float]]:
    """Radii and heights of a random outside, upwards from z = 0; radii between ``thin`` and 1."""
    radii, heights = [float(rng.uniform(thin, 1.0))], [0.0]

    def to(radius: float, rise: float) -> None:
        radii.append(float(radius))
        heights.append(heights[-1] + float(rise))

    for _ in range(int(rng.integers(*sections))):
        r, rise = radii[-1], rng.uniform(0.1, 0.8)
        kind = rng.integers(6)
        if kind == 0:  # a groove
            deep, wide = r * rng.uniform(0.75, 0.92), rng.uniform(0.05, 0.15)
            for radius, dz in ((r, rise), (deep, 0.01), (deep, wide), (r, 0.01), (r, rise / 2)):
                to(radius, dz)
        elif kind == 1:  # a taper
            to(rng.uniform(thin, 1.0), rise)
        elif kind == 2:  # a fillet
            new, base = rng.uniform(thin, 1.0), heights[-1]
            for a in np.linspace(0, np.pi / 2, 6)[1:]:
                radii.append(float(r + (new - r) * np.sin(a)))
                heights.append(float(base + abs(new - r) * (1 - np.cos(a))))
            to(new, rise)
        elif kind == 3:  # a bead
            at = np.linspace(0, np.pi, 7)
            wide = rng.uniform(0.08, 0.3)
            to(r, rise / 2)
            for a in at[1:]:
                to(r + 0.6 * wide * np.sin(a), wide / 6)
            to(r, rise / 2)
        else:  # a step, and a straight part
            to(rng.uniform(thin, 1.0), 0.004)
            to(radii[-1], rise)
    return radii, heights


def turned(rng):
    """A solid of random steps, grooves, fillets and beads."""
    radii, heights = profile(rng)
    return revolve(radii, np.asarray(heights) * rng.uniform(0.5, 2.5))


def bored(rng):
    """A turned part with a hole through it, in one or two diameters."""
    radii, heights = profile(rng, (1, 5), 0.5)
    heights = list(np.asarray(heights) * rng.uniform(0.3, 1.2))
    low, high = rng.uniform(0.15, 0.9, 2) * min(radii)
    at = rng.uniform(0.2, 0.8) * heights[-1]
    return ring([*radii, high, high, low, low], [*heights, heights[-1], at + 0.005, at - 0.005, 0.0], 36)


def pulley(rng):
    """A wheel with a rim, a web and a hub of other width, bored."""
    wide, hub = rng.uniform(0.15, 0.5), rng.uniform(0.2, 0.4)
    rim, web = rng.uniform(0.75, 0.9), rng.uniform(0.03, 0.12)
    long, groove = wide * rng.uniform(0.5, 1.6), rng.uniform(0.8, 1.0)
    shift = rng.uniform(-0.4, 0.4) * (wide - web)
    bore = hub * rng.uniform(0.3, 0.8)
    upper = [
        (1.0, wide / 2),
        (rim, wide / 2),
        (rim - 0.02, shift + web / 2),
        (hub, shift + web / 2),
        (hub, shift + long),
    ]
    lower = [(hub, shift - long / 2), (hub, shift - web / 2), (rim - 0.02, shift - web / 2), (rim, -wide / 2)]
    points = [
        (1.0, -wide / 2),
        (rim + (1 - rim) * groove, 0.0),
        *upper,
        (bore, shift + long),
        (bore, shift - long / 2),
        *lower,
    ]
    radii, heights = np.array(points).T
    return ring(radii, heights, 48)


KINDS = (turned, bored, pulley)
