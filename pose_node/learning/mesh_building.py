"""Building blocks of procedural meshes: profiles revolved, swept and raised, boxes merged.

By hand instead of with trimesh.creation: the trained networks saw exactly these meshes, and each seed must give the same
one again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pose_node.arrays import Array

Faces = NDArray[np.int64]
Body = tuple[Array, Faces]  # vertices [V, 3], faces [F, 3]
FACETS = 40  # around a full circle


class Shape(NamedTuple):
    """A mesh with a name: vertices [V, 3] metres, faces [F, 3]."""

    name: str
    vertices_m: Array
    faces: Faces


def revolve(
    radii: Sequence[float] | Array, heights: Sequence[float] | Array, facets: int = FACETS, power: float = 2.0
) -> tuple[Array, Faces]:
    """Revolve a profile about z: outside upwards, then inside downwards for a hollow; ends off the axis are capped.

    ``power`` 2 gives circles, more gives rounded squares (superellipses).
    """
    radii, heights = np.asarray(radii, float), np.asarray(heights, float)
    angle = 2 * np.pi * np.arange(facets) / facets
    cosine, sine = np.cos(angle), np.sin(angle)
    round_off = (np.abs(cosine) ** power + np.abs(sine) ** power) ** (-1 / power)
    ring = np.stack([cosine * round_off, sine * round_off], axis=1)
    sides = np.concatenate(
        [radii[:, None, None] * ring, np.broadcast_to(heights[:, None, None], (len(radii), facets, 1))], axis=2
    )
    return tube(sides)


def sweep(
    path: Array, radius: Array | float, facets: int = 14, closed: bool = False, flat: float = 1.0
) -> tuple[Array, Faces]:
    """A tube along ``path`` [P, 3] with ``radius`` (one, or [P]) and a section ``flat`` times as thick as wide.

    The frame of the section follows the path by parallel transport, without twist.
    """
    path = np.asarray(path, float)
    ahead = np.roll(path, -1, axis=0) - np.roll(path, 1, axis=0) if closed else np.gradient(path, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    side = np.zeros_like(path)
    side[0] = np.cross(ahead[0], np.eye(3)[np.argmin(np.abs(ahead[0]))])
    for i in range(1, len(path)):
        side[i] = side[i - 1] - ahead[i] * (side[i - 1] @ ahead[i])
        side[i] /= np.linalg.norm(side[i])
    side[0] /= np.linalg.norm(side[0])
    up = np.cross(ahead, side)
    angle = 2 * np.pi * np.arange(facets) / facets
    radius = np.broadcast_to(np.asarray(radius, float), len(path))[:, None, None]
    section = np.cos(angle)[None, :, None] * side[:, None] + flat * np.sin(angle)[None, :, None] * up[:, None]
    return tube(path[:, None] + radius * section, closed)


def polycubes(cells: Sequence[tuple[int, int, int]], size: Sequence[float]) -> tuple[Array, Faces]:
    """Boxes of ``size`` [3] at integer ``cells``, as one watertight surface, without the faces between two cells."""
    filled = {tuple(int(i) for i in c) for c in cells}
    vertices: list[Array] = []
    faces: list[tuple[int, int, int]] = []
    for cell in sorted(filled):
        for axis in range(3):
            for sign in (-1, 1):
                step = np.zeros(3, int)
                step[axis] = sign
                if tuple(int(i) for i in np.add(cell, step)) in filled:
                    continue
                a, b = np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3]
                face_centre = np.asarray(cell) + 0.5 + 0.5 * step
                corners = [face_centre + 0.5 * (i * a + j * b) for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
                first = len(vertices)
                vertices += corners if sign > 0 else corners[::-1]
                faces += [(first, first + 1, first + 2), (first, first + 2, first + 3)]
    welded, back = np.unique(np.round(np.asarray(vertices) * 2).astype(int), axis=0, return_inverse=True)
    return welded / 2 * np.asarray(size, float), back.reshape(-1)[np.asarray(faces)]


def prism(outline: Array, height: float, top: float = 1.0) -> tuple[Array, Faces]:
    """A star-shaped outline [P, 2] (about its origin) extruded to ``height`` and scaled by ``top`` at its upper end."""
    outline = np.asarray(outline, float)
    lower = np.column_stack([outline, np.zeros(len(outline))])
    upper = np.column_stack([outline * top, np.full(len(outline), height)])
    return tube(np.stack([lower, upper]))


def join(*parts: tuple[Array, Faces]) -> tuple[Array, Faces]:
    """Several meshes as one; surfaces inside of another part are kept."""
    offsets = np.cumsum([0] + [len(v) for v, _ in parts])
    return np.concatenate([v for v, _ in parts]), np.concatenate([f + o for (_, f), o in zip(parts, offsets)])


def tube(rings: Array, closed: bool = False) -> tuple[Array, Faces]:
    """Connect rings [R, S, 3], one to the next; each end is capped with a fan about its mean, or joined to the other when ``closed``."""
    count, facets = rings.shape[:2]
    links = count if closed else count - 1
    i, j = np.meshgrid(np.arange(links), np.arange(facets), indexing="ij")
    a = i * facets + j
    b = i * facets + (j + 1) % facets
    c, d = (a + facets) % (count * facets), (b + facets) % (count * facets)
    faces = [np.stack([a, b, d], -1).reshape(-1, 3), np.stack([a, d, c], -1).reshape(-1, 3)]
    vertices = [rings.reshape(-1, 3)]
    if not closed:
        vertices += [rings[0].mean(axis=0, keepdims=True), rings[-1].mean(axis=0, keepdims=True)]
        around = np.arange(facets)
        first, last = count * facets, count * facets + 1
        top = (count - 1) * facets
        faces.append(np.stack([np.full(facets, first), (around + 1) % facets, around], -1))
        faces.append(np.stack([np.full(facets, last), top + around, top + (around + 1) % facets], -1))
    points, faces_all = np.concatenate(vertices), np.concatenate(faces)
    corners = points[faces_all]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return points, faces_all[area > 1e-14]


def finish(name: str, mesh: tuple[Array, Faces], diameter_m: float | None = None) -> Shape:
    """Centre, scale to a bounding-box diagonal ``diameter_m`` (None: as it is) and wind outward."""
    vertices, faces = mesh
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    vertices = vertices - (low + high) / 2
    if diameter_m is not None:
        vertices = vertices * (diameter_m / np.linalg.norm(high - low))
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    if np.einsum("ij,ij->", a, np.cross(b, c)) < 0:
        faces = faces[:, ::-1]
    return Shape(name, np.ascontiguousarray(vertices), np.ascontiguousarray(faces))


def arc(radius: float, start: float, end: float, steps: int = 24) -> Array:
    """Points [steps, 3] of a circle about z, from angle ``start`` to ``end``."""
    at = np.linspace(start, end, steps)
    return np.stack([radius * np.cos(at), radius * np.sin(at), np.zeros(steps)], axis=1)


def random_aspects(rng: np.random.Generator, thin: float = 0.2) -> Array:
    """Random edge ratios [3], the largest 1, none below ``thin``."""
    sizes = np.exp(rng.uniform(np.log(thin), 0, 3))
    return sizes / sizes.max()
