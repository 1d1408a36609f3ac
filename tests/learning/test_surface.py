"""Surface samples: visible, with outward normals, evenly spread."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("trimesh")
pytest.importorskip("open3d")
import trimesh
from learning_parts import as_mesh, make, quick_surface

from pose_node.learning.mesh import Mesh, diameter_of
from pose_node.learning.surface import farthest_point_order

pytestmark = pytest.mark.learning


def test_normals_point_outward_whatever_the_winding(rng):
    ball = make.icosphere(subdivisions=3, radius=0.05)
    flipped = rng.random(len(ball.faces)) < 0.5
    faces = np.where(flipped[:, None], ball.faces[:, ::-1], ball.faces)
    surface = quick_surface(Mesh(np.asarray(ball.vertices), faces, 0.1))
    assert (np.einsum("ij,ij->i", surface.points_m, surface.normals) > 0.049).all()
    assert len(surface.points_m) == 2048


def test_inner_walls_are_not_sampled():
    inner, outer = (make.icosphere(subdivisions=3, radius=r) for r in (0.02, 0.05))
    surface = quick_surface(as_mesh(trimesh.util.concatenate([inner, outer])))
    assert np.linalg.norm(surface.points_m, axis=1).min() > 0.045


def test_a_sheet_is_sampled_on_both_sides():
    corners = np.array([[0, 0, 0], [0.1, 0, 0], [0.1, 0.08, 0], [0, 0.08, 0]])
    surface = quick_surface(Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]]), diameter_of(corners)))
    up = surface.normals[:, 2] > 0
    assert 0.45 < up.mean() < 0.55
    above = surface.view_directions[:, 2] > 0.1
    assert np.array_equal(surface.visible[above][:, : len(up)], np.tile(up[:2048], (above.sum(), 1)))


def test_visibility_ends_at_the_horizon():
    surface = quick_surface(as_mesh(make.icosphere(subdivisions=4, radius=0.05)))
    seen = surface.view_directions @ surface.normals[: surface.visible.shape[1]].T
    limit = 0.05 / 0.5  # the horizon from five diameters away
    assert surface.visible[seen > limit + 0.05].all()
    assert not surface.visible[seen < limit - 0.05].any()


def test_farthest_points_spread_evenly(rng):
    points = rng.random((3000, 3))
    order = farthest_point_order(points, 100)
    assert len(set(order)) == 100
    gaps = np.linalg.norm(points[order][:, None] - points[order][None], axis=-1) + 9 * np.eye(100)
    assert gaps.min() > 0.12  # random ones nearly touch
