"""Fused observations: as accurate as their independent errors allow, limited by shared errors, and turning with the frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_node.config import TrackConfig
from pose_node.geometry import se3
from pose_node.measurement.sensor import DEFAULT
from pose_node.pose.error_model import add_bias, depth_bias, shared_covariance
from pose_node.tracking.motion_models import _COMMON_SHARE, MovingPose, StaticPose
from pose_node.tracking.observation import Observation

TRUTH = se3.transform(se3.exp_so3(np.array([0.3, -0.2, 0.9])), np.array([0.4, 0.1, 0.8]))
NOISE = np.diag([0.002, 0.002, 0.004, 0.02, 0.02, 0.03]) ** 2
SHARED = shared_covariance(1.0, DEFAULT)
CONFIG = TrackConfig()
SECOND = 1_000_000_000


def observation(rng, stamp_ns=0, towards=(0.0, 0.0, 1.0), truth=TRUTH, noise=NOISE):
    twist = rng.multivariate_normal(np.zeros(6), noise)
    towards = np.asarray(towards) / np.linalg.norm(towards)
    bias = depth_bias(-truth[:3, :3] @ towards, DEFAULT)
    return Observation(se3.retract(truth, twist), noise + add_bias(SHARED, bias), SHARED, bias, towards, stamp_ns)


def test_a_single_observation_is_returned_unchanged():
    first = observation(np.random.default_rng(0))
    pose = StaticPose(first, CONFIG)
    assert np.allclose(pose.T_fixed_object, first.T_fixed_object, atol=1e-12)
    assert np.allclose(pose.covariance, first.covariance, rtol=1e-9)


def test_observations_from_one_direction_average_down_to_what_they_share():
    rng = np.random.default_rng(1)
    pose = StaticPose(observation(rng), CONFIG)
    for i in range(1, 200):
        pose.update(observation(rng, i * SECOND // 30))
    assert np.abs(se3.local(TRUTH, pose.T_fixed_object)).max() < 0.01
    shared = add_bias(SHARED, depth_bias(-TRUTH[:3, 2], DEFAULT))
    least = CONFIG.common * NOISE + _COMMON_SHARE * shared
    assert np.all(np.linalg.eigvalsh(pose.covariance - least) > -1e-12)
    assert np.trace(pose.covariance) < np.trace(NOISE + shared)


def test_another_direction_helps_more_than_another_observation():
    rng = np.random.default_rng(2)
    same, around = StaticPose(observation(rng), CONFIG), StaticPose(observation(rng), CONFIG)
    for i in range(1, 12):
        same.update(observation(rng, i * SECOND))
        angle = np.radians(25.0 * i)
        around.update(observation(rng, i * SECOND, (np.sin(angle), 0.0, np.cos(angle))))
    assert np.trace(around.covariance - SHARED) < 0.5 * np.trace(same.covariance - SHARED)


def test_the_stated_covariance_is_right_for_observations_with_shared_errors():
    """Mean squared Mahalanobis distance per degree of freedom over 60 objects, each direction with an error of its own: near one."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(60):
        pose = None
        for i, angle in enumerate(np.radians([0.0, 30.0, 60.0, 90.0])):
            shared = se3.retract(TRUTH, rng.multivariate_normal(np.zeros(6), CONFIG.common * NOISE))
            for k in range(8):
                new = observation(
                    rng, (8 * i + k) * SECOND, (np.sin(angle), 0, np.cos(angle)), shared, (1 - CONFIG.common) * NOISE
                )
                whole = NOISE + _COMMON_SHARE * SHARED
                new = Observation(new.T_fixed_object, whole, SHARED, np.zeros(3), new.towards, new.stamp_ns)
                if pose is None:
                    pose = StaticPose(new, CONFIG)
                else:
                    pose.update(new)
        off = se3.local(pose.T_fixed_object, TRUTH)
        found.append(off @ np.linalg.solve(pose.covariance - _COMMON_SHARE * SHARED, off) / 6.0)
    assert 0.8 < np.mean(found) < 1.25


def test_the_depth_bias_is_shared_by_all_observations_of_a_camera():
    """Objects seen from three directions within 60 degrees, or from all around, by cameras each with its own error along its lines
    of sight: mean squared Mahalanobis distance of the position near its three degrees of freedom."""
    rng = np.random.default_rng(6)
    noise = np.diag([1e-4] * 6) ** 2
    for angles, wide in (((-30.0, 0.0, 30.0), True), ((0.0, 120.0, 240.0), False)):
        found = []
        for _ in range(150):
            size, rest = rng.normal(), rng.multivariate_normal(np.zeros(6), SHARED)
            pose = None
            for i, angle in enumerate(np.radians(angles)):
                towards = np.array([np.sin(angle), 0.0, np.cos(angle)])
                bias = depth_bias(-TRUTH[:3, :3] @ towards, DEFAULT)
                truth = se3.retract(TRUTH, rest + np.append(size * bias, np.zeros(3)))
                seen = observation(rng, i * SECOND, towards, truth, noise)
                seen = Observation(
                    seen.T_fixed_object, noise + add_bias(SHARED, bias), SHARED, bias, towards, seen.stamp_ns
                )
                if pose is None:
                    pose = StaticPose(seen, CONFIG)
                else:
                    pose.update(seen)
            off = se3.local(pose.T_fixed_object, TRUTH)[:3]
            found.append(off @ np.linalg.solve(pose.covariance[:3, :3] / _COMMON_SHARE, off))
        assert 2.2 < np.mean(found) < 3.8
        deepest = np.sqrt(np.linalg.eigvalsh(pose.covariance[:3, :3])[-1])
        assert (deepest > 0.002) == wide, "errors along the line of sight cancel all around"


