"""Machine elements: gears, bolts, nuts, springs, hinges."""

from __future__ import annotations

import numpy as np

from pose_node.arrays import Array
from pose_node.learning.mesh_building import Body, prism, sweep, tube
from pose_node.learning.mesh_filling import extrude
from pose_node.learning.shape_kinds.placing import moved, together, turn_about
from pose_node.learning.shape_kinds.sections import circle, ring, rounded_rectangle


def gear(rng):
    """A spur or helical gear with a bore, perhaps with a hub to one side and a keyway."""
    teeth = int(rng.integers(7, 25))
    at = 2 * np.pi * np.arange(4 * teeth) / (4 * teeth)
    deep = min(rng.uniform(1.5, 2.4) * np.pi / teeth, 0.35)
    r = np.tile([1.0, 1.0, 1 - deep, 1 - deep], teeth)
    flank = np.tile([0.12, -0.12, -0.12, 0.12], teeth) * 2 * np.pi / (4 * teeth)
    wide, helix = rng.uniform(0.15, 0.8), rng.uniform(-0.4, 0.4) if rng.random() < 0.4 else 0.0
    bore = rng.uniform(0.15, 0.6) * (1 - deep)

    def section(turn: float, radius: Array | float) -> Array:
        return np.stack([np.cos(at + flank + turn), np.sin(at + flank + turn)], 1) * np.asarray(radius).reshape(-1, 1)

    levels = np.linspace(0, 1, 5 if helix else 2)
    rings = [np.column_stack([section(helix * s, r), np.full(len(at), s * wide)]) for s in levels]
    inner = np.full(len(at), bore)
    rings += [np.column_stack([section(helix * s, inner), np.full(len(at), s * wide)]) for s in (levels[-1], levels[0])]
    wheel = tube(np.stack(rings), closed=True)
    if rng.random() < 0.5:
        hub = rng.uniform(bore + 0.08, max(bore + 0.1, 0.7 * (1 - deep)))
        long = wide * rng.uniform(1.2, 2.2)
        return together(wheel, ring([hub, hub, bore, bore], [0.1 * wide, long, long, 0.1 * wide], 32))
    return wheel


def thread(radius: float, long: float, pitch: float, deep: float, facets: int = 20) -> Body:
    """A bolt's thread about z from 0 to ``long``: a cylinder whose radius rises and falls with the angle and the height."""
    z = np.linspace(0, long, int(np.clip(round(4 * long / pitch), 8, 100)) + 1)
    at = 2 * np.pi * np.arange(facets) / facets
    phase = (z[:, None] / pitch - at[None] / (2 * np.pi)) % 1.0
    r = radius - deep * np.abs(2 * phase - 1)
    grid = np.stack([r * np.cos(at), r * np.sin(at), np.broadcast_to(z[:, None], r.shape)], -1)
    return tube(grid)


def _head(rng, r: float) -> Body:
    """A bolt's head below z = 0: hexagonal, round, flat, square, or winged."""
    wide, high = r * rng.uniform(1.6, 2.2), r * rng.uniform(0.6, 1.4)
    kind = int(rng.integers(5))
    if kind == 0:
        return moved(prism(circle(wide, 6), high), (0, 0, -high))
    if kind == 1:
        return moved(extrude(circle(wide, 28), high, [circle(0.5 * wide, 6)]), (0, 0, -high))
    if kind == 2:
        return moved(prism(circle(r, 24), high, wide / r), (0, 0, 0), turn_about("x", 180))
    if kind == 3:
        return moved(prism(rounded_rectangle(1.7 * wide, 1.7 * wide, 0.2 * r), high), (0, 0, -high))
    wing = sweep(np.array([(0, 0, 0), (1.2, 0, -0.3), (2.2, 0, -1.4), (2.4, 0, -2.2)]) * r, 0.6 * r, 10, flat=0.4)
    return together(
        moved(prism(circle(1.3 * r, 20), high), (0, 0, -high)), wing, moved(wing, turn=turn_about("z", 180))
    )


