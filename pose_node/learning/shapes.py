"""Procedural shapes: clutter for training, and clutter of other kinds for held-out views.

A shape follows from its seed, in metres, centred on its bounding box, with faces wound outward. Training and held-out
shapes differ in kind, not only in size: no builder serves both families.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import Rotation

from pose_node.learning.mesh_building import (
    FACETS,
    Shape,
    arc,
    finish,
    join,
    polycubes,
    prism,
    random_aspects,
    revolve,
    sweep,
    tube,
)


def _box(rng):
    return polycubes([(0, 0, 0)], random_aspects(rng, 0.1))


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
    return vertices * random_aspects(rng, 0.35), faces


def _superquadric(rng):
    at = np.linspace(-np.pi / 2 + 1e-3, np.pi / 2 - 1e-3, 26)
    e = rng.uniform(0.2, 1.2)
    vertices, faces = revolve(np.cos(at) ** e, np.sign(np.sin(at)) * np.abs(np.sin(at)) ** e, power=rng.uniform(2, 8))
    return vertices * random_aspects(rng, 0.3), faces


def _torus(rng):
    return sweep(arc(1.0, 0, 2 * np.pi * (1 - 1 / FACETS), FACETS), rng.uniform(0.12, 0.4), closed=True)


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
    path = np.concatenate([[[1.0, -rng.uniform(0.3, 1.2), 0]], arc(1.0, 0, turn, 20)])
    return sweep(path, rng.uniform(0.08, 0.3), flat=rng.uniform(0.5, 1.0))


def _union(rng):
    parts = []
    for i in range(int(rng.integers(2, 4))):
        kind = (_box, _cylinder, _ellipsoid, _frustum, _capsule)[int(rng.integers(5))]
        shape = finish("", kind(rng), rng.uniform(0.5, 1.0))
        turn = Rotation.random(random_state=int(rng.integers(2**31))).as_matrix()
        parts.append((shape.vertices_m @ turn.T + (rng.uniform(-0.3, 0.3, 3) if i else 0), shape.faces))
    return join(*parts)


def _hexagonal_prism(rng):
    at = 2 * np.pi * np.arange(6) / 6
    return prism(np.stack([np.cos(at), np.sin(at)], 1) * rng.uniform(0.25, 0.7), 1.0)


def _pyramid(rng):
    rng.integers(3, 6)  # unused; without this draw each seed would give another pyramid
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
    vertices, faces = tube(
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
    """A training shape: the seed chooses the kind in turn and draws the rest. Bounding-box diagonal within ``size_m``."""
    return _make("training", TRAINING_KINDS, seed, size_m)


def held_out(seed: int, size_m: tuple[float, float] = (0.05, 0.3)) -> Shape:
    """A shape of a kind that training never uses."""
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
    return finish(f"{family}_{name}_{seed}", kinds[name](rng), diameter)
