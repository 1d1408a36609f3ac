"""Procedural meshes: clutter to train with, other kinds of clutter to test with, and chiral parts with mirrored twins.

Everything comes from a seed, in metres, centred on its bounding box, with faces wound outward. Training and held-out
shapes differ in KIND, not only in size: no builder serves both families.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from pose_node.arrays import Array

Faces = NDArray[np.int64]
_ROUND = 40  # facets around a full turn


class Shape(NamedTuple):
    """A mesh with a name: vertices [V, 3] metres, faces [F, 3]."""

    name: str
    vertices_m: Array
    faces: Faces


# ---------------------------------------------------------------------------------------------------- building blocks


def revolve(
    radii: Sequence[float] | Array, heights: Sequence[float] | Array, facets: int = _ROUND, power: float = 2.0
) -> tuple[Array, Faces]:
    """Turn a profile about z. It runs from the axis to the axis, bottom to top outside; ends off the axis are capped.

    ``power`` 2 gives circles, more gives rounded squares (superellipses).
    """
    radii, heights = np.asarray(radii, float), np.asarray(heights, float)
    turn = 2 * np.pi * np.arange(facets) / facets
    cosine, sine = np.cos(turn), np.sin(turn)
    round_off = (np.abs(cosine) ** power + np.abs(sine) ** power) ** (-1 / power)
    ring = np.stack([cosine * round_off, sine * round_off], axis=1)
    sides = np.concatenate(
        [radii[:, None, None] * ring, np.broadcast_to(heights[:, None, None], (len(radii), facets, 1))], axis=2
    )
    return _tube(sides)


def sweep(
    path: Array, radius: Array | float, facets: int = 14, closed: bool = False, flat: float = 1.0
) -> tuple[Array, Faces]:
    """A tube along ``path`` [P, 3] with ``radius`` (one, or [P]) and a section ``flat`` times as thick as wide.

    The section's frame is carried along without twist (parallel transport).
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
    turn = 2 * np.pi * np.arange(facets) / facets
    radius = np.broadcast_to(np.asarray(radius, float), len(path))[:, None, None]
    section = np.cos(turn)[None, :, None] * side[:, None] + flat * np.sin(turn)[None, :, None] * up[:, None]
    return _tube(path[:, None] + radius * section, closed)


