"""Right poses: the truth, what depth cannot tell from it, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from pose_node.geometry.se3 import exp_so3, transform
from pose_node.learning.mesh import Mesh, diameter_of
from pose_node.learning.mesh_building import polycubes
from pose_node.learning.pose_truth import Truth
from pose_node.learning.surface import sample_surface


@pytest.fixture(scope="module")
def brick():
    vertices, faces = polycubes([(0, 0, 0)], (0.12, 0.08, 0.05))
    mesh = Mesh(np.asarray(vertices), np.asarray(faces), diameter_of(vertices))
    return mesh, sample_surface(mesh, candidates=6000, samples=2048, subdivisions=1)


def about(surface, turn, shift=(0.0, 0.0, 0.0)):
    centre = 0.5 * (surface.points_m.min(axis=0) + surface.points_m.max(axis=0))
    R = exp_so3(np.asarray(turn, float))
    return transform(R, centre - R @ centre + np.asarray(shift))


def test_a_brick_is_right_up_to_its_half_turns_and_small_errors(brick):
    mesh, surface = brick
    truth, T_true = Truth(surface, mesh.diameter_m), about(surface, [0.4, 0.2, -0.7], [0.1, 0.0, 0.8])
    motions = {
        "true": (about(surface, [0, 0, 0]), True),
        "a little off": (about(surface, [0.02, 0, 0.02], [0.003, 0, 0]), True),
        "half-turn": (about(surface, [0, 0, np.pi]) @ about(surface, [0.01, 0, 0]), True),
        "quarter turn": (about(surface, [0, 0, np.pi / 2]), False),
        "beside": (about(surface, [0, 0, 0], [0.03, 0, 0]), False),
    }
    T = np.stack([T_true @ M for M, _ in motions.values()])
    assert truth.right(T, T_true, surface).tolist() == [right for _, right in motions.values()]


def test_a_longer_brick_is_never_right(brick):
    mesh, surface = brick
    vertices, faces = polycubes([(0, 0, 0)], (0.14, 0.08, 0.05))
    other = Mesh(np.asarray(vertices), np.asarray(faces), diameter_of(vertices))
    longer = sample_surface(other, candidates=6000, samples=2048, subdivisions=1)
    T_true = about(surface, [0.4, 0.2, -0.7], [0.1, 0.0, 0.8])
    assert not Truth(surface, mesh.diameter_m).right(T_true[None], T_true, longer).any()
