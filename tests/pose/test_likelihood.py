"""Scores: near one for the true pose, lower for wrong ones, and unaffected by what was not measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pose_node.geometry.se3 import transform
from pose_node.measurement.cloud import Cloud
from pose_node.types import Segment

HALF_TURN = transform(np.diag([-1.0, -1.0, 1.0]), np.zeros(3))


def test_the_true_pose_scores_near_one_and_wrong_ones_less(stages, seen, pose):
    cloud, segment = seen(pose)
    true = stages.score(pose, cloud, segment)
    assert true.score > 0.9 and true.violated < 0.02 and true.covered > 0.94
    shifts = {"nearer": [0, 0, -0.03], "farther": [0, 0, 0.03], "beside": [0.04, 0, 0]}
    for name, shift in shifts.items():
        wrong = pose.copy()
        wrong[:3, 3] += shift
        assert stages.score(wrong, cloud, segment).score < 0.4, name
    assert stages.score(pose @ HALF_TURN, cloud, segment).score < true.score - 0.1


def test_in_front_of_the_measurement_is_a_violation_and_behind_the_segment_is_unexplained(stages, seen, pose):
    cloud, segment = seen(pose)
    near, far = pose.copy(), pose.copy()
    near[2, 3] -= 0.05
    far[2, 3] += 0.05
    assert stages.score(near, cloud, segment).violated > 0.8
    behind = stages.score(far, cloud, segment)
    assert behind.explained < 0.1 and behind.violated < 0.1 and behind.observed > 0.5


def test_an_occluder_does_not_lower_the_score(stages, seen, pose):
    cloud, segment = seen(pose)
    points = cloud.points_m.copy()
    cut = segment.indices[points[segment.indices, 0] > pose[0, 3]]
    points[cut] *= (0.4 / points[cut, 2])[:, None]  # a board before the right half
    half = Segment(np.setdiff1d(segment.indices, cut), "mask", "block")
    result = stages.score(pose, Cloud.from_points(points), half)
    assert result.occluded > 0.3 and result.score > 0.85


def test_holes_do_not_lower_the_score(stages, seen, pose):
    cloud, segment = seen(pose)
    left = np.flatnonzero(cloud.points_m[:, 0] <= pose[0, 3])
    half = Cloud.from_points(cloud.points_m[left])
    index = np.flatnonzero(np.isin(left, segment.indices))
    result = stages.score(pose, half, Segment(index, "mask", "block"))
    assert result.observed < 0.7 and result.score > 0.85


def test_the_surface_of_a_found_segment_must_lie_within_the_model(stages, seen, pose):
    cloud, asked = seen(pose, "box")
    found = replace(asked, source="cluster")
    assert stages.score(pose, cloud, found).score == stages.score(pose, cloud, asked).score > 0.8
    beside = pose.copy()
    beside[:3, 3] += [0.02, 0.0, 0.0]
    view = stages.scene(cloud).view(found)
    contained = stages.likelihoods["block"]._containment(np.stack([pose, beside]), view, 800)
    assert contained[0] == 1.0 and contained[1] < 0.5


def test_a_found_segment_scores_zero_where_the_noise_is_as_large_as_the_object(stages, seen, pose):
    far = pose.copy()
    far[:3, 3] *= 5.0
    cloud, asked = seen(far, "box", table_m=3.4)
    assert stages.score(far, cloud, asked).score > 0.5
    assert stages.score(far, cloud, replace(asked, source="cluster")).score == 0.0
