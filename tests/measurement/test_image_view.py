"""Patches of a depth image around an object: their points, and that scores agree with those of a whole scene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_node.config import JudgeConfig
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.image_view import Lattice
from pose_node.measurement.scene import Scene
from pose_node.objects.surface_lookup import SurfaceLookup
from pose_node.pose.likelihood import Likelihood
from pose_node.types import Segment

POINTS = 256


@pytest.fixture
def around(block, pose):
    """The patch around the block, and the segment of its pixels there."""
    cloud, mask = block.see(pose)
    centre_m = pose[:3, :3] @ block.card.centre_m + pose[:3, 3]
    patch = Lattice(cloud, cloud.K).around(centre_m, 0.9 * block.card.diameter_m, block.card.diameter_m, POINTS)
    own = mask.ravel()[cloud.source_index][patch.rows]
    return cloud, mask, patch, Segment(np.flatnonzero(own), "mask", block.card.name)


def test_a_patch_has_all_points_of_the_object(around):
    cloud, mask, patch, segment = around
    assert np.array_equal(patch.points_m, cloud.points_m[patch.rows])
    assert len(segment.indices) == mask.sum(), "the object is small: no pixel of it is left out"


def test_each_reading_lies_in_its_own_cell(around):
    _, _, patch, segment = around
    view = patch.view(segment)
    cell, inside = view.cells(view.ray_points_m)
    assert inside.all()
    assert np.array_equal(cell, view.ray_cell)
    assert np.array_equal(view.rays[0, cell], np.arange(len(patch)))


def test_normals_are_those_of_the_faces(block, around, pose):
    _, _, patch, segment = around
    view = patch.view(segment)
    lookup = SurfaceLookup(block.card.surface, block.card.diameter_m)
    x, turned = (view.points_m - pose[:3, 3]) @ pose[:3, :3], view.normals @ pose[:3, :3]
    agree = np.einsum("ni,ni->n", turned, lookup.normals[lookup.nearest(x, turned)])
    assert np.median(agree) > 0.999
    assert (agree > 0.9).mean() > 0.8, "edges aside"
    assert (np.einsum("ni,ni->n", view.normals, view.viewpoint_m - view.points_m) > 0).all()


def test_a_pose_scores_as_in_a_scene(block, around, pose):
    cloud, mask, patch, segment = around
    whole = Segment(np.flatnonzero(mask.ravel()[cloud.source_index]), "mask", block.card.name)
    scene = Scene(cloud, {block.card.name: block.card})
    likelihood = Likelihood(block.card, SurfaceLookup(block.card.surface, block.card.diameter_m), JudgeConfig())
    here, there = (
        likelihood.score(pose[None], v, 1024, POINTS).score for v in (patch.view(segment), scene.view(whole))
    )
    assert here == pytest.approx(there, abs=0.03)


def test_a_large_object_is_thinned_but_not_below_what_its_normals_need(block):
    K = np.array([[2000.0, 0.0, 320.0], [0.0, 2000.0, 240.0], [0.0, 0.0, 1.0]])
    cloud = Cloud.from_depth(np.full((480, 640), 0.8), K)
    patch = Lattice(cloud, K).around(np.array([0.0, 0.0, 0.8]), 0.1, 0.2, POINTS)
    row, column = np.divmod(cloud.source_index[patch.rows], 640)
    stride = np.diff(np.unique(row)).min()
    assert stride > 1
    assert np.all(row % stride == 0) and np.all(column % stride == 0)
    segment = Segment(np.arange(len(patch)), "track", block.card.name)
    np.testing.assert_allclose(patch.view(segment).normals, np.tile([0.0, 0.0, -1.0], (POINTS, 1)), atol=1e-9)


def test_outside_the_image_a_patch_is_empty_and_at_the_camera_there_is_none(around):
    cloud, _, _, _ = around
    lattice = Lattice(cloud, cloud.K)
    assert len(lattice.around(np.array([3.0, 0.0, 0.5]), 0.1, 0.2, POINTS)) == 0
    assert lattice.around(np.array([0.0, 0.0, 0.05]), 0.1, 0.2, POINTS) is None


def test_pixels_without_a_reading_are_holes(block, pose):
    cloud, _ = block.see(pose)
    some = np.arange(0, len(cloud), 3)
    cloud = replace(cloud, points_m=cloud.points_m[some], source_index=cloud.source_index[some])
    patch = Lattice(cloud, cloud.K).around(pose[:3, 3], 0.15, 0.17, POINTS)
    view = patch.view(Segment(np.arange(len(patch)), "track", block.card.name))
    assert (view.rays[0] >= 0).sum() == len(patch) < view.shape[0] * view.shape[1]
