"""Observations: where each centre lies on the object, and nothing of too few points."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("open3d")

from pose_node.learning.observation import observed_crop
from pose_node.measurement.crop import Crop


def test_centres_of_a_crop_are_where_the_pose_puts_them(block, pose):
    cloud, mask = block.see(pose)
    mine = mask.ravel()[cloud.source_index]
    rows = np.append(np.flatnonzero(mine), np.flatnonzero(~mine)[:200])
    crop = Crop(cloud.points_m[rows], cloud.viewpoint_m, pose, "first")
    found = observed_crop(crop, block.card, SimpleNamespace(run=block.oracle(pose)))
    centres_m = found.prepared.centres_m()
    nearer = centres_m[:, 2] < 0.8  # the wall is at 0.9 m
    np.testing.assert_array_equal(found.known, nearer)
    assert found.group == "first" and not found.places[~nearer].any()
    there_m = found.places[nearer] * block.card.diameter_m + block.card.centre_m
    np.testing.assert_allclose(there_m @ pose[:3, :3].T + pose[:3, 3], centres_m[nearer], atol=0.006)
    np.testing.assert_allclose(np.linalg.norm(found.normals, axis=1), 1.0, atol=1e-6)


def test_a_crop_of_few_points_is_left_out(block, pose):
    points_m = np.tile([0.0, 0.0, 0.6], (100, 1))
    assert observed_crop(Crop(points_m, np.zeros(3), pose, ""), block.card, SimpleNamespace(run=None)) is None
