"""Parts of known symmetry for the tests of the learning side, and quick samples of their surfaces."""

from __future__ import annotations

import functools

import numpy as np
import trimesh

from pose_node.learning.mesh import Mesh, diameter_of
from pose_node.learning.surface import sample_surface

make = trimesh.creation
quick_surface = functools.partial(sample_surface, candidates=8000, samples=2048, subdivisions=1)


def placed(part, seed=3):
    """The part in another frame, so that its axes are not those of the mesh; and the motion T there."""
    T = trimesh.transformations.random_rotation_matrix(np.random.default_rng(seed).random(3))
    T[:3, 3] = (0.2, -0.1, 0.3)
    part = part.copy()
    part.apply_transform(T)
    return as_mesh(part), T


def as_mesh(part):
    vertices = np.asarray(part.vertices, dtype=float)
    return Mesh(vertices, np.asarray(part.faces), diameter_of(vertices))


def join(*boxes):
    return trimesh.util.concatenate([make.box(bounds=b) for b in boxes])


BAR = [[-0.06, -0.015, -0.01], [0.06, 0.015, 0.01]]
PARTS = {
    # name: (part, size of its finite group, continuous axes)
    "cube": (make.box((0.1, 0.1, 0.1)), 24, 0),
    "box": (make.box((0.1, 0.07, 0.03)), 4, 0),
    "hexagon": (make.cylinder(radius=0.05, height=0.03, sections=6), 12, 0),
    "cylinder": (make.cylinder(radius=0.03, height=0.1, sections=64), 2, 1),
    "cone": (make.cone(radius=0.04, height=0.1, sections=64), 1, 1),
    "ball": (make.icosphere(subdivisions=3, radius=0.05), 1, 3),
    "two arms": (join(BAR, [[0.04, -0.015, 0.01], [0.06, 0.05, 0.03]], [[-0.06, -0.05, 0.01], [-0.04, 0.015, 0.03]]), 2, 0),
    "corner": (join(BAR, [[0.04, -0.015, 0.01], [0.06, 0.07, 0.03]], [[-0.06, -0.015, 0.01], [-0.02, 0.015, 0.06]]), 1, 0),
}  # fmt: skip
