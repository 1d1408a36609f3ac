"""Hand tools: drills, spray guns, hammers, screwdrivers, brushes, torches."""

from __future__ import annotations

import numpy as np

from pose_node.learning.mesh_building import Body, revolve, sweep
from pose_node.learning.shape_kinds.placing import moved, together, turn_about
from pose_node.learning.shape_kinds.sections import loft, rounded_box, superellipse
from pose_node.learning.shape_kinds.turned import profile


def _along_x(body: Body) -> Body:
    return moved(body, turn=turn_about("y", 90))


def _grip(rng, long: float, wide: float) -> Body:
    """A grip downwards from the origin, of changing oval section."""
    s = np.linspace(0, 1, 12)
    a = np.interp(s, [0, 0.4, 0.8, 1], rng.uniform(0.8, 1.2, 4)) * wide
    sections = [superellipse(w, 0.7 * w, 2.5, 24) for w in a]
    return loft(sections, -long * s)


def drill(rng):
    """A cordless drill: a body, a chuck with a nozzle or a bit, a slanted grip, a battery foot."""
    r, long = rng.uniform(0.14, 0.2), rng.uniform(0.6, 0.9)
    body = _along_x(revolve([0.7 * r, r, r * rng.uniform(0.9, 1.1), r, 0.8 * r], [0, 0.06, 0.4 * long, 0.85 * long, long], 28,
                            rng.uniform(2, 3.5)))  # fmt: skip
    chuck = _along_x(
        revolve([0.7 * r, 0.6 * r, 0.6 * r, 0.25 * r], [long - 0.02, long + 0.05, long + 0.15, long + 0.24], 20)
    )
    bit = _along_x(
        revolve([0.15 * r, 0.15 * r, 0.02 * r], [long + 0.2, long + 0.2 + rng.uniform(0.05, 0.5), long + 0.75], 12)
    )
    slant, at, high = rng.uniform(-5, 25), rng.uniform(0.15, 0.45) * long, rng.uniform(0.5, 0.75)
    turn = turn_about("y", slant)
    grip = moved(_grip(rng, high, rng.uniform(0.2, 0.28)), (at, 0, -0.4 * r), turn)
    parts = [body, chuck, grip]
    if rng.random() < 0.7:
        parts.append(bit)
    if rng.random() < 0.8:
        foot = rounded_box((rng.uniform(0.32, 0.5), rng.uniform(0.2, 0.32), rng.uniform(0.1, 0.2)), 0.03, 3)
        parts.append(moved(foot, np.array((at + rng.uniform(0, 0.08), 0, -0.4 * r)) + turn @ (0, 0, -high)))
    trigger = rounded_box((0.08, 0.08, 0.12), 0.02, 2)
    parts.append(moved(trigger, np.array((at + 0.14, 0, -0.4 * r)) + turn @ (0, 0, -0.15)))
    return together(*parts)


def spray_bottle(rng):
    """A spray bottle: a body, a neck, a head with a nozzle, a trigger."""
    r, high = rng.uniform(0.22, 0.34), rng.uniform(0.7, 1.1)
    profile_r = [0.95 * r, r, r * rng.uniform(0.7, 1.0), 0.9 * r, 0.3 * r, 0.28 * r]
    body = revolve(profile_r, [0, 0.03, 0.5 * high, 0.75 * high, high, high + 0.12], 28, rng.uniform(2, 4))
    vertices, faces = body
    body = vertices * (1, rng.uniform(0.6, 1.0), 1), faces
    long = rng.uniform(0.3, 0.5)
    head = moved(rounded_box((long, 0.14, 0.14), 0.04, 3), (0.5 * long - 0.12, 0, high + 0.16))
    nozzle = moved(_along_x(revolve([0.05, 0.05, 0.03], [0, 0.06, 0.1], 14)), (long - 0.14, 0, high + 0.18))
    trigger = sweep(
        np.array([(0.2, 0, high + 0.12), (0.26, 0, high - 0.02), (0.22, 0, high - 0.14), (0.24, 0, high - 0.24)]),
        0.035,
        10,
        flat=1.6,
    )
    return together(body, head, nozzle, trigger)


