"""Extruded profiles: structural sections, random polygons with holes."""

from __future__ import annotations

import numpy as np

from pose_node.learning.mesh_building import polycubes
from pose_node.learning.mesh_filling import extrude
from pose_node.learning.shape_kinds.placing import moved, together
from pose_node.learning.shape_kinds.sections import circle, clearance, rectangle, rounded_corners, rounded_rectangle


def l_profile(rng):
    a, b = rng.integers(2, 5, 2)
    return polycubes([(i, 0, 0) for i in range(a)] + [(0, j, 0) for j in range(b)], (0.25, 0.25, rng.uniform(0.2, 1.2)))


def u_profile(rng):
    a, b = rng.integers(2, 4, 2)
    cells = [(i, 0, 0) for i in range(-1, a + 1)] + [(k, j, 0) for j in range(1, b + 1) for k in (-1, a)]
    return polycubes(cells, (0.22, 0.22, rng.uniform(0.2, 1.0)))


def t_profile(rng):
    a, b = rng.integers(1, 3), rng.integers(2, 5)
    cells = [(i, 0, 0) for i in range(-a, a + 1)] + [(0, j, 0) for j in range(1, b)]
    return polycubes(cells, (0.22, 0.22, rng.uniform(0.2, 1.0)))


def section_profile(rng):
    """An H, C, Z or hat section with unequal flanges, its corners filleted."""
    w = rng.uniform(0.06, 0.2) / 2  # half of the web
    a, b, c, d = rng.uniform(0.2, 0.9, 4)  # lengths of flanges
    t, u = rng.uniform(0.06, 0.22, 2)  # their thicknesses
    high = 1 - u
    foot = [(w + a, 0), (w + a, t), (w, t)]
    outline = np.array((
        [(-w - b, 0), *foot, (w, high), (w + c, high), (w + c, 1), (-w - d, 1), (-w - d, high), (-w, high), (-w, t), (-w - b, t)],
        [(-w, 0), *foot, (w, high), (w + c, high), (w + c, 1), (-w, 1)],
        [(-w, 0), *foot, (w, 1), (-w - c, 1), (-w - c, high), (-w, high)],
        [(-b - d, 0), (-d, 0), (-d, 1 - t), (d, 1 - t), (d, 0), (d + a, 0), (d + a, t), (d + t, t), (d + t, 1), (-d - t, 1),
         (-d - t, t), (-b - d, t)],
    )[int(rng.integers(4))])  # fmt: skip
    outline = outline * (1.0, rng.uniform(0.5, 1.5))
    return extrude(
        rounded_corners(outline, rng.uniform(0.0, 0.05) + 0.005, 3), np.exp(rng.uniform(np.log(0.15), np.log(3)))
    )


def polygon(rng, corners: tuple[int, int] = (4, 10), thin: float = 0.45):
    """Corners [P, 2] of a random polygon about the origin, its radii between ``thin`` and 1."""
    count = int(rng.integers(*corners))
    at = 2 * np.pi * (np.arange(count) + rng.uniform(-0.35, 0.35, count)) / count
    return np.stack([np.cos(at), np.sin(at)], 1) * rng.uniform(thin, 1.0, count)[:, None]


def polygon_profile(rng):
    """A random polygon with filleted corners, stretched, and round or square holes around its middle."""
    stretch = np.array([1.0, rng.uniform(0.4, 1.0)])
    outline = rounded_corners(polygon(rng), rng.uniform(0.01, 0.4), 4) * stretch
    holes = []
    if rng.random() < 0.7:
        inner = 0.85 * clearance(outline)
        if rng.random() < 0.5:
            radius = inner * rng.uniform(0.3, 0.9)
            holes = [circle(radius, 20, rng.uniform(-1, 1, 2) * (inner - radius) * 0.7)]
        else:
            radius, aside = inner * rng.uniform(0.15, 0.4), np.array([0.55 * inner, 0.0])
            side = 1.7 * inner * rng.uniform(0.15, 0.4)
            holes = [circle(radius, 14, aside), rounded_rectangle(side, side, 0.1 * side, 3) - aside]
    return extrude(outline, np.exp(rng.uniform(np.log(0.08), np.log(2.5))), holes)


def hollow_profile(rng):
    """A rectangular tube with walls of its own thickness, perhaps with an inner web."""
    w, d = 1.0, rng.uniform(0.3, 1.0)
    t = rng.uniform(0.03, 0.2, 4) * d
    inside = np.array([(-w / 2 + t[0], -d / 2 + t[1]), (w / 2 - t[2], d / 2 - t[3])])
    middle, size = inside.mean(axis=0), np.ptp(inside, axis=0)
    holes = [rounded_rectangle(*size, 0.1 * size.min(), 3) + middle]
    if rng.random() < 0.5:
        share, web = rng.uniform(0.25, 0.65), 0.08
        left, right = share * size[0], (1 - share - web) * size[0]
        holes = [
            rectangle(left, size[1], middle + (left - size[0], 0) * np.array([0.5, 0])),
            rectangle(right, size[1], middle + (size[0] - right, 0) * np.array([0.5, 0])),
        ]
    return extrude(
        rounded_rectangle(w, d, rng.uniform(0.2, 1.5) * t.min(), 4), np.exp(rng.uniform(np.log(0.2), np.log(3))), holes
    )


def nested_plate(rng):
    """A plate of random outline on a plate of another one, not centred: a casting's flange."""
    lower = extrude(rounded_corners(polygon(rng), 0.15, 4), rng.uniform(0.08, 0.4))
    upper = extrude(rounded_corners(polygon(rng) * rng.uniform(0.3, 0.6), 0.1, 4), rng.uniform(0.2, 1.2))
    return together(lower, moved(upper, [*rng.uniform(-0.3, 0.3, 2), 0.02]))


KINDS = (l_profile, u_profile, t_profile, section_profile, polygon_profile, hollow_profile, nested_plate)
