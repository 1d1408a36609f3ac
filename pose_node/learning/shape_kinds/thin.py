"""Thin and flat things: plates, cards, pens, keys, cutlery, spanners."""

from __future__ import annotations

import numpy as np

from pose_node.arrays import Array
from pose_node.learning.mesh_building import revolve, sweep, tube
from pose_node.learning.mesh_filling import extrude
from pose_node.learning.shape_kinds.placing import moved, together, turn_about
from pose_node.learning.shape_kinds.profiles import polygon
from pose_node.learning.shape_kinds.sections import (
    circle,
    clearance,
    rectangle,
    rounded_box,
    rounded_corners,
    rounded_rectangle,
    superellipse,
)


def dish(rng):
    at, wall, deep = np.linspace(0.02, 1, 14), rng.uniform(0.03, 0.07), rng.uniform(0.25, 0.6)
    outside, power = deep * at ** rng.uniform(1.6, 3.0), wall
    return revolve(np.concatenate([at, at[::-1] * (1 - power)]), np.concatenate([outside, outside[::-1] + power]))


def plate(rng):
    """A plate of random outline with one to five holes, some in a row along an edge."""
    w, d = 1.0, rng.uniform(0.3, 1.0)
    corners = rectangle(w, d)
    if rng.random() < 0.5:  # one corner cut off
        a, b = rng.uniform(0.15, 0.4, 2)
        corners = np.array([*corners[:2], (w / 2, d / 2 - b * d), (w / 2 - a, d / 2), corners[3]])
    count = int(rng.integers(1, 5))
    radius = rng.uniform(0.03, 0.1) * d
    row = [
        circle(radius, 14, (-0.4 * w + 1.5 * radius + i * max(3 * radius, 0.5 / count * w), -0.3 * d))
        for i in range(count)
    ]
    big = circle(rng.uniform(0.08, 0.16) * d, 20, (rng.uniform(-0.2, 0.1), 0.15 * d))
    return extrude(rounded_corners(corners, rng.uniform(0.005, 0.15), 4), rng.uniform(0.015, 0.1), [*row[:3], big])


def card(rng):
    """A card, a phone or a tablet: a thin rounded box, perhaps with a camera step or a clip."""
    w, thick = rng.uniform(0.45, 0.75), np.exp(rng.uniform(np.log(0.01), np.log(0.09)))
    body = extrude(rounded_rectangle(w, 1.0, rng.uniform(0.01, 0.1)), thick)
    if rng.random() < 0.5:
        a, b = rng.uniform(0.12, 0.5 * w), rng.uniform(0.12, 0.35)
        step = extrude(rounded_rectangle(a, b, 0.04), rng.uniform(0.01, 0.04) + 0.01)
        return together(body, moved(step, ((w - a) / 2 - 0.04, (1 - b) / 2 - 0.04, thick - 0.01)))
    return body


def pen(rng):
    """A pen: a barrel of round or many-sided section, a tip, a cap or a button, and a clip."""
    r, tip, sides = rng.uniform(0.03, 0.07), rng.uniform(0.06, 0.15), int(rng.choice([6, 8, 24, 24]))
    cap = rng.uniform(0.3, 0.6)
    button = r * rng.uniform(0.3, 0.9)
    radii = [0.15 * r, r, r, r * rng.uniform(1.0, 1.2), r * 1.1, button, button]
    body = revolve(radii, [0, tip, cap, cap + 0.005, 0.93, 0.935, 1.0], facets=sides)
    long = rng.uniform(0.15, 0.35)
    clip = rounded_box((0.35 * r, rng.uniform(0.4, 0.9) * r, long), 0.15 * r, 2)
    root = rounded_box((1.2 * r, 0.5 * r, 0.05), 0.1 * r, 2)
    return together(body, moved(clip, (1.6 * r, 0, 0.92 - long / 2)), moved(root, (1.1 * r, 0, 0.9)))


