"""Outlines with holes fill to the right area and rise to watertight solids."""

import numpy as np
import pytest

pytest.importorskip("trimesh")
import trimesh

from pose_node.learning.mesh_filling import extrude, fill
from pose_node.learning.shape_kinds.sections import circle, rectangle

COMB = np.array([(0, 0), (5, 0), (5, 3), (4, 3), (4, 1), (3, 1), (3, 3), (2, 3), (2, 1), (1, 1), (1, 3), (0, 3)], float)


@pytest.mark.parametrize("clockwise", [False, True])
def test_a_concave_outline_with_holes_rises_to_a_solid_of_the_right_volume(clockwise):
    outline = COMB[::-1] if clockwise else COMB
    holes = [circle(0.3, 12, (0.5, 0.5)), rectangle(1.0, 0.4, (3.0, 0.5))]
    vertices, faces = extrude(outline, 2.0, holes)
    mesh = trimesh.Trimesh(vertices, faces)
    assert mesh.is_watertight and mesh.is_winding_consistent
    area = 5 + 3 * 2 - 12 * 0.5 * 0.3**2 * np.sin(np.pi / 6) - 0.4
    assert mesh.volume == pytest.approx(2 * area)


def test_edges_run_along_the_lines():
    outline = np.array([(-2, 0), (0.5, 0), (2, 0), (2, 1), (0.5, 1), (-2, 1)], float)
    points, triangles, _ = fill(outline, lines=[outline[[1, 4]]])
    sides = points[triangles][:, :, 0] - 0.5
    assert not ((sides.min(axis=1) < -1e-9) & (sides.max(axis=1) > 1e-9)).any()


def test_loops_that_cross_are_refused():
    with pytest.raises(ValueError, match="expected apart loops"):
        fill(rectangle(1, 1), [circle(0.4, 20, (0.5, 0))])
