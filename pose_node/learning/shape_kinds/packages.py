"""Packages: cartons, rounded boxes, bottles, cans, tubs, squeeze tubes."""

from __future__ import annotations

import numpy as np

from pose_node.learning.mesh_building import polycubes, revolve, tube
from pose_node.learning.mesh_filling import extrude
from pose_node.learning.shape_kinds.placing import moved, together, turn_about
from pose_node.learning.shape_kinds.sections import (
    circle,
    loft,
    rounded_box,
    rounded_corners,
    rounded_rectangle,
    superellipse,
)


def carton(rng):
    """A box two or three of whose sides are equal within some per cent."""
    size = np.array([1.0, 1.0 + rng.uniform(0.0, 0.12), 1.0])
    size[2] = size[0] * (1 + rng.uniform(0, 0.12)) if rng.random() < 0.4 else rng.uniform(0.3, 2.5)
    if rng.random() < 0.5:
        return polycubes([(0, 0, 0)], size)
    return rounded_box(size, rng.uniform(0.01, 0.06))


def gabled_carton(rng):
    """A milk carton: a box, a gable, a crimped ridge, perhaps a cap on one slope."""
    w, d, high, roof = 1.0, rng.uniform(0.7, 1.0), rng.uniform(1.0, 2.4), rng.uniform(0.25, 0.5)
    levels = [(d, 0), (d, high), (0.05, high + roof), (0.05, high + roof + 0.15)]
    body = tube(np.stack([np.column_stack([np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (w / 2, y / 2), np.full(4, z)])
                          for y, z in levels]))  # fmt: skip
    if rng.random() < 0.6:
        slope = np.degrees(np.arctan2(roof, d / 2))
        cap = revolve([0.16, 0.16, 0.14], [0, 0.15, 0.17])
        place = (rng.uniform(-0.25, 0.25), -0.25 * d, high + 0.45 * roof)
        return together(body, moved(cap, place, turn_about("x", slope)))
    return body


def cushion_box(rng):
    """A box with edges rounded strongly."""
    size = np.exp(rng.uniform(np.log(0.25), 0, 3))
    return rounded_box(size, rng.uniform(0.05, 0.5) * size.min(), 5)


def bottle(rng):
    body, neck = rng.uniform(0.2, 0.4), rng.uniform(0.06, 0.14)
    shoulder, start = rng.uniform(0.55, 0.75), rng.uniform(0.8, 0.9)
    waist = body * rng.uniform(0.8, 1.0)
    heights = [0, 0.02, 0.25, shoulder - 0.1, shoulder, start, 1.0]
    vertices, faces = revolve(
        [body * 0.9, body, waist, waist, body, neck, neck], heights, power=rng.choice([2.0, 3.0, 6.0])
    )
    return vertices * (1, rng.uniform(0.6, 1.0), 1), faces


def flat_bottle(rng):
    """A detergent or shampoo bottle: sections change along the height, the neck is off the middle, the cap is its own."""
    s = np.linspace(0, 1, 18)
    wide = np.interp(
        s, [0, 0.08, 0.5, 0.85, 1], [0.9, 1.0, rng.uniform(0.7, 1.05), rng.uniform(0.6, 1.0), rng.uniform(0.25, 0.4)]
    )
    deep = wide * np.interp(s, [0, 1], [rng.uniform(0.3, 0.8), 0.9])
    lean = rng.uniform(-0.3, 0.3) * s**2
    power = rng.uniform(2, 6)
    high = rng.uniform(1.2, 2.4)
    sections = [
        superellipse(w, d, 2 + (power - 2) * (1 - t), 32) + np.array((x, 0)) for w, d, x, t in zip(wide, deep, lean, s)
    ]
    body = loft(sections, high * s)
    r = rng.uniform(0.09, 0.15)
    cap = revolve(
        [0.8 * r, 0.8 * r, r, r, r * rng.uniform(0.4, 1.0)], [-0.05, 0.05, 0.06, rng.uniform(0.15, 0.4), 0.45]
    )
    return together(
        body, moved(cap, (lean[-1], 0, high), turn_about("y", rng.uniform(-25, 25) if rng.random() < 0.3 else 0.0))
    )


