"""The shortlist: short, with look-alikes and a blind search where they help, and without hopeless hypotheses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_node.config import JudgeConfig
from pose_node.geometry.se3 import angle, exp_so3, transform
from pose_node.types import Hypothesis

HALF_TURN = transform(np.diag([-1.0, -1.0, 1.0]), np.zeros(3))


def test_the_pose_is_found_among_wrong_turns(stages, seen, pose):
    cloud, segment = seen(pose)
    rng = np.random.default_rng(0)
    wrong = [transform(exp_so3(rng.normal(0, 2, 3)), pose[:3, 3] + rng.normal(0, 0.01, 3)) for _ in range(20)]
    near = transform(exp_so3(np.array([0.1, 0.1, -0.1])) @ pose[:3, :3], pose[:3, 3] + 0.004)
    shortlist, (estimate,), rejected = stages.run(
        cloud, [Hypothesis("block", T, segment, "match") for T in (*wrong, near)]
    )
    assert not rejected and len(shortlist) <= stages.config.shortlist
    assert np.rad2deg(angle(estimate.T_camera_object[:3, :3].T @ pose[:3, :3])) < 0.5
    assert estimate.score > 0.9 and estimate.alternatives == ()
    assert estimate.evidence.explained > 0.9 and estimate.segment is segment


def test_a_look_alike_on_the_card_is_tried(block, stages_of, seen, pose):
    stages = stages_of({"block": replace(block.card, confusions=HALF_TURN[None])})
    cloud, segment = seen(pose)
    _, (estimate,), _ = stages.run(cloud, [Hypothesis("block", pose @ HALF_TURN, segment, "match")])
    assert np.rad2deg(angle(estimate.T_camera_object[:3, :3].T @ pose[:3, :3])) < 1.0


def test_a_mask_that_no_hypothesis_explains_is_searched_blindly(block, stages, stages_of, seen, pose):
    cloud, segment = seen(pose)
    hopeless = [Hypothesis("block", transform(np.eye(3), pose[:3, 3] + [0, 0, 0.3]), segment, "match")]
    _, (estimate,), _ = stages.run(cloud, hopeless)
    assert np.rad2deg(angle(estimate.T_camera_object[:3, :3].T @ pose[:3, :3])) < 1.0
    off = stages_of({"block": block.card}, JudgeConfig(blind_rotations=0))
    assert off.run(cloud, hopeless)[1] == []


@pytest.mark.parametrize("source", ["mask", "box", "cluster", "votes"])
def test_hopeless_hypotheses_are_rejected_except_in_masks_and_boxes(block, stages_of, seen, pose, source):
    stages = stages_of({"block": block.card}, JudgeConfig(blind_rotations=0))
    cloud, segment = seen(pose, source)
    wrong = transform(np.eye(3), pose[:3, 3] + [0, 0, 0.3])
    kept, rejected = stages.shortlister.shortlist([Hypothesis("block", wrong, segment, "match")], stages.scene(cloud))
    if source in ("mask", "box"):
        assert kept and not rejected
    else:
        (refused,) = rejected
        assert not kept and refused.code == "low_score" and refused.segment is segment
        assert refused.reason == f"block: score {refused.score:.2f}, expected at least {stages.config.min_score:.2f}."


def test_no_hypotheses_give_no_estimates(stages, seen, pose):
    cloud, _ = seen(pose)
    assert stages.run(cloud, []) == ([], [], [])