def bolt(rng):
    """A bolt or a screw: a head, a shank, a thread, perhaps a washer or a nut on it."""
    long = rng.uniform(0.6, 2.5)
    r = rng.uniform(0.12, 0.3)
    bare = rng.uniform(0.05, 0.6) * long
    turn = moved(thread(r, long - bare, r * rng.uniform(0.35, 0.9), r * rng.uniform(0.12, 0.3)), (0, 0, bare - 0.01))
    shank = prism(circle(r * rng.uniform(0.85, 1.0), 24), bare + 0.02)
    parts = [_head(rng, r), moved(shank, (0, 0, -0.01)), turn]
    if rng.random() < 0.4:
        z = bare + rng.uniform(0.0, 0.7) * (long - bare)
        parts.append(moved(prism(circle(1.8 * r, int(rng.choice([4, 6, 24]))), r * rng.uniform(0.2, 1.2)), (0, 0, z)))
    return together(*parts)


def nut(rng):
    """A nut with a bore: hexagonal or square, perhaps with a flange, a dome or wings."""
    sides, wide, high = int(rng.choice([4, 6, 6, 8])), 1.0, rng.uniform(0.4, 1.4)
    body = extrude(circle(wide, sides), high, [circle(rng.uniform(0.4, 0.62), 22)])
    kind = int(rng.integers(4))
    if kind == 0:
        return body
    bore = 0.7
    if kind == 1:
        out = rng.uniform(1.15, 1.6)
        return together(body, ring([out, out, bore, bore], [0, 0.15 * high, 0.3 * high, 0.0], 32))
    if kind == 2:
        r = 0.85 if sides > 4 else 0.7
        a = np.linspace(0, np.pi / 2 - 0.05, 7)
        outer, inner = r * np.cos(a), (r - 0.12) * np.cos(a[::-1])
        rings = [*zip(outer, high - 0.05 + r * np.sin(a)), *zip(inner, high - 0.05 + (r - 0.12) * np.sin(a[::-1]))]
        radii, heights = np.array(rings).T
        return together(body, ring(radii, heights, 30))
    wing = moved(extrude(rounded_rectangle(0.9, 1.1, 0.4), 0.2), (1.2, 0.1, 0.9 * high), turn_about("x", 90))
    return together(body, wing, moved(wing, turn=turn_about("z", 180)))


def spring(rng):
    """A helical spring, cylindrical or conical, with straight or hooked ends."""
    turns, thick = rng.uniform(3, 8), rng.uniform(0.06, 0.16)
    at = np.linspace(0, 2 * np.pi * turns, int(24 * turns))
    radius = np.linspace(1.0, rng.uniform(0.5, 1.0) if rng.random() < 0.4 else 1.0, len(at))
    rise = rng.uniform(2.6, 5.0) * thick
    path = np.stack([0.5 * radius * np.cos(at), 0.5 * radius * np.sin(at), rise * at / (2 * np.pi)], 1)
    coil = sweep(path, thick, 8)
    if rng.random() < 0.6:
        legs = []
        for end, inside in ((0, 1), (-1, -2)):
            ahead = (path[end] - path[inside]) / np.linalg.norm(path[end] - path[inside])
            long = rng.uniform(0.3, 1.2)
            legs.append(
                sweep(
                    np.stack(
                        [path[end] - 0.3 * thick * ahead, path[end] + 0.5 * long * ahead, path[end] + long * ahead]
                    ),
                    thick,
                    8,
                )
            )
        return together(coil, *legs)
    return coil


def hinge(rng):
    """A hinge: two leaves with holes at an angle, on a pin."""
    wide, r = rng.uniform(0.5, 1.3), rng.uniform(0.06, 0.12)
    leaves = []
    for angle in (0.0, rng.uniform(60, 180)):
        long = rng.uniform(0.3, 0.8)
        hole = rng.uniform(0.05, 0.12) * min(long, wide)
        spots = [(0.6 * long, y * wide) for y in rng.uniform([-0.26, 0.14], [-0.14, 0.26])]
        leaf = extrude(rounded_rectangle(long, wide * rng.uniform(0.8, 1.0), 0.08 * long) + np.array((long / 2, 0)), 0.8 * r,
                       [circle(hole, 12, s) for s in spots])  # fmt: skip
        leaves.append(moved(leaf, (0, 0, 0), turn_about("y", -angle)))
    pin = moved(prism(circle(r, 20), wide * rng.uniform(1.0, 1.2)), (0, wide / 2, 0), turn_about("x", 90))
    return together(*leaves, pin)


KINDS = (gear, bolt, nut, spring, hinge)
