"""Small features on any body: bosses, ribs, frames, spouts, knobs, hooks, lids and feet. They break symmetry."""

from __future__ import annotations

import numpy as np

from pose_node.arrays import Array
from pose_node.learning.mesh_building import Body, arc, prism, revolve, sweep
from pose_node.learning.mesh_filling import extrude
from pose_node.learning.shape_kinds.placing import extent, moved, outward, together, towards
from pose_node.learning.shape_kinds.sections import circle, ring, rounded_box, rounded_rectangle, superellipse

_SUNK = 0.25  # of a feature's size: how deep its foot lies in the body


def boss(rng) -> Body:
    r = rng.uniform(0.25, 0.6)
    return revolve([r, r, r * rng.uniform(0.5, 1.0)], [-_SUNK, 0.4, rng.uniform(0.45, 1.2)], 20)


def screw_boss(rng) -> Body:
    out = rng.uniform(0.3, 0.6)
    bore = out * rng.uniform(0.4, 0.75)
    return ring([out, out, bore, bore], [-_SUNK, 0.6, 0.6, -_SUNK], 20)


def rib(rng) -> Body:
    return moved(
        rounded_box((rng.uniform(1.0, 2.5), rng.uniform(0.1, 0.3), 1.0), 0.05, 2), (0, 0, rng.uniform(0.0, 0.3))
    )


def gusset(rng) -> Body:
    x, z = rng.uniform(0.5, 1.5), rng.uniform(0.5, 1.2)
    outline = np.array([(-x / 2, -_SUNK), (x / 2, -_SUNK), (x / 2, 0.05), (-x / 2, z)])
    vertices, faces = prism(outline - outline.mean(axis=0), rng.uniform(0.15, 0.6))
    return vertices[:, [0, 2, 1]], faces


def frame(rng) -> Body:
    """A rim that makes a pocket."""
    w, d, wall = rng.uniform(0.8, 1.6), rng.uniform(0.6, 1.2), rng.uniform(0.08, 0.2)
    hole = rounded_rectangle(w - 2 * wall, d - 2 * wall, 0.1, 3)
    return moved(extrude(rounded_rectangle(w, d, 0.15, 4), _SUNK + rng.uniform(0.1, 0.5), [hole]), (0, 0, -_SUNK))


def step(rng) -> Body:
    """A flat step, like a label or a screen."""
    w, d = rng.uniform(0.8, 2.0, 2)
    return moved(
        prism(superellipse(w, d, rng.choice([2.0, 4.0, 10.0]), 32), _SUNK + rng.uniform(0.08, 0.3)), (0, 0, -_SUNK)
    )


def spout(rng) -> Body:
    lean = rng.uniform(-0.6, 0.6, 2)
    path = np.array([(0, 0, -_SUNK), (0, 0, 0.3), (*(0.4 * lean), 0.8), (*lean, rng.uniform(1.0, 1.6))])
    return sweep(path, np.linspace(rng.uniform(0.2, 0.4), rng.uniform(0.1, 0.3), 4), 14)


def knob(rng) -> Body:
    at = np.linspace(-1.2, np.pi / 2 - 0.02, 10)
    r = rng.uniform(0.25, 0.5)
    return revolve([0.5 * r, *(r * np.cos(at))], [-_SUNK, *(r * (1.2 + np.sin(at)))], 20)


def lever(rng) -> Body:
    long = rng.uniform(0.8, 2.2)
    bar = moved(rounded_box((long, 0.25, 0.18), 0.06, 2), (0.4 * long, 0, rng.uniform(0.4, 0.8)))
    return together(revolve([0.22, 0.22], [-_SUNK, 0.85], 18), bar)


def eye(rng) -> Body:
    r = rng.uniform(0.3, 0.6)
    bow = sweep(arc(r, 0, np.pi, 14), rng.uniform(0.08, 0.16), 10)
    return moved((bow[0][:, [0, 2, 1]], bow[1]))


def nipple(rng) -> Body:
    r = rng.uniform(0.2, 0.4)
    z = np.linspace(0, 1.0, 6)
    return revolve([r, r, *(r * np.tile([0.65, 0.95], 3))], [-_SUNK, 0.25, *(0.3 + z)], 18)


FEATURES = (boss, screw_boss, rib, gusset, frame, step, spout, knob, lever, eye, nipple)


def with_details(rng: np.random.Generator, body: Body) -> Body:
    """The body with one to three features on its surface, or with a lid or a foot and perhaps a feature."""
    body = outward(body)
    low, high = extent(body)
    diagonal = float(np.linalg.norm(high - low))
    parts, count = [body], int(rng.integers(1, 4))
    if rng.random() < 0.3:
        parts.append(_slab(rng, body, diagonal))
        count -= 1
    for _ in range(count):
        point, normal = _spot(rng, body)
        size = diagonal * np.exp(rng.uniform(np.log(0.06), np.log(0.28)))
        vertices, faces = FEATURES[int(rng.integers(len(FEATURES)))](rng)
        roll = rng.choice([0, np.pi / 2, np.pi, -np.pi / 2]) if rng.random() < 0.6 else rng.uniform(0, 2 * np.pi)
        parts.append(moved((vertices * size, faces), point, towards(normal, roll)))
    return together(*parts)


def _spot(rng: np.random.Generator, body: Body) -> tuple[Array, Array]:
    """A point of the surface and its normal: faces by area, of a few draws one that looks away from the middle."""
    vertices, faces = body
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    area = np.linalg.norm(normal, axis=1)
    at = np.searchsorted(np.cumsum(area), rng.random(6) * area.sum())
    mix = rng.dirichlet((1, 1, 1), 6)
    points = mix[:, :1] * a[at] + mix[:, 1:2] * b[at] + mix[:, 2:] * c[at]
    normals = normal[at] / area[at, None]
    away = np.einsum("ij,ij->i", points - (vertices.min(axis=0) + vertices.max(axis=0)) / 2, normals)
    best = int(np.argmax(away * rng.uniform(0.5, 1.0, 6)))
    return points[best], normals[best]


def _slab(rng: np.random.Generator, body: Body, diagonal: float) -> Body:
    """A lid or a foot on one side of the bounding box, not centred."""
    vertices = body[0]
    low, high = extent(body)
    axis, sign = int(rng.integers(3)), int(rng.choice([-1, 1]))
    reach = high[axis] if sign > 0 else low[axis]
    there = vertices[np.abs(vertices[:, axis] - reach) < 0.02 * diagonal].mean(axis=0)
    sides = [(axis + 1) % 3, (axis + 2) % 3]
    size = np.maximum((high - low)[sides] * rng.uniform(0.3, 1.1, 2), 0.05 * diagonal)
    thick = diagonal * rng.uniform(0.03, 0.1)
    outline = (
        rounded_rectangle(*size, rng.uniform(0.02, 0.3) * size.min()) if rng.random() < 0.6 else circle(0.5, 32) * size
    )
    flat = prism(outline, thick)
    frame_axes = np.zeros((3, 3))
    frame_axes[sides[0], 0] = frame_axes[sides[1], 1] = 1
    frame_axes[axis, 2] = sign
    shift = there.copy()
    shift[axis] = reach - sign * 0.25 * thick
    shift[sides] += rng.uniform(-0.35, 0.35, 2) * size
    return outward(moved(flat, shift, frame_axes))