def polycubes(cells: Sequence[tuple[int, int, int]], size: Sequence[float]) -> tuple[Array, Faces]:
    """Boxes of ``size`` [3] at integer ``cells``, as one watertight skin (faces between two cells are left out)."""
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
                middle = np.asarray(cell) + 0.5 + 0.5 * step
                corners = [middle + 0.5 * (i * a + j * b) for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
                first = len(vertices)
                vertices += corners if sign > 0 else corners[::-1]
                faces += [(first, first + 1, first + 2), (first, first + 2, first + 3)]
    welded, back = np.unique(np.round(np.asarray(vertices) * 2).astype(int), axis=0, return_inverse=True)
    return welded / 2 * np.asarray(size, float), back.reshape(-1)[np.asarray(faces)]


def prism(outline: Array, height: float, top: float = 1.0) -> tuple[Array, Faces]:
    """A star-shaped outline [P, 2] (about its origin) raised to ``height`` and scaled by ``top`` at its upper end."""
    outline = np.asarray(outline, float)
    lower = np.column_stack([outline, np.zeros(len(outline))])
    upper = np.column_stack([outline * top, np.full(len(outline), height)])
    return _tube(np.stack([lower, upper]))


def join(*parts: tuple[Array, Faces]) -> tuple[Array, Faces]:
    """Several meshes in one; overlaps stay inside."""
    offsets = np.cumsum([0] + [len(v) for v, _ in parts])
    return np.concatenate([v for v, _ in parts]), np.concatenate([f + o for (_, f), o in zip(parts, offsets)])


def _tube(rings: Array, closed: bool = False) -> tuple[Array, Faces]:
    """Connect rings [R, S, 3], one to the next; the ends are capped to their middles, or joined when ``closed``."""
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


def _finish(name: str, mesh: tuple[Array, Faces], diameter_m: float | None = None) -> Shape:
    """Centre, scale to a diameter (of the bounding box) and wind outward."""
    vertices, faces = mesh
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    vertices = vertices - (low + high) / 2
    if diameter_m is not None:
        vertices = vertices * (diameter_m / np.linalg.norm(high - low))
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    if np.einsum("ij,ij->", a, np.cross(b, c)) < 0:
        faces = faces[:, ::-1]
    return Shape(name, np.ascontiguousarray(vertices), np.ascontiguousarray(faces))


def _arc(radius: float, start: float, end: float, steps: int = 24) -> Array:
    at = np.linspace(start, end, steps)
    return np.stack([radius * np.cos(at), radius * np.sin(at), np.zeros(steps)], axis=1)


def _aspects(rng: np.random.Generator, thin: float = 0.2) -> Array:
    """[3] edge ratios, the largest 1, none below ``thin``."""
    sizes = np.exp(rng.uniform(np.log(thin), 0, 3))
    return sizes / sizes.max()


# ------------------------------------------------------------------------------------------------------ training kinds


def _box(rng):
    return polycubes([(0, 0, 0)], _aspects(rng, 0.1))


def _cylinder(rng):
    r = rng.uniform(0.15, 0.8)
    return revolve([r, r], [0, 1])


def _cone(rng):
    return revolve([rng.uniform(0.3, 0.8), 1e-4], [0, 1])


def _frustum(rng):
    return revolve([rng.uniform(0.3, 0.7), rng.uniform(0.1, 0.5)], [0, 1], power=rng.choice([2.0, 4.0, 10.0]))


def _ellipsoid(rng):
    at = np.linspace(-np.pi / 2 + 1e-3, np.pi / 2 - 1e-3, 22)
    vertices, faces = revolve(np.cos(at), np.sin(at))
    return vertices * _aspects(rng, 0.35), faces


def _superquadric(rng):
    at = np.linspace(-np.pi / 2 + 1e-3, np.pi / 2 - 1e-3, 26)
    e = rng.uniform(0.2, 1.2)
    vertices, faces = revolve(np.cos(at) ** e, np.sign(np.sin(at)) * np.abs(np.sin(at)) ** e, power=rng.uniform(2, 8))
    return vertices * _aspects(rng, 0.3), faces


def _torus(rng):
    return sweep(_arc(1.0, 0, 2 * np.pi * (1 - 1 / _ROUND), _ROUND), rng.uniform(0.12, 0.4), closed=True)


def _capsule(rng):
    at, r = np.linspace(-np.pi / 2 + 1e-3, np.pi / 2 - 1e-3, 20), rng.uniform(0.12, 0.45)
    return revolve(r * np.cos(at), r * np.sin(at) + np.where(at > 0, 1.0, 0.0))


def _l_profile(rng):
    a, b = rng.integers(2, 5, 2)
    return polycubes([(i, 0, 0) for i in range(a)] + [(0, j, 0) for j in range(b)], (0.25, 0.25, rng.uniform(0.2, 1.2)))


def _u_profile(rng):
    a, b = rng.integers(2, 4, 2)
    cells = [(i, 0, 0) for i in range(-1, a + 1)] + [(k, j, 0) for j in range(1, b + 1) for k in (-1, a)]
    return polycubes(cells, (0.22, 0.22, rng.uniform(0.2, 1.0)))


def _t_profile(rng):
    a, b = rng.integers(1, 3), rng.integers(2, 5)
    cells = [(i, 0, 0) for i in range(-a, a + 1)] + [(0, j, 0) for j in range(1, b)]
    return polycubes(cells, (0.22, 0.22, rng.uniform(0.2, 1.0)))


def _bottle(rng):
    body, neck = rng.uniform(0.2, 0.4), rng.uniform(0.06, 0.14)
    shoulder, start = rng.uniform(0.55, 0.75), rng.uniform(0.8, 0.9)
    waist = body * rng.uniform(0.8, 1.0)
    heights = [0, 0.02, 0.25, shoulder - 0.1, shoulder, start, 1.0]
    vertices, faces = revolve(
        [body * 0.9, body, waist, waist, body, neck, neck], heights, power=rng.choice([2.0, 3.0, 6.0])
    )
    return vertices * (1, rng.uniform(0.6, 1.0), 1), faces


def _cup(rng):
    r, low, wall = rng.uniform(0.35, 0.6), rng.uniform(0.25, 0.5), rng.uniform(0.02, 0.05)
    return revolve([low, r, r - wall, low - wall, 1e-4], [0, 1, 1, 0.06, 0.06])


def _dish(rng):
    at, wall, deep = np.linspace(0.02, 1, 14), rng.uniform(0.03, 0.07), rng.uniform(0.25, 0.6)
    outside, power = deep * at ** rng.uniform(1.6, 3.0), wall
    return revolve(np.concatenate([at, at[::-1] * (1 - power)]), np.concatenate([outside, outside[::-1] + power]))


def _bent_tube(rng):
    turn = rng.uniform(0.6, 2.6)
    path = np.concatenate([[[1.0, -rng.uniform(0.3, 1.2), 0]], _arc(1.0, 0, turn, 20)])
    return sweep(path, rng.uniform(0.08, 0.3), flat=rng.uniform(0.5, 1.0))


def _union(rng):
    parts = []
    for i in range(int(rng.integers(2, 4))):
        kind = (_box, _cylinder, _ellipsoid, _frustum, _capsule)[int(rng.integers(5))]
        shape = _finish("", kind(rng), rng.uniform(0.5, 1.0))
        turn = Rotation.random(random_state=int(rng.integers(2**31))).as_matrix()
        parts.append((shape.vertices_m @ turn.T + (rng.uniform(-0.3, 0.3, 3) if i else 0), shape.faces))
    return join(*parts)


# ------------------------------------------------------------------------------------------------------ held-out kinds


def _hexagonal_prism(rng):
    at = 2 * np.pi * np.arange(6) / 6
    return prism(np.stack([np.cos(at), np.sin(at)], 1) * rng.uniform(0.25, 0.7), 1.0)


def _pyramid(rng):
    at = 2 * np.pi * np.arange(int(rng.integers(3, 6))) / 4
    sides = int(rng.integers(3, 5))
    at = 2 * np.pi * np.arange(sides) / sides
    return prism(np.stack([np.cos(at), np.sin(at)], 1) * rng.uniform(0.5, 0.9), 1.0, 1e-3)


def _star(rng):
    spikes = int(rng.integers(4, 8))
    at = np.pi * np.arange(2 * spikes) / spikes
    r = np.where(np.arange(2 * spikes) % 2 == 0, 1.0, rng.uniform(0.45, 0.75))
    return prism(np.stack([r * np.cos(at), r * np.sin(at)], 1), rng.uniform(0.3, 1.5), rng.uniform(0.6, 1.0))


def _wedge(rng):
    vertices, faces = prism(
        np.array([[-0.5, -0.35], [0.6, -0.35], [rng.uniform(-0.5, 0.6), 0.6]]), rng.uniform(0.4, 1.4)
    )
    return vertices, faces


def _cross(rng):
    arm = int(rng.integers(1, 3))
    cells = [(i, 0, 0) for i in range(-arm, arm + 1)] + [(0, i, 0) for i in range(-arm, arm + 1)]
    return polycubes(cells + ([(0, 0, 1), (0, 0, -1)] if rng.random() < 0.5 else []), (0.3, 0.3, rng.uniform(0.2, 0.5)))


def _stairs(rng):
    cells = [(i, j, 0) for i in range(int(rng.integers(3, 5))) for j in range(i + 1)]
    return polycubes(cells, (0.3, rng.uniform(0.2, 0.35), rng.uniform(0.4, 1.2)))


def _dumbbell(rng):
    thin, end = rng.uniform(0.1, 0.2), rng.uniform(0.15, 0.3)
    return revolve([0.4, 0.4, thin, thin, 0.4, 0.4], [0, end, end + 0.01, 1 - end, 1.01 - end, 1.0])


def _goblet(rng):
    bowl, stem = rng.uniform(0.25, 0.4), rng.uniform(0.04, 0.08)
    radii = [0.3, 0.3, stem, stem, bowl * 0.7, bowl, bowl * 0.85, bowl * 0.8, bowl * 0.6, 1e-4]
    return revolve(radii, [0, 0.03, 0.08, 0.45, 0.55, 0.75, 1.0, 1.0, 0.6, 0.53])


def _gear(rng):
    teeth = int(rng.integers(6, 11))
    at = 2 * np.pi * np.arange(4 * teeth) / (4 * teeth)
    r = np.where(np.arange(4 * teeth) % 4 < 2, 1.0, rng.uniform(0.7, 0.85))
    return prism(np.stack([r * np.cos(at), r * np.sin(at)], 1), rng.uniform(0.2, 0.7))


def _arch(rng):
    r, t = 1.0, rng.uniform(0.15, 0.3)
    wide = rng.uniform(0.3, 0.9)
    vertices, faces = _tube(
        np.stack(
            [
                np.array(
                    [
                        [(r - t) * c, wide, (r - t) * s],
                        [(r + t) * c, wide, (r + t) * s],
                        [(r + t) * c, 0, (r + t) * s],
                        [(r - t) * c, 0, (r - t) * s],
                    ]
                )
                for c, s in zip(np.cos(np.linspace(0, np.pi, 20)), np.sin(np.linspace(0, np.pi, 20)))
            ]
        )
    )
    return vertices, faces


TRAINING_KINDS: dict[str, Callable] = {
    f.__name__[1:]: f
    for f in (_box, _cylinder, _cone, _frustum, _ellipsoid, _superquadric, _torus, _capsule, _l_profile, _u_profile,
              _t_profile, _bottle, _cup, _dish, _bent_tube, _union)
}  # fmt: skip
HELD_OUT_KINDS: dict[str, Callable] = {
    f.__name__[1:]: f
    for f in (_hexagonal_prism, _pyramid, _star, _wedge, _cross, _stairs, _dumbbell, _goblet, _gear, _arch)
}


def training(seed: int, size_m: tuple[float, float] = (0.05, 0.3)) -> Shape:
    """One training shape; kinds follow each other with the seed, the rest is drawn. Bounding-box diagonal in ``size_m``."""
    return _make("training", TRAINING_KINDS, seed, size_m)


def held_out(seed: int, size_m: tuple[float, float] = (0.05, 0.3)) -> Shape:
    """One shape of a kind that training never shows."""
    return _make("held_out", HELD_OUT_KINDS, seed, size_m)


def training_set(count: int = 40, first_seed: int = 0, size_m: tuple[float, float] = (0.05, 0.3)) -> list[Shape]:
    """``count`` training shapes of consecutive seeds."""
    return [training(s, size_m) for s in range(first_seed, first_seed + count)]


def held_out_set(count: int = 20, first_seed: int = 0, size_m: tuple[float, float] = (0.05, 0.3)) -> list[Shape]:
    """``count`` held-out shapes of consecutive seeds."""
    return [held_out(s, size_m) for s in range(first_seed, first_seed + count)]


def _make(family: str, kinds: dict[str, Callable], seed: int, size_m: tuple[float, float]) -> Shape:
    rng = np.random.default_rng([len(family), seed])
    name = list(kinds)[seed % len(kinds)]
    diameter = float(np.exp(rng.uniform(*np.log(size_m))))
    return _finish(f"{family}_{name}_{seed}", kinds[name](rng), diameter)


# ------------------------------------------------------------------------------------------------------- chiral parts


def chiral_parts(diameter_m: float = 0.12) -> list[tuple[Shape, Shape]]:
    """Parts (bounding-box diagonal ``diameter_m``) with mirrored twins that no turn brings to the true one: ``mirror_gap``."""
    return [
        (part, mirrored(part))
        for part in (_hook(diameter_m), _bracket(diameter_m), _spiral_stairs(diameter_m), _screw(diameter_m))
    ]


def mirrored(shape: Shape) -> Shape:
    """The twin seen in a mirror across x = 0, wound outward again."""
    return Shape(f"{shape.name}_mirrored", shape.vertices_m * (-1, 1, 1), np.ascontiguousarray(shape.faces[:, ::-1]))


def _hook(diameter_m: float) -> Shape:
    """A bar bent three times, each time out of the plane so far."""
    corners = np.array([[0, 0, 0], [1.2, 0, 0], [1.2, 0.9, 0], [1.2, 0.9, 1.0], [0.6, 0.9, 1.0]])
    return _finish("chiral_hook", sweep(_rounded(corners, 0.25), 0.14), diameter_m)


def _bracket(diameter_m: float) -> Shape:
    """An L of sheet with a peg off to one side of each leg."""
    cells = [(i, j, 0) for i in range(4) for j in range(6)] + [(0, j, k) for j in range(6) for k in range(1, 5)]
    cells += [(2, 4, 1), (3, 4, 1), (2, 5, 1), (3, 5, 1), (2, 4, 2), (3, 4, 2), (2, 5, 2), (3, 5, 2)]
    cells += [(-1, 0, 4), (-2, 0, 4), (-1, 1, 4), (-2, 1, 4), (-1, 0, 3), (-2, 0, 3), (-1, 1, 3), (-2, 1, 3)]
    return _finish("chiral_bracket", polycubes(cells, (1.0, 1.0, 1.0)), diameter_m)


def _spiral_stairs(diameter_m: float) -> Shape:
    """Blocks that climb and turn, each a quarter further."""
    cells = [(x, y, 0) for x in (0, 1) for y in (0, 1)]
    for level, corner in enumerate([(2, 0), (2, 2), (0, 2), (-2, 2)]):
        cells += [(corner[0] + i, corner[1] + j, k) for i in (0, 1) for j in (0, 1) for k in range(level, level + 2)]
    return _finish("chiral_stairs", polycubes(cells, (1.0, 1.0, 1.1)), diameter_m)


def _screw(diameter_m: float) -> Shape:
    """A spring of one turn and three quarters with a steep pitch."""
    at = np.linspace(0, 3.5 * np.pi, 90)
    path = np.stack([np.cos(at), np.sin(at), 0.26 * at], axis=1)
    return _finish("chiral_spring", sweep(path, 0.2), diameter_m)


def _rounded(corners: Array, radius: float, steps: int = 7) -> Array:
    """A polyline [P, 3] with its inner corners replaced by quadratic curves."""
    path = [corners[:1]]
    for before, corner, after in zip(corners, corners[1:], corners[2:]):
        a = corner + radius * (before - corner) / np.linalg.norm(before - corner)
        b = corner + radius * (after - corner) / np.linalg.norm(after - corner)
        t = np.linspace(0, 1, steps)[:, None]
        path.append((1 - t) ** 2 * a + 2 * t * (1 - t) * corner + t**2 * b)
    return np.concatenate([*path, corners[-1:]])


def sample_surface(vertices_m: Array, faces: NDArray, count: int, seed: int = 0) -> Array:
    """[count, 3] points spread evenly by area."""
    rng = np.random.default_rng(seed)
    a, b, c = (vertices_m[faces[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    # Systematic sampling along the cumulated area: steadier than independent draws.
    at = (np.arange(count) + rng.random()) / count * area.sum()
    pick = np.minimum(np.searchsorted(np.cumsum(area), at), len(area) - 1)
    u, v = rng.random((2, count, 1))
    flip = u + v > 1
    u, v = np.where(flip, 1 - u, u), np.where(flip, 1 - v, v)
    return a[pick] + u * (b - a)[pick] + v * (c - a)[pick]


def mirror_gap(shape: Shape, starts: int = 150, points: int = 400, seed: int = 0) -> float:
    """How far the mirrored twin stays from the true part: 95th percentile of the surface distance at the best rigid fit.

    In units of the diameter (largest distance of two vertices). ICP from ``starts`` rotations spread
    over SO(3), then a random descent on the percentile itself from the best few.
    """
    rng = np.random.default_rng(seed)
    dense = sample_surface(shape.vertices_m, shape.faces, 12000, seed)
    true = cKDTree(dense)
    twin = sample_surface(shape.vertices_m, shape.faces, points, seed + 1) * (-1, 1, 1)
    diameter = _diameter(shape.vertices_m)

    # Both ways: a twin that sinks into one part of the truth leaves the rest of it bare. The way back is short of the
    # samples' own spacing.
    bare = dense[:: len(dense) // points]
    spacing = float(np.median(cKDTree(twin).query(twin, k=2)[0][:, 1]))

    def gap(R: Array, t: Array) -> float:
        moved = twin @ R.T + t
        return max(np.quantile(true.query(moved)[0], 0.95), np.quantile(cKDTree(moved).query(bare)[0], 0.95) - spacing)

    fits = []
    for R in Rotation.random(starts, random_state=seed).as_matrix():
        t = dense.mean(axis=0) - R @ twin.mean(axis=0)
        for _ in range(12):
            moved = twin @ R.T + t
            near = dense[true.query(moved)[1]]
            a, b = twin.mean(axis=0), near.mean(axis=0)
            U, _, Vt = np.linalg.svd((near - b).T @ (twin - a))
            R = U @ np.diag([1, 1, np.sign(np.linalg.det(U @ Vt))]) @ Vt
            t = b - R @ a
        fits.append((gap(R, t), R, t))
    fits.sort(key=lambda f: f[0])
    best = fits[0][0]
    for score, R, t in fits[:4]:
        step = 0.1
        while step > 0.004:
            turn = Rotation.from_rotvec(rng.normal(size=3) * step).as_matrix()
            trial = turn @ R, t + rng.normal(size=3) * step * diameter * 0.3
            new = gap(*trial)
            if new < score:
                score, (R, t) = new, trial
            else:
                step *= 0.95
        best = min(best, score)
    return best / diameter


def _diameter(vertices: Array) -> float:
    """Largest distance of two vertices, over at most 1,500 of them (the extreme ones in 200 directions and a draw)."""
    if len(vertices) > 1500:
        ways = np.random.default_rng(0).normal(size=(200, 3))
        extreme = np.unique(np.concatenate([(vertices @ ways.T).argmax(axis=0), (vertices @ ways.T).argmin(axis=0)]))
        vertices = vertices[extreme]
    return float(np.linalg.norm(vertices[:, None] - vertices[None], axis=2).max())
