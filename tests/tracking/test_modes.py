"""Modes of one track: single wrong estimates, symmetric poses, and orientations that later observations distinguish."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pose_node.config import TrackConfig
from pose_node.geometry import se3
from pose_node.geometry.symmetry import Axis, Symmetry, turn
from pose_node.measurement.sensor import DEFAULT
from pose_node.tracking.modes import Modes
from pose_node.tracking.observation import Camera
from pose_node.types import Estimate, Evidence, Segment

SHARP = np.diag([0.001] * 3 + [0.01] * 3) ** 2
HALF_TURN = se3.transform(np.diag([-1.0, -1.0, 1.0]), np.zeros(3))
HERE = se3.transform(se3.exp_so3(np.array([0.2, 0.4, -0.3])), np.array([0.0, 0.1, 0.8]))


def estimate(T=HERE, covariance=SHARP, alternatives=()):
    evidence, segment = Evidence(0.9, 0.0, 0.0, 0.9, 0.9, 0.001), Segment(np.arange(100), "mask", "block")
    return Estimate("block", T, 0.8, covariance, evidence, segment, tuple(alternatives))


def at(seconds):
    return Camera(np.eye(4), np.zeros(3), int(seconds * 1e9))


def modes_of(card, *estimates):
    """Modes after detections of these estimates, every 0.1 s from zero on."""
    modes = Modes(estimates[0], at(0.0), card, TrackConfig(), DEFAULT)
    for i, one in enumerate(estimates[1:], 1):
        modes.detect(one, at(0.1 * i))
    return modes


def test_one_wrong_estimate_does_not_turn_a_track_and_several_do(block):
    modes = modes_of(block.card, *[estimate()] * 5)
    assert modes.detect(estimate(HERE @ HALF_TURN), at(0.5)) == ""
    assert np.allclose(modes.lead.T_fixed_object, HERE, atol=1e-9)
    assert modes.alternatives(0), "the other orientation is kept as an alternative"
    modes.detect(estimate(), at(0.6))
    assert np.allclose(modes.lead.T_fixed_object, HERE, atol=1e-9)
    notes = [modes.detect(estimate(HERE @ HALF_TURN), at(0.1 * i)) for i in range(7, 10)]
    assert np.allclose(modes.lead.T_fixed_object, HERE @ HALF_TURN, atol=1e-6)
    assert sum("turned by 180 degrees" in note for note in notes) == 1


def test_following_that_ends_elsewhere_disagrees_and_leaves_the_pose(block):
    modes = modes_of(block.card, *[estimate()] * 3)
    assert modes.follow(estimate(), at(1.0)) == (True, "")
    assert modes.follow(estimate(HERE @ HALF_TURN), at(1.1)) == (False, "")
    assert np.allclose(modes.lead.T_fixed_object, HERE, atol=1e-9)


def test_symmetric_poses_are_one_and_the_track_does_not_flip(block):
    card = replace(block.card, symmetry=Symmetry(np.stack([np.eye(4), HALF_TURN])))
    modes = modes_of(card, *[estimate(HERE if i % 2 else HERE @ HALF_TURN) for i in range(6)])
    assert np.allclose(modes.lead.T_fixed_object, HERE @ HALF_TURN, atol=1e-9), "as it was first seen"
    assert not modes.alternatives(0)


def test_a_round_object_does_not_spin(block):
    axis = Axis(np.array([0.0, 0.0, 1.0]), np.zeros(3))
    card = replace(block.card, symmetry=Symmetry(np.eye(4)[None], (axis,)))
    wide = SHARP + np.diag([0, 0, 0, 0, 0, np.pi**2 / 3])
    rng = np.random.default_rng(0)
    estimates = [estimate(turn(axis, np.array(rng.uniform(-3, 3))), covariance=wide) for _ in range(6)]
    first, last = (modes_of(card, *estimates[:n]).lead.T_fixed_object for n in (1, 6))
    assert np.allclose(first, last, atol=1e-9)


def test_an_observation_of_an_unknown_turn_turns_the_track(block):
    """First the turn about one axis is unknown, as of a mug whose handle is hidden; then an observation shows it."""
    wide = SHARP + np.diag([0, 0, 0, 0, 0, 1.0])
    modes = modes_of(block.card, *[estimate(covariance=wide)] * 5)
    turned = se3.transform(se3.exp_so3(np.array([0.0, 0.0, 1.2])) @ HERE[:3, :3], HERE[:3, 3])
    assert "turned by" in modes.detect(estimate(turned), at(1.0))
    assert np.degrees(se3.angle(modes.lead.T_fixed_object[:3, :3].T @ turned[:3, :3])) < 3.0


def test_alternatives_are_resolved_by_observations_that_distinguish_them(block):
    both = estimate(alternatives=[(HERE @ HALF_TURN, 0.45)])
    modes = modes_of(block.card, *[both] * 4)
    assert len(modes.alternatives(0)) == 1
    for i in range(4, 8):
        modes.detect(estimate(HERE @ HALF_TURN), at(0.1 * i))
    assert np.allclose(modes.lead.T_fixed_object, HERE @ HALF_TURN, atol=1e-6)
    assert not modes.alternatives(0)