def canister(rng):
    """A canister: a rounded box with a handle bridge and a screw cap at one corner of its top."""
    w, d, high = 1.0, rng.uniform(0.45, 0.8), rng.uniform(0.9, 1.6)
    body = rounded_box((w, d, high), 0.12, 4)
    cap = revolve([0.14, 0.14, 0.12], [-0.1, 0.16, 0.18])
    bridge = rounded_box((rng.uniform(0.4, 0.55), 0.16, 0.1), 0.04, 3)
    post = rounded_box((0.1, 0.16, 0.3), 0.04, 3)
    x = rng.uniform(-0.2, -0.1)
    top = high / 2
    return together(body, moved(cap, (0.32, rng.uniform(-0.1, 0.1), top)), moved(bridge, (x, 0, top + 0.18)),
                    moved(post, (x - 0.18, 0, top + 0.06)), moved(post, (x + 0.16, 0, top + 0.06)))  # fmt: skip


def can(rng):
    """A drink or food can: seams, a neck, a recessed lid, a pull tab."""
    high, neck, seam = rng.uniform(0.5, 4.0), rng.uniform(0.8, 1.0), 0.04
    deep = rng.uniform(0.05, 0.15)
    top = neck - 0.06
    radii = [0.9, 0.97, 1.0, 1.0, neck + 0.02, neck + 0.02, top, top, 1e-3]
    heights = [0, 0.0, 0.06, high - 0.25, high - seam, high, high, high - deep, high - deep]
    body = revolve(radii, heights, 36)
    if rng.random() < 0.6:
        tab = extrude(rounded_rectangle(0.35, 0.7, 0.17), 0.05, [circle(0.1, 12, (0, 0.12))])
        return together(body, moved(tab, (0, rng.uniform(-0.2, 0.2), high - deep)))
    return body


def tub(rng):
    """A tub or pot of round to square section, open or with a lid that overhangs."""
    power, d = rng.uniform(2, 9), rng.uniform(0.6, 1.0)
    low, high, wall = rng.uniform(0.55, 1.0), rng.uniform(0.3, 1.2), rng.uniform(0.03, 0.06)

    def at(scale: float):
        return superellipse(scale, d * scale, power, 36)

    rim = rng.uniform(0.02, 0.12)
    body = loft([at(low), at(1), at(1 + rim), at(1 + rim), at(1 - wall), at(low - wall), at(0.01)],
                [0, high - 0.05, high - 0.05, high, high, wall, wall])  # fmt: skip
    if rng.random() < 0.4:
        lid = loft([at(1 + rim + 0.03), at(1 + rim + 0.03), at(1 - wall)], [0, 0.08, 0.12])
        shift, tilt = rng.uniform(-0.15, 0.15), rng.uniform(0, 12)
        return together(body, moved(lid, (shift, 0, high - 0.03), turn_about("y", tilt)))
    return body


def cup(rng):
    r, low, wall = rng.uniform(0.35, 0.6), rng.uniform(0.25, 0.5), rng.uniform(0.02, 0.05)
    return revolve([low, r, r - wall, low - wall, 1e-4], [0, 1, 1, 0.06, 0.06])


def squeeze_tube(rng):
    """A squeeze tube: from a round shoulder to a flat crimp, with a cap."""
    s = np.linspace(0, 1, 14)
    r, long = rng.uniform(0.2, 0.35), rng.uniform(1.0, 1.6)
    sections = [superellipse(2 * r * (1 + 0.45 * t), 2 * r * (1.0 - 0.95 * t), 2, 32) for t in s]
    body = loft(sections, long * s)
    cap = revolve(
        [r * rng.uniform(0.5, 1.0), r * rng.uniform(0.5, 0.9), 0.4 * r], [-rng.uniform(0.15, 0.4), -0.02, 0.02], 28
    )
    crimp = extrude(rounded_corners(np.array([[-1.45, 0], [1.45, 0], [1.45, 0.4], [-1.45, 0.4]]) * r, 0.02, 2), 0.1 * r)
    return together(body, cap, moved(crimp, (0, 0.05 * r, long - 0.05), turn_about("x", 90)))


KINDS = (carton, gabled_carton, cushion_box, bottle, flat_bottle, canister, can, tub, cup, squeeze_tube)
