"""Sheet metal: strips bent along a path with holes in their flats, trays, hats."""

from __future__ import annotations

import numpy as np

from pose_node.arrays import Array
from pose_node.learning.mesh_building import Body, tube
from pose_node.learning.mesh_filling import extrude
from pose_node.learning.shape_kinds.sections import circle, loft, rounded_rectangle, superellipse

_BEND_STEPS = 5


def bent_strip(flats: Array, angles: Array, widths: tuple[float, float], thick: float, holes: list[Array]) -> Body:
    """A strip of flats [F] joined by bends of ``angles`` [F - 1] rad, of width ``widths`` at its two ends.

    holes: outlines [P, 2] in (along, across) of the flat pattern, in which a bend is ``1.5 * thick * |angle|`` long; they may
    not touch a bend.
    """
    bends = 1.5 * thick * np.abs(angles)
    stations, turned, at = [0.0], [0.0], 0.0
    lines = []
    for i, flat in enumerate(flats):
        at += flat
        stations.append(at)
        turned.append(turned[-1])
        if i < len(angles):
            for s in np.linspace(0, bends[i], _BEND_STEPS):
                lines.append(at + s)
            at += bends[i]
            stations.append(at)
            turned.append(turned[-1] + angles[i])
    total = at
    along = np.array([0.0, *lines, total])
    half = np.interp(along, [0, total], widths) / 2
    outline = np.concatenate([np.stack([along, -half], 1), np.stack([along, half], 1)[::-1]])
    across = [np.array([(s, -h), (s, h)]) for s, h in zip(along[1:-1], half[1:-1])]
    vertices, faces = extrude(outline, thick, holes, across)
    s = np.linspace(0, total, 600)
    phi = np.interp(s, stations, turned)
    step = np.concatenate([[0], np.full(599, s[1])])
    middle = (phi + np.concatenate([[phi[0]], phi[:-1]])) / 2
    x, z = np.cumsum(np.cos(middle) * step), np.cumsum(np.sin(middle) * step)
    u, v, n = vertices.T
    n = n - thick / 2
    angle = np.interp(u, s, phi)
    return np.stack([np.interp(u, s, x) - n * np.sin(angle), v, np.interp(u, s, z) + n * np.cos(angle)], 1), faces


def bracket(rng):
    """A strip with one to four bends and holes in its flats: L, Z, U and hat brackets, tapered."""
    bends = int(rng.integers(1, 5))
    flats = rng.uniform(0.3, 1.0, bends + 1)
    angles = rng.choice([-1, 1], bends) * np.radians(rng.choice([90, 90, 90, 45, 60, 30], bends))
    while np.abs(np.cumsum(angles)).max() > np.pi * 1.01:  # more than half a turn would run into itself
        angles = rng.choice([-1, 1], bends) * np.radians(rng.choice([90, 45, 60, 30], bends))
    thick = rng.uniform(0.03, 0.09)
    wide = rng.uniform(0.25, 1.0)
    widths = (wide, wide * (rng.uniform(0.4, 1.0) if rng.random() < 0.5 else 1.0))
    holes, at = [], 0.0
    for i, flat in enumerate(flats):
        narrow = min(widths)
        for k in range(int(rng.integers(0, 3))):
            radius = rng.uniform(0.12, 0.28) * min(flat / 2, narrow)
            place = at + flat * (0.25 + 0.5 * k), rng.uniform(-0.5, 0.5) * (narrow - 2.6 * radius)
            if rng.random() < 0.7:
                holes.append(circle(radius * 0.9, 14, place))
            else:
                holes.append(rounded_rectangle(1.6 * radius, rng.uniform(1.0, 1.8) * radius, radius / 2, 3) + place)
        at += flat + (1.5 * thick * abs(angles[i]) if i < bends else 0)
    return bent_strip(flats, angles, widths, thick, holes)


def tray(rng):
    """A rounded rectangular tray with sloped walls and perhaps a rim."""
    w, d, high = 1.0, rng.uniform(0.5, 1.0), rng.uniform(0.12, 0.6)
    wall, slope, corner = rng.uniform(0.02, 0.05), rng.uniform(0.0, 0.1), rng.uniform(0.03, 0.25)
    rim = rng.uniform(0.04, 0.12) if rng.random() < 0.5 else 0.0

    def at(offset: float) -> Array:
        return rounded_rectangle(w + 2 * offset, d + 2 * offset, corner + offset)

    offsets, heights = [0.0, slope], [0.0, high - (wall if rim else 0)]
    if rim:
        offsets += [slope + rim, slope + rim]
        heights += [high - wall, high]
    offsets += [slope - wall, -wall]
    heights += [high, wall]
    return loft([at(o + 1e-3 * i) for i, o in enumerate(offsets[:2])] + [at(o) for o in offsets[2:]], heights)


def hat(rng):
    """A drawn part: a flange of random outline, and a dome, a cup or a box in it that is not centred."""
    power, wide = rng.uniform(2, 8), rng.uniform(0.3, 0.6)
    d, high, thick = rng.uniform(0.6, 1.0), rng.uniform(0.15, 0.7), rng.uniform(0.02, 0.05)
    off = np.array([rng.uniform(-0.3, 0.3) * (1 - wide), 0.0])

    def part(scale: float, size: float = wide, power: float = power) -> Array:
        return superellipse(size + scale, d * size + scale, power, 40) + off

    flange = superellipse(1.0, d, rng.uniform(2, 8), 40)
    round_off = min(rng.uniform(0.02, 0.15), (d * wide - thick - 0.09) / 2)  # a top remains
    sections = [
        flange,
        part(0.02),
        part(-0.02),
        part(-0.02 - round_off),
        part(-0.06 - 2 * round_off),
        part(-0.06 - 2 * round_off - thick),
        part(-0.02 - round_off - 2 * thick),
        part(-0.02 - 2 * thick),
        part(0.02 - 2 * thick),
        flange,
    ]
    up = [
        thick,
        thick,
        0.1 * high + thick,
        high - round_off / 2,
        high,
        high - thick,
        high - round_off / 2 - thick,
        0.1 * high,
        0.0,
        0.0,
    ]
    rings = np.stack([np.column_stack([s, np.full(40, z)]) for s, z in zip(sections, up)])
    return tube(np.roll(rings, 5, axis=0))  # from the inner top down, around the flange, to the outer top


KINDS = (bracket, tray, hat)
