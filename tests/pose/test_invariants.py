"""Invariants: no frame enters them, and their shares say what was measured of the model."""

from __future__ import annotations

import numpy as np
import pytest

from pose_node.geometry.se3 import exp_so3, transform
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.scene import Scene
from pose_node.measurement.sensor import PRESETS
from pose_node.objects.surface_lookup import SurfaceLookup
from pose_node.pose.invariants import CONTEXT_CHANNELS, POINT_CHANNELS, SAMPLE_CHANNELS, Extractor, shares
from pose_node.types import Segment


@pytest.fixture(scope="module")
def extractor(block):
    lookup = SurfaceLookup(block.card.surface, block.card.diameter_m)
    return Extractor(block.card, lookup, PRESETS["structured_light"])


def of(extractor, cloud, segment, *poses):
    view = Scene(cloud, {"block": extractor.card}).view(segment)
    return extractor.extract(np.stack(poses), view, 2048, 800, True)


def test_a_motion_of_camera_and_object_changes_nothing(extractor, seen, pose):
    cloud, segment = seen(pose)
    motion = transform(exp_so3(np.array([0.3, -0.8, 1.1])), np.array([0.4, -1.0, 0.2]))
    # Directions of a perfect lattice would lie on the borders of the raster's cells.
    points = cloud.points_m + np.random.default_rng(0).normal(scale=2e-4, size=cloud.points_m.shape)
    moved = Cloud.from_points(points @ motion[:3, :3].T + motion[:3, 3], viewpoint_m=motion[:3, 3])
    still = of(extractor, Cloud.from_points(points), segment, pose)
    turned = of(extractor, moved, segment, motion @ pose)
    for name in ("samples", "weight", "points", "context"):
        changed = np.abs(getattr(still, name) - getattr(turned, name)) > 1e-2
        assert changed.mean() < 2e-3, name  # rounding puts a sample on the border of two cells into either


def test_every_channel_has_a_name_and_weights_add_up_to_one(extractor, seen, pose):
    beside = pose.copy()
    beside[0, 3] += 0.05
    found = of(extractor, *seen(pose), pose, beside)
    for values, names in (
        (found.samples, SAMPLE_CHANNELS),
        (found.points, POINT_CHANNELS),
        (found.context, CONTEXT_CHANNELS),
    ):
        assert values.shape[-1] == len(names) and values.dtype == np.float32 and np.isfinite(values).all()
    assert found.weight.sum(axis=1) == pytest.approx(np.ones(2), abs=1e-5)


def test_the_shares_of_the_true_pose_and_of_poses_in_front_and_behind(extractor, seen, pose):
    near, far = pose.copy(), pose.copy()
    near[2, 3] -= 0.05
    far[2, 3] += 0.05
    found = shares(of(extractor, *seen(pose), pose, near, far))
    assert found.explained[0] > 0.9 and found.violated[0] < 0.02 and found.covered[0] > 0.95
    assert found.violated[1] > 0.8 and found.explained[2] < 0.1 and found.violated[2] < 0.1


def test_what_something_else_hides_is_occluded(extractor, seen, pose):
    cloud, segment = seen(pose)
    points = cloud.points_m.copy()
    cut = segment.indices[points[segment.indices, 0] > pose[0, 3]]
    points[cut] *= (0.4 / points[cut, 2])[:, None]  # a board before the right half
    half = Segment(np.setdiff1d(segment.indices, cut), "mask", "block")
    found = shares(of(extractor, Cloud.from_points(points), half, pose))
    assert found.occluded[0] > 0.3 and found.explained[0] > 0.85 and found.observed[0] < 0.7