def test_a_direction_that_was_long_unseen_is_forgotten():
    rng = np.random.default_rng(4)
    pose = StaticPose(observation(rng, truth=se3.retract(TRUTH, np.full(6, 0.004))), CONFIG)
    late = int(CONFIG.memory_s * 1e9) + SECOND
    new = observation(rng, late, (1.0, 0.0, 0.0))
    pose.update(new)
    assert np.allclose(pose.T_fixed_object, new.T_fixed_object, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_a_motion_of_the_fixed_frame_moves_the_fused_pose_with_it(seed):
    rng = np.random.default_rng(seed)
    M = se3.transform(se3.exp_so3(rng.normal(size=3)), rng.normal(size=3))
    observations = [observation(rng, i * SECOND, rng.normal(size=3)) for i in range(6)]
    moved = [
        Observation(
            M @ s.T_fixed_object,
            se3.rotate_covariance(M[:3, :3], s.covariance),
            s.shared,
            M[:3, :3] @ s.bias,
            s.towards,
            s.stamp_ns,
        )
        for s in observations
    ]
    still, turned = StaticPose(observations[0], CONFIG), StaticPose(moved[0], CONFIG)
    for a, b in zip(observations[1:], moved[1:]):
        still.update(a)
        turned.update(b)
    assert np.allclose(M @ still.T_fixed_object, turned.T_fixed_object, atol=1e-9)
    assert np.allclose(se3.rotate_covariance(M[:3, :3], still.covariance), turned.covariance, atol=1e-12)


def test_a_moving_object_is_predicted_where_it_is_going():
    rng = np.random.default_rng(5)
    config = TrackConfig(motion="moving")
    velocity = np.array([0.2, -0.1, 0.0, 0.0, 0.0, 0.5])
    noise = 1e-6 * np.eye(6)
    pose = None
    for i in range(40):
        new = observation(rng, i * SECOND // 20, truth=se3.retract(TRUTH, velocity * i / 20.0), noise=noise)
        if pose is None:
            pose = MovingPose(new, config)
        else:
            pose.update(new)
    T, covariance = pose.predict(2 * SECOND + SECOND // 20)
    assert np.linalg.norm(se3.local(se3.retract(TRUTH, velocity * 2.05), T)[:3]) < 0.01
    assert pose.velocity == pytest.approx(velocity, abs=0.1)
    assert np.trace(covariance) > np.trace(pose.covariance), "predictions are less certain"


def test_a_late_observation_is_moved_along_the_velocity():
    rng = np.random.default_rng(6)
    velocity = np.array([0.2, 0.0, 0.0, 0.0, 0.0, 0.0])
    noise = 1e-8 * np.eye(6)
    pose = MovingPose(observation(rng, 0, noise=noise), TrackConfig(motion="moving"))
    for i in range(1, 30):
        pose.update(observation(rng, i * SECOND // 10, truth=se3.retract(TRUTH, velocity * i / 10.0), noise=noise))
    before = pose.predict(3 * SECOND)[0]
    pose.update(observation(rng, 2 * SECOND, truth=se3.retract(TRUTH, velocity * 2.0), noise=noise))
    assert np.linalg.norm(pose.predict(3 * SECOND)[0][:3, 3] - before[:3, 3]) < 0.005


def test_observations_with_a_lower_shared_covariance_leave_it_positive():
    rng = np.random.default_rng(7)
    first = observation(rng, noise=1e-10 * np.eye(6))
    pose = StaticPose(Observation(first.T_fixed_object, 0.95 * SHARED, SHARED, np.zeros(3), first.towards, 0), CONFIG)
    for i in range(1, 20):
        new = observation(rng, i * SECOND // 10, noise=1e-10 * np.eye(6))
        pose.update(Observation(new.T_fixed_object, 0.95 * SHARED, SHARED, np.zeros(3), new.towards, new.stamp_ns))
    assert np.all(np.linalg.eigvalsh(pose.covariance) > 0)
    assert np.abs(se3.local(TRUTH, pose.T_fixed_object)).max() < 1e-4
