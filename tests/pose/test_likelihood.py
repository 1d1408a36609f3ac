"""Scores: sure of the true pose, sure that wrong ones are wrong, and unaffected by what was not measured."""

from __future__ import annotations

import numpy as np
import pytest

from pose_node.geometry.se3 import transform
from pose_node.measurement.cloud import Cloud
from pose_node.pose.likelihood import match_inputs, probability
from pose_node.types import Segment

HALF_TURN = transform(np.diag([-1.0, -1.0, 1.0]), np.zeros(3))


def test_the_true_pose_is_likely_and_wrong_ones_are_not(stages, seen, pose):
    cloud, segment = seen(pose)
    true = stages.score(pose, cloud, segment)
    assert true.score > 0.8
    shifts = {"nearer": [0, 0, -0.03], "farther": [0, 0, 0.03], "beside": [0.04, 0, 0]}
    for name, shift in shifts.items():
        wrong = pose.copy()
        wrong[:3, 3] += shift
        assert stages.score(wrong, cloud, segment).score < 0.2, name
    assert stages.score(pose @ HALF_TURN, cloud, segment).log_odds < true.log_odds


def test_an_occluder_does_not_make_the_true_pose_unlikely(stages, seen, pose):
    cloud, segment = seen(pose)
    points = cloud.points_m.copy()
    cut = segment.indices[points[segment.indices, 0] > pose[0, 3]]
    points[cut] *= (0.4 / points[cut, 2])[:, None]  # a board before the right half
    half = Segment(np.setdiff1d(segment.indices, cut), "mask", "block")
    assert stages.score(pose, Cloud.from_points(points), half).score > 0.5


def test_holes_do_not_make_the_true_pose_unlikely(stages, seen, pose):
    cloud, segment = seen(pose)
    left = np.flatnonzero(cloud.points_m[:, 0] <= pose[0, 3])
    half = Cloud.from_points(cloud.points_m[left])
    index = np.flatnonzero(np.isin(left, segment.indices))
    assert stages.score(pose, half, Segment(index, "mask", "block")).score > 0.5


def test_log_odds_and_probability():
    assert probability(np.array([0.0, np.log(3.0), -800.0, 800.0])).tolist() == pytest.approx([0.5, 0.75, 0.0, 1.0])


def test_without_matches_their_weights_are_zero():
    inputs, weight = match_inputs(None, 2)
    assert inputs.shape == (2, 1, 3) and not weight.any()
