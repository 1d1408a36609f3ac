"""Bodies with one formula."""

from __future__ import annotations

import numpy as np

from pose_node.learning.mesh_building import FACETS, arc, polycubes, random_aspects, revolve, sweep


def box(rng):
    return polycubes([(0, 0, 0)], random_aspects(rng, 0.1))


def cylinder(rng):
    r = rng.uniform(0.15, 0.8)
    return revolve([r, r], [0, 1])


def cone(rng):
    return revolve([rng.uniform(0.3, 0.8), 1e-4], [0, 1])


def frustum(rng):
    return revolve([rng.uniform(0.3, 0.7), rng.uniform(0.1, 0.5)], [0, 1], power=rng.choice([2.0, 4.0, 10.0]))


def ellipsoid(rng):
    at = np.linspace(-np.pi / 2 + 1e-3, np.pi / 2 - 1e-3, 22)
    vertices, faces = revolve(np.cos(at), np.sin(at))
    return vertices * random_aspects(rng, 0.35), faces


def superquadric(rng):
    at = np.linspace(-np.pi / 2 + 1e-3, np.pi / 2 - 1e-3, 26)
    e = rng.uniform(0.2, 1.2)
    vertices, faces = revolve(np.cos(at) ** e, np.sign(np.sin(at)) * np.abs(np.sin(at)) ** e, power=rng.uniform(2, 8))
    return vertices * random_aspects(rng, 0.3), faces


def torus(rng):
    return sweep(arc(1.0, 0, 2 * np.pi * (1 - 1 / FACETS), FACETS), rng.uniform(0.12, 0.4), closed=True)


def capsule(rng):
    at, r = np.linspace(-np.pi / 2 + 1e-3, np.pi / 2 - 1e-3, 20), rng.uniform(0.12, 0.45)
    return revolve(r * np.cos(at), r * np.sin(at) + np.where(at > 0, 1.0, 0.0))


KINDS = (box, cylinder, cone, frustum, ellipsoid, superquadric, torus, capsule)
