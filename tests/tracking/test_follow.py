"""Following one object from its prediction: this frame's pose, or the reason why there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_node.config import PipelineConfig, SegmentConfig
from pose_node.geometry import se3
from pose_node.measurement.cloud import Cloud
from pose_node.pose.likelihood import Likelihood
from pose_node.pose.refine import Refiner
from pose_node.tracking.follow import Follower
from pose_node.types import Estimate, Rejected

NEAR = np.array([0.004, -0.003, 0.005, 0.03, -0.02, 0.04])
SURE = np.diag([0.002] * 3 + [0.02] * 3) ** 2


@pytest.fixture(scope="module")
def follower(block):
    config = PipelineConfig()
    refiner = Refiner(block.card, config.refine)
    likelihood = Likelihood(block.card, refiner.lookup, config.judge)
    return Follower({"block": refiner}, {"block": likelihood}, config)


def follow(follower, cloud, T, **how):
    return follower.follow("block", cloud, T, SURE, **how)


def test_the_pose_is_found_from_a_prediction_nearby(block, follower, pose):
    cloud, _ = block.see(pose)
    found = follow(follower, cloud, se3.retract(pose, NEAR))
    assert isinstance(found, Estimate)
    off = se3.local(pose, found.T_camera_object)
    assert np.linalg.norm(off[:3]) < 0.001
    assert np.degrees(np.linalg.norm(off[3:])) < 0.5
    assert found.score > 0.8
    assert found.segment.source == "track"


def test_the_points_of_a_mask_are_used_as_they_are(block, follower, pose):
    cloud, mask = block.see(pose)
    rows = np.flatnonzero(mask.ravel()[cloud.source_index])
    found = follow(follower, cloud, se3.retract(pose, NEAR), mask=rows)
    assert isinstance(found, Estimate)
    assert found.segment.source == "mask"
    assert np.array_equal(found.segment.indices, rows)


def test_a_fast_object_is_followed(block, follower, pose):
    cloud, _ = block.see(pose)
    found = follow(follower, cloud, se3.retract(pose, 3.0 * NEAR), moving=True)
    assert isinstance(found, Estimate)
    assert np.linalg.norm(se3.local(pose, found.T_camera_object)[:3]) < 0.002


def test_the_result_turns_with_points_and_viewpoint(block, follower, pose):
    cloud, _ = block.see(pose)
    bare = Cloud.from_points(cloud.points_m)
    M = se3.transform(se3.exp_so3(np.array([0.5, 1.0, -0.4])), np.array([0.3, -0.2, 0.5]))
    moved = Cloud.from_points(se3.apply(M, bare.points_m), M[:3, 3])
    start = se3.retract(pose, NEAR)
    still, turned = follow(follower, bare, start), follow(follower, moved, M @ start)
    off = se3.local(M @ still.T_camera_object, turned.T_camera_object)
    assert np.abs(off).max() < 1e-5
    assert turned.score == pytest.approx(still.score, abs=1e-6)


def test_behind_something_nearer_it_is_hidden(block, follower, pose):
    before = Cloud.from_points(
        np.column_stack([*np.random.default_rng(0).uniform(-0.2, 0.2, (2, 20000)), np.full(20000, 0.3)])
    )
    outcome = follow(follower, before, pose)
    assert isinstance(outcome, Rejected)
    assert outcome.code == "hidden"


def test_where_the_sensor_sees_the_background_it_is_gone(block, follower, pose):
    elsewhere = pose.copy()
    elsewhere[0, 3] += 0.5
    wall, _ = block.see(elsewhere)
    outcome = follow(follower, wall, pose)
    assert isinstance(outcome, Rejected)
    assert outcome.code == "gone"


def test_without_readings_in_its_direction_it_is_out_of_view(block, follower, pose):
    cloud, _ = block.see(pose)
    aside = pose.copy()
    aside[:3, 3] = [3.0, 0.0, 0.5]
    outcome = follow(follower, cloud, aside)
    assert isinstance(outcome, Rejected)
    assert outcome.code == "out_of_view"


@pytest.mark.parametrize("reach", [SegmentConfig(far_m=0.4), SegmentConfig(near_m=0.8)])
def test_out_of_reach_it_is_followed_only_in_a_mask(block, follower, pose, reach):
    limited = Follower(follower._refiners, follower._likelihoods, replace(follower.config, segment=reach))
    cloud, mask = block.see(pose)
    outcome = follow(limited, cloud, pose)
    assert isinstance(outcome, Rejected) and outcome.code == "out_of_reach"
    assert f"expected within {reach.near_m:g} to {reach.far_m:g} m (segment.near_m, segment.far_m)" in outcome.reason
    assert isinstance(follow(limited, cloud, pose, mask=np.flatnonzero(mask.ravel()[cloud.source_index])), Estimate)


def test_another_object_in_its_place_is_not_followed(block, follower, pose):
    turned = pose @ se3.transform(se3.exp_so3(np.array([0.0, 1.2, 0.0])), np.zeros(3))
    cloud, _ = block.see(turned)
    outcome = follow(follower, cloud, pose)
    found = se3.local(turned, outcome.T_camera_object) if isinstance(outcome, Estimate) else np.zeros(6)
    assert np.degrees(np.linalg.norm(found[3:])) < 3.0, "refused, or the right pose"