def key(rng):
    """A key: a head with a hole, a shoulder, and a blade with random notches on one or both sides."""
    head, blade = rng.uniform(0.16, 0.26), rng.uniform(0.05, 0.08)
    count = int(rng.integers(4, 8))
    x = np.linspace(head + 0.06, 1.0, 2 * count + 1)
    low = np.repeat(rng.uniform(-1.0, 0.1, count), 2) * blade
    bottom = np.stack([x[:-1], low], 1)
    upper = np.full(2 * count, blade)
    if rng.random() < 0.4:
        upper = np.repeat(rng.uniform(0.4, 1.0, count), 2) * blade
    top = np.stack([x[:-1], upper], 1)[::-1]
    start = np.arcsin(blade / head) + 0.03
    at = np.linspace(start, 2 * np.pi - start, 26)
    power = rng.uniform(2, 5)
    off = (np.abs(np.cos(at)) ** power + np.abs(np.sin(at)) ** power) ** (-1 / power)
    round_about = np.stack([np.cos(at) * off, np.sin(at) * off * rng.uniform(0.8, 1.2)], 1) * head
    outline = np.concatenate([round_about, bottom, [(1.03, 0.2 * blade)], top])
    hole = circle(0.3 * head, 14, (-0.5 * head, rng.uniform(-0.2, 0.2) * head))
    thick = rng.uniform(0.02, 0.05)
    body = extrude(outline, thick, [hole])
    if rng.random() < 0.5:  # a plastic head
        grip = extrude(superellipse(2.1 * head, 2.0 * head, power, 30), 2.5 * thick, [hole * 1.02])
        return together(body, moved(grip, (0, 0, -0.7 * thick)))
    return body


def _stem(rng, along: Array, wide: Array, thick: Array, lift: Array) -> tuple:
    """A flat stem along x: elliptical sections of ``wide`` and ``thick`` at height ``lift``."""
    at = 2 * np.pi * np.arange(16) / 16
    rings = [
        np.stack([np.full(16, x), 0.5 * w * np.cos(at), z + 0.5 * t * np.sin(at)], 1)
        for x, w, t, z in zip(along, wide, thick, lift)
    ]
    return tube(np.stack(rings))


def _handle_curves(rng, end: float) -> tuple[Array, Array, Array, Array]:
    """Stations, widths, thicknesses and heights of a cutlery handle from x = ``end`` to 1."""
    x = np.linspace(end, 1.0, 14)
    s = (x - end) / (1 - end)
    neck, wide = rng.uniform(0.025, 0.05), rng.uniform(0.07, 0.13)
    width = neck + (wide - neck) * s ** rng.uniform(0.8, 2.5)
    width[-1] *= 0.4
    thick = np.linspace(rng.uniform(0.02, 0.04), rng.uniform(0.015, 0.05), 14)
    lift = rng.uniform(0.0, 0.12) * np.sin(np.pi * s)
    return x, width, thick, lift


def spoon(rng):
    """A spoon or a ladle: a hollow bowl on a curved stem."""
    long, deep, wall = rng.uniform(0.2, 0.4), rng.uniform(0.05, 0.2), 0.015
    broad = long * rng.uniform(0.5, 1.0)
    at = np.linspace(0.03, 1, 9)
    outer = [np.column_stack([superellipse(long * a, broad * a, 2, 28), np.full(28, deep * (a**2 - 1))]) for a in at]
    inner = [np.column_stack([superellipse(long * a - wall, broad * a - wall, 2, 28), np.full(28, deep * (a**2 - 1) + wall)])
             for a in at[:0:-1]]  # fmt: skip
    inner.append(np.column_stack([superellipse(0.01, 0.01, 2, 28), np.full(28, wall - deep)]))
    bowl = tube(np.stack([*outer, *inner]))
    stem = _stem(rng, *_handle_curves(rng, 0.5 * long - 0.01))
    return together(
        bowl, moved(stem, (0, 0, 0.5 * wall), turn_about("y", -rng.uniform(0, 40))) if rng.random() < 0.4 else stem
    )