def hammer(rng):
    """A hammer or a mallet: a head with a face and a claw, a peen or a second face; an oval shaft."""
    long, w = rng.uniform(0.8, 1.4), rng.uniform(0.12, 0.22)
    shaft = _grip(rng, long, rng.uniform(0.08, 0.14))
    a, b = rng.uniform(0.2, 0.4, 2)
    face = _along_x(
        revolve([0.4 * w, 0.4 * w, 0.55 * w, 0.5 * w], [0.02 * w, 0.6 * a, 0.65 * a, a], 20, rng.choice([2.0, 6.0]))
    )
    block = rounded_box((1.3 * w, w, w), 0.1 * w, 3)
    kind = int(rng.integers(3))
    if kind == 0:
        path = np.array([(0, 0, 0), (-0.5 * b, 0, 0.02), (-0.9 * b, 0, -0.05), (-1.1 * b, 0, -0.2 * b - 0.05)])
        claw = [sweep(path * (1, 1, 1) + np.outer(np.arange(4) / 3, (0, y * 0.25 * w, 0)) + (0, y * 0.15 * w, 0),
                      np.linspace(0.3, 0.12, 4) * w, 10) for y in (-1, 1)]  # fmt: skip
    elif kind == 1:
        claw = [loft([superellipse(w, w, 4, 24), superellipse(w, 0.05 * w, 4, 24)], [0, b])]
        claw = [moved(claw[0], (-0.4 * w, 0, 0), turn_about("xy", rng.choice([0, 90]), -90))]
    else:
        claw = [moved(face, turn=turn_about("z", 180))]
    return together(moved(shaft, (0, 0, 0.5 * w)), block, face, *claw)


def screwdriver(rng):
    """A screwdriver or a chisel: a fluted or turned handle, a thin shaft, a flat or pointed tip."""
    r, long = rng.uniform(0.1, 0.2), rng.uniform(0.4, 1.2)
    if rng.random() < 0.5:
        at = 2 * np.pi * np.arange(36) / 36
        flutes = 1 + rng.uniform(0.04, 0.12) * np.cos(int(rng.integers(3, 7)) * at)
        section = np.stack([np.cos(at), np.sin(at)], 1) * flutes[:, None]
        handle = loft([section * (r * k) for k in (0.7, 1.0, 0.9, 1.0, 0.6)], [0, 0.06, 0.35, 0.5, 0.62])
    else:
        radii, heights = profile(rng, (2, 5), 0.5)
        handle = revolve(np.asarray(radii) * r, np.asarray(heights) * 0.62 / heights[-1], 24)
    thin = r * rng.uniform(0.15, 0.35)
    shaft = revolve([thin, thin], [0.6, 0.62 + long], 14)
    wide = thin * rng.uniform(2.0, 5.0)
    tip = loft([superellipse(2 * thin, 2 * thin, 2, 16), superellipse(wide, 1.2 * thin, 4, 16), superellipse(wide, 0.4 * thin, 4, 16)],
               [0.6 + long, 0.68 + long, 0.78 + long])  # fmt: skip
    return together(handle, shaft, tip)


def brush(rng):
    """A brush: a handle with a block of bristles, or a roller, across or in line with it."""
    long, thin = rng.uniform(0.5, 1.0), rng.uniform(0.05, 0.09)
    handle = moved(_grip(rng, long, 2 * thin), turn=turn_about("y", rng.uniform(60, 95)))
    w, d, h = rng.uniform(0.3, 0.6), rng.uniform(0.12, 0.3), rng.uniform(0.06, 0.12)
    block = rounded_box((w, d, h), 0.02, 3)
    bristles = moved(rounded_box((0.92 * w, 0.9 * d, rng.uniform(0.1, 0.3)), 0.01, 2), (0, 0, -h / 2 - 0.05))
    x = w / 2 - 0.03
    return together(handle, moved(block, (x, 0, 0)), moved(bristles, (x, 0, 0)))


def torch(rng):
    """A torch, a plug or a microphone: a turned body, a wider head, a switch on one side."""
    r, head = rng.uniform(0.1, 0.2), rng.uniform(1.1, 1.9)
    radii = [0.9 * r, r, r, r * head, r * head, 0.85 * r * head, 1e-3]
    heights = [0, 0.04, 0.6, 0.6 + r * head * rng.uniform(0.3, 1.2)]
    heights += [heights[-1] + 0.15, heights[-1] + 0.15, heights[-1] + rng.uniform(0.02, 0.2)]
    switch = rounded_box((0.08, 0.1, rng.uniform(0.06, 0.2)), 0.02, 2)
    return together(revolve(radii, heights, 30), moved(switch, (r, 0, rng.uniform(0.2, 0.45))))


KINDS = (drill, spray_bottle, hammer, screwdriver, brush, torch)
