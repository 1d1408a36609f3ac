"""Swept tubes: mugs and jugs with handles, bent pipes with flanges, hooks, wires."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from pose_node.arrays import Array
from pose_node.learning.mesh_building import arc, revolve, sweep
from pose_node.learning.mesh_filling import extrude
from pose_node.learning.shape_kinds.placing import moved, together, towards, turn_about
from pose_node.learning.shape_kinds.sections import circle, rounded_rectangle


def smooth_path(points: Array, steps: int = 40) -> Array:
    """A spline [steps, 3] through points [P, 3]."""
    points = np.asarray(points, float)
    at = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    return CubicSpline(at, points)(np.linspace(0, at[-1], steps))


def handle(rng, top: Array, bottom: Array, away: float) -> tuple[Array, Array]:
    """A handle in the x-z plane from ``top`` to ``bottom`` (x, z), ``away`` from them in x; ends lie a little inside."""
    (x0, z0), (x1, z1) = top, bottom
    rise = z0 - z1
    corner = rng.uniform(0.5, 1.0)
    points = [(x0, z0), (x0 + away * corner, z0 + rise * rng.uniform(-0.1, 0.1)), (max(x0, x1) + away, z0 - 0.4 * rise),
              (x1 + away * corner * rng.uniform(0.5, 0.9), z1 + 0.15 * rise), (x1, z1)]  # fmt: skip
    path = smooth_path(np.array([(x, 0.0, z) for x, z in points]), 24)
    thick = rng.uniform(0.03, 0.08)
    return sweep(path, thick * (1 + 0.3 * np.cos(np.linspace(0, 2 * np.pi, 24))), 12, flat=rng.uniform(0.6, 2.0))


def mug(rng):
    """A cup with a handle."""
    r, wall, low = rng.uniform(0.35, 0.55), rng.uniform(0.03, 0.06), rng.uniform(0.7, 1.0)
    bulge = rng.uniform(0.95, 1.15)
    at = np.linspace(0, 1, 8)
    radius = r * (low + (1 - low) * at) * (1 + (bulge - 1) * np.sin(np.pi * at))
    radii = [*radius, *(radius[:0:-1] - wall), radius[0] - wall, 1e-4]
    body = revolve(radii, [*at, *at[:0:-1], 0.06, 0.06])
    high, deep = rng.uniform(0.65, 0.9), rng.uniform(0.12, 0.4)

    def edge(z):
        return float(np.interp(z, at, radius)) - 0.6 * wall

    grip = handle(rng, (edge(high), high), (edge(deep), deep), rng.uniform(0.18, 0.4))
    return together(body, grip)


def jug(rng):
    """A jug: belly, neck, handle, and a spout across from it or beside it."""
    at = np.linspace(0, 1, 9)
    inner = rng.uniform([0.28, 0.33, 0.25, 0.18], [0.4, 0.5, 0.42, 0.35])
    radius = CubicSpline([0, 0.35, 0.75, 1.0], inner)(at)
    wall = 0.03
    body = revolve([*radius, *(radius[:0:-1] - wall), radius[0] - wall, 1e-4], [*at, *at[:0:-1], 0.05, 0.05])
    high, deep = rng.uniform(0.75, 0.92), rng.uniform(0.15, 0.45)

    def edge(z):
        return float(np.interp(z, at, radius)) - 0.6 * wall

    grip = handle(rng, (edge(high), high), (edge(deep), deep), rng.uniform(0.15, 0.35))
    z = rng.uniform(0.45, 0.8)
    start = edge(z)
    long = rng.uniform(0.2, 0.45)
    path = smooth_path(
        [(start, 0, z), (start + 0.5 * long, 0, z + 0.25 * long), (start + long, 0, z + rng.uniform(0.5, 1) * long)], 14
    )
    spout = sweep(path, np.linspace(rng.uniform(0.06, 0.12), rng.uniform(0.03, 0.06), 14), 12)
    around = 180.0 if rng.random() < 0.6 else 90.0
    return together(body, grip, moved(spout, turn=turn_about("z", around)))


def bent_tube(rng):
    turn = rng.uniform(0.6, 2.6)
    path = np.concatenate([[[1.0, -rng.uniform(0.3, 1.2), 0]], arc(1.0, 0, turn, 20)])
    return sweep(path, rng.uniform(0.08, 0.3), flat=rng.uniform(0.5, 1.0))


def pipe(rng):
    """A pipe with one to three bends in space, and flanges of their own size at its ends."""
    points, ahead = [np.zeros(3)], np.array([1.0, 0, 0])
    for _ in range(int(rng.integers(2, 4))):
        for _ in range(2):
            points.append(points[-1] + ahead * rng.uniform(0.25, 0.5))
        new = np.roll(ahead, rng.choice([1, 2])) * rng.choice([-1, 1])
        points.append(points[-1] + 0.18 * (ahead + new))
        ahead = new
    points.append(points[-1] + ahead * rng.uniform(0.2, 0.6))
    path, r = smooth_path(np.array(points), 44), rng.uniform(0.07, 0.13)
    parts = [sweep(path, r, 18)]
    for end, inside in ((0, 1), (-1, -2)):
        if rng.random() < 0.75:
            outwards = path[end] - path[inside]
            wide = r * rng.uniform(1.5, 2.2)
            holes = [circle(0.15 * wide, 8, 0.75 * wide * np.array([np.cos(a), np.sin(a)])) for a in (0.8, 2.9, 5.0)]
            outline = circle(wide, 30) if rng.random() < 0.6 else rounded_rectangle(2 * wide, 2 * wide, 0.2 * wide)
            flange = extrude(outline, r * rng.uniform(0.3, 0.8), holes)
            parts.append(moved(flange, path[end], towards(outwards / np.linalg.norm(outwards), rng.uniform(0, 6))))
    return together(*parts)


def hook(rng):
    """A hook: a shank, a bend that tapers to its point, and an eye, a plate or a nut at its other end."""
    r, bend = rng.uniform(0.06, 0.13), rng.uniform(3.0, 4.4)
    curve = arc(0.5, 0, bend, 26) * (-1, 1, 1)
    shank = rng.uniform(0.4, 1.3)
    path = np.concatenate([[(-0.5, -shank, 0), (-0.5, -0.6 * shank, 0), (-0.5, -0.2 * shank, 0)], curve])
    radius = np.linspace(1.0, rng.uniform(0.35, 1.0), len(path)) * r
    end = {
        0: lambda: moved(
            sweep(arc(0.2, 0, 2 * np.pi * 19 / 20, 20), r * 0.9, 12, closed=True), (-0.5, -shank - 0.18, 0)
        ),
        1: lambda: moved(extrude(rounded_rectangle(0.5, 0.35, 0.08), 0.1), (-0.5, -shank, 0), turn_about("x", 90)),
        2: lambda: moved(revolve([0.2, 0.2, 0.14], [0, 0.15, 0.2]), (-0.5, -shank, 0), turn_about("x", 90)),
    }[int(rng.integers(3))]()
    return together(sweep(path, radius, 14, flat=rng.uniform(0.7, 1.4)), end)


def wire(rng):
    """A bar bent at random through space."""
    points = np.cumsum(
        rng.normal(0, 1, (int(rng.integers(4, 7)), 3)) * (1, 1, rng.uniform(0.1, 1)) + (0.8, 0, 0), axis=0
    )
    thick = rng.uniform(0.025, 0.07) * np.linalg.norm(np.ptp(points, axis=0))
    return sweep(smooth_path(points, 70), thick, 12, flat=rng.uniform(0.4, 1.0))


def strap_handle(rng):
    """A handle to screw on: a grip between two feet of unequal size."""
    wide, high = 1.0, rng.uniform(0.25, 0.6)
    path = smooth_path([(0, 0, 0), (0.03, 0, 0.6 * high), (0.2, 0, high), (0.8 * wide, 0, high * rng.uniform(0.8, 1.1)),
                        (0.97, 0, 0.6 * high), (1, 0, 0)], 40)  # fmt: skip
    grip = sweep(path, rng.uniform(0.05, 0.09), 14, flat=rng.uniform(0.5, 1.5))
    feet = []
    for x in (0.0, 1.0):
        w, d = rng.uniform(0.15, 0.4, 2)
        feet.append(moved(extrude(rounded_rectangle(w, d, 0.05, 4), rng.uniform(0.03, 0.08), [circle(0.03, 10, (0.25 * w * (2 * x - 1), 0.2 * d))]),
                          (x, 0, -0.03)))  # fmt: skip
    return together(grip, *feet)


KINDS = (mug, jug, bent_tube, pipe, hook, wire, strap_handle)
