"""The measured outline: found where the object ends, not where it is occluded, and moved by rigid motions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from pose_node.geometry.se3 import apply, exp_so3, transform
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.scene import Scene
from pose_node.measurement.sensor import DEFAULT
from pose_node.objects.surface_lookup import SurfaceLookup
from pose_node.pose.outline import Contour, find_outline
from pose_node.types import Segment


@pytest.fixture(scope="module")
def contour(block):
    return Contour(block.card.surface, SurfaceLookup(block.card.surface, block.card.diameter_m).spacing_m, DEFAULT)


def outline_of(block, contour, cloud, mask, T):
    segment = Segment(np.flatnonzero(mask.ravel()[cloud.source_index]), "mask", "block")
    scene = Scene(cloud, {"block": block.card})
    return find_outline(contour, T, scene.view(segment), scene.rays(segment))


def offsets_m(outline, T):
    """How far outside of the model's outline each measured edge lies."""
    measured = (outline.measured_m - T[:3, 3]) @ T[:3, :3]
    return np.einsum("ni,ni->n", measured - outline.model_m, outline.normals)


def test_the_contour_is_where_the_surface_turns_away(block, contour):
    eye = block.card.centre_m + np.array([0.1, -0.2, 0.6])
    points, normals, length_m = contour.seen_from(eye)
    ray = eye - points
    assert np.abs(np.einsum("ni,ni->n", normals, ray)).max() < 1e-9 * np.linalg.norm(ray, axis=1).max()
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-9)
    assert 1.0 * block.card.diameter_m < length_m < 6.0 * block.card.diameter_m
    # Outward: the object's centre lies on the inner side of every place.
    assert (np.einsum("ni,ni->n", normals, points - block.card.centre_m) > 0.0).all()


def test_a_layer_under_the_surface_has_no_outline(block, contour):
    surface, centre = block.card.surface, block.card.centre_m
    inner = centre + 0.85 * (surface.points_m - centre)
    layered = replace(
        surface,
        points_m=np.concatenate([surface.points_m, inner]),
        normals=np.concatenate([surface.normals, surface.normals]),
    )
    eye = centre + np.array([0.1, -0.2, 0.6])
    outer = contour.seen_from(eye)[0]
    both = Contour(layered, SurfaceLookup(surface, block.card.diameter_m).spacing_m, DEFAULT).seen_from(eye)[0]
    assert len(both) > 0.5 * len(outer)
    on_inner = cKDTree(surface.points_m).query(both)[0] > cKDTree(inner).query(both)[0]
    assert on_inner.mean() < 0.1


def test_at_the_true_pose_the_edges_lie_on_the_outline(block, contour, pose):
    cloud, mask = block.see(pose)
    outline = outline_of(block, contour, cloud, mask, pose)
    assert len(outline.model_m) > 80
    assert np.abs(np.median(offsets_m(outline, pose))) < 0.6 * outline.ray_m
    assert np.abs(offsets_m(outline, pose)).max() < 2.5 * outline.ray_m


def test_the_edges_of_a_shifted_pose_point_to_where_it_belongs(block, contour, pose):
    cloud, mask = block.see(pose)
    shifted = transform(pose[:3, :3], pose[:3, 3] + [0.006, 0.0, 0.0])
    outline = outline_of(block, contour, cloud, mask, shifted)
    sideways = (outline.normals @ shifted[:3, :3].T)[:, 0]
    along = offsets_m(outline, shifted)
    assert np.median(along[sideways > 0.7]) < -0.003  # the right edge is too far right
    assert np.median(along[sideways < -0.7]) > 0.003


def test_no_edge_is_found_behind_an_occluder(block, contour, pose):
    cloud, mask = block.see(pose)
    whole = outline_of(block, contour, cloud, mask, pose)
    columns = np.flatnonzero(mask.any(axis=0))
    covered = np.zeros_like(mask)
    covered[:, : int(np.median(columns))] = True  # a board before the left half
    points = cloud.points_m.copy()
    hidden = covered.ravel()[cloud.source_index]
    points[hidden] *= 0.3 / points[hidden, 2:]
    board = replace(cloud, points_m=points)
    outline = outline_of(block, contour, board, mask & ~covered, pose)
    assert 0.2 * len(whole.model_m) < len(outline.model_m) < 0.7 * len(whole.model_m)
    assert outline.independent < 0.7 * whole.independent


def test_far_from_the_object_no_outline_is_found(block, contour, pose):
    cloud, mask = block.see(pose)
    away = transform(pose[:3, :3], pose[:3, 3] + [0.3, 0.0, 0.0])
    assert outline_of(block, contour, cloud, mask, away) is None


def test_a_rigid_motion_moves_the_edges(block, contour, pose):
    cloud, mask = block.see(pose)
    still = outline_of(block, contour, cloud, mask, pose)
    M = transform(exp_so3(np.array([0.4, -1.1, 0.7])), np.array([0.3, -0.2, 0.5]))
    moved_cloud = Cloud.from_points(apply(M, cloud.points_m), M[:3, 3])
    segment = Segment(np.flatnonzero(mask.ravel()[cloud.source_index]), "mask", "block")
    scene = Scene(moved_cloud, {"block": block.card})
    moved = find_outline(contour, M @ pose, scene.view(segment), scene.rays(segment))
    np.testing.assert_allclose(moved.measured_m, apply(M, still.measured_m), atol=1e-9)
    np.testing.assert_allclose(moved.model_m, still.model_m, atol=1e-9)