def fork(rng):
    """A fork: two to four tines, curved, on a stem."""
    tines, long, wide = int(rng.integers(2, 5)), rng.uniform(0.25, 0.4), rng.uniform(0.14, 0.24)
    pitch = wide / (tines + 0.6 * (tines - 1))
    slot = rng.uniform(0.45, 0.75) * long
    outline = [(0.0, -0.02), (-0.25 * (long - slot), -wide / 2)]
    for i in range(tines):
        y = -wide / 2 + 1.6 * pitch * i
        outline += [(-long * 0.98, y + 0.2 * pitch), (-long * 0.98, y + 0.8 * pitch)]
        if i < tines - 1:
            outline += [(slot - long, y + pitch), (slot - long, y + 1.6 * pitch)]
    outline += [(-0.25 * (long - slot), wide / 2), (0.0, 0.02)]
    vertices, faces = extrude(np.array(outline), rng.uniform(0.015, 0.03))
    vertices = vertices + np.outer(rng.uniform(0.2, 1.2) * vertices[:, 0] ** 2, (0, 0, 1))
    return together((vertices, faces), _stem(rng, *_handle_curves(rng, -0.03)))


def knife(rng):
    """A knife or a spatula: a thin blade of its own outline on a thick grip."""
    long, wide = rng.uniform(0.8, 1.6), rng.uniform(0.12, 0.35)
    tip = rng.uniform(0.4, 1.0)
    outline = np.array(
        [
            (0, 0),
            (long * tip, 0),
            (long, wide * rng.uniform(0.3, 0.95)),
            (long * rng.uniform(0.8, 0.98), wide),
            (0, wide),
        ]
    )
    blade = extrude(rounded_corners(outline, 0.08, 4), rng.uniform(0.015, 0.04))
    grip = rounded_box((rng.uniform(0.6, 1.0), 0.8 * wide, rng.uniform(0.06, 0.16)), 0.03, 4)
    return together(
        blade, moved(grip, (-0.35, wide * rng.uniform(0.3, 0.6), 0.01), turn_about("z", rng.uniform(-15, 15)))
    )


def spanner(rng):
    """A spanner: an open jaw at one end, a ring or another jaw at the other."""
    r, turn, jaw = rng.uniform(0.12, 0.2), np.radians(rng.uniform(-25, 25)), rng.uniform(0.4, 0.65)
    at = np.linspace(np.arcsin(jaw), 2 * np.pi - np.arcsin(jaw), 26)
    deep = -0.35 * r
    open_end = np.stack([np.cos(at), np.sin(at)], 1) * r
    open_end = np.concatenate([open_end, [(deep, -jaw * r), (deep, jaw * r)]])
    c, s = np.cos(turn + np.pi), np.sin(turn + np.pi)
    open_end = open_end @ np.array([[c, s], [-s, c]])
    thick, web = rng.uniform(0.04, 0.09), rng.uniform(0.6, 1.0)
    other = r * rng.uniform(0.6, 1.2)
    if rng.random() < 0.6:
        end = extrude(circle(other, 28), thick, [circle(0.62 * other, 12)])
    else:
        end = extrude(open_end * (-other / r, other / r), thick)
    bar = rounded_box((1.0 - 0.7 * r - 0.7 * other, r * rng.uniform(0.6, 1.0), web * thick), 0.3 * web * thick, 3)
    return together(
        extrude(open_end, thick),
        moved(end, (1.0, 0, 0)),
        moved(bar, (0.5 + 0.35 * (r - other), 0, thick / 2)),
    )


def clip_strip(rng):
    """A flat strip with a curl at its end: a clip, a bookmark, a belt hook."""
    n = int(rng.integers(3, 6))
    path = np.concatenate(
        [
            [(-rng.uniform(0.6, 1.6), 0, 0), (-0.3, 0, 0)],
            np.stack(
                [
                    np.sin(np.linspace(0, n, 24)) * np.linspace(0.3, 0.2, 24),
                    np.zeros(24),
                    0.25 - np.cos(np.linspace(0, n, 24)) * 0.25,
                ],
                1,
            ),
        ]
    )
    return sweep(path, rng.uniform(0.08, 0.2), 12, flat=rng.uniform(0.15, 0.35))


def tag(rng):
    """A flat thing of free outline with a hole near one edge."""
    outline = rounded_corners(polygon(rng, (4, 8), 0.6), 0.3, 4)
    outline = outline * (1, rng.uniform(0.5, 1.0))
    room = clearance(outline)
    hole = circle(0.2 * room, 12, (0.65 * room, rng.uniform(-0.1, 0.1) * room))
    return extrude(outline, rng.uniform(0.02, 0.12), [hole])


KINDS = (dish, plate, card, pen, key, spoon, fork, knife, spanner, clip_strip, tag)
