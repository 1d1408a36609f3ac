"""Assemblies: parts put onto each other, aligned but not centred; and parts stuck through each other."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from pose_node.learning.mesh_building import Body, finish, join
from pose_node.learning.shape_kinds import (
    curved,
    machine,
    packages,
    primitives,
    profiles,
    sheet_metal,
    thin,
    tubes,
    turned,
)
from pose_node.learning.shape_kinds.placing import extent, moved, together, turn_about

PARTS = (
    primitives.box, primitives.cylinder, primitives.frustum, primitives.capsule, primitives.superquadric, turned.turned,
    turned.bored, profiles.l_profile, profiles.u_profile, profiles.section_profile, profiles.polygon_profile,
    profiles.hollow_profile, packages.cushion_box, packages.tub, thin.plate, machine.gear, machine.bolt, tubes.pipe,
    sheet_metal.bracket, curved.pear,
)  # fmt: skip


def _part(rng, size: float) -> Body:
    """A part with bounding-box diagonal ``size``, centred, its axes along the main axes in any order."""
    kind = PARTS[int(rng.integers(len(PARTS)))]
    vertices, faces = finish("", kind(rng), size)[1:]
    quarter = 90.0 * rng.integers(0, 4, 3)
    return moved((vertices, faces), turn=turn_about("xyz", *quarter))


def _put_together(rng, count: int, sizes: tuple[float, float]) -> Body:
    """The first part, and others each on a side of one that is there, shifted along that side."""
    parts = [_part(rng, 1.0)]
    for _ in range(count - 1):
        new = _part(rng, rng.uniform(*sizes))
        onto = parts[int(rng.integers(len(parts)))]
        axis, sign = int(rng.integers(3)), int(rng.choice([-1, 1]))
        vertices = onto[0]
        reach = sign * (sign * vertices[:, axis]).max()
        low, high = extent(onto)
        contact = vertices[np.abs(vertices[:, axis] - reach) < 0.03].mean(axis=0)
        own_low, own_high = extent(new)
        half = (own_high - own_low) / 2
        shift = contact + rng.uniform(-0.35, 0.35, 3) * np.minimum(2 * half, high - low)
        shift[axis] = reach + sign * half[axis] * rng.uniform(0.5, 0.95)
        parts.append(moved(new, shift))
    return together(*parts)


def assembly(rng):
    """Two or three parts of like size."""
    return _put_together(rng, int(rng.integers(2, 4)), (0.5, 1.0))


def machine_assembly(rng):
    """A main part with three to five smaller ones."""
    return _put_together(rng, int(rng.integers(4, 7)), (0.25, 0.7))


def plug(rng):
    """A body with two or three pins or sockets in a row on one side and a cable or a lever on another: plugs, bearings' blocks."""
    w, d, h = 1.0, *rng.uniform(0.4, 1.0, 2)
    body = packages.rounded_box((w, d, h), rng.uniform(0.03, 0.15), 4)
    parts = [body]
    count = int(rng.integers(2, 4))
    r, long = rng.uniform(0.05, 0.12), rng.uniform(0.2, 0.6)
    for i in range(count):
        pin = primitives.revolve([r, r, 0.7 * r], [0, long, long + 0.05], 14)
        parts.append(moved(pin, ((i - (count - 1) / 2) * 0.3, rng.uniform(-0.1, 0.1), h / 2 - 0.02)))
    cable = tubes.smooth_path(
        [(0, 0, 0), (0.2, 0, 0), (0.5, *rng.uniform(-0.2, 0.2, 2)), (0.8, *rng.uniform(-0.6, 0.6, 2))], 20
    )
    parts.append(moved(tubes.sweep(cable, rng.uniform(0.05, 0.1), 12), (w / 2 - 0.05, 0, rng.uniform(-0.2, 0.2) * h)))
    return together(*parts)


def union(rng):
    """Two or three primitives stuck through each other at random."""
    parts = []
    for i in range(int(rng.integers(2, 4))):
        kinds = (primitives.box, primitives.cylinder, primitives.ellipsoid, primitives.frustum, primitives.capsule)
        shape = finish("", kinds[int(rng.integers(5))](rng), rng.uniform(0.5, 1.0))
        turn = Rotation.random(random_state=int(rng.integers(2**31))).as_matrix()
        parts.append((shape.vertices_m @ turn.T + (rng.uniform(-0.3, 0.3, 3) if i else 0), shape.faces))
    return join(*parts)


KINDS = (assembly, machine_assembly, plug, union)
