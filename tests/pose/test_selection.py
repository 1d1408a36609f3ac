"""Selection: ambiguous orientations become alternatives, each point is explained once, and refusals have reasons."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_node.config import JudgeConfig
from pose_node.geometry.harmonics import COEFFICIENTS, RotationDensity
from pose_node.geometry.se3 import apply, exp_so3, transform
from pose_node.measurement.cloud import Cloud
from pose_node.types import Belief, Hypothesis, Segment

HALF_TURN = transform(np.diag([-1.0, -1.0, 1.0]), np.zeros(3))


def test_the_score_falls_where_the_network_places_the_centre_elsewhere(block, stages, seen, pose):
    cloud, segment = seen(pose)
    centre, d = apply(pose, block.card.centre_m[None])[0], block.card.diameter_m
    score = {}
    for off in (0.0, 0.05, 0.15, 0.3):
        belief = Belief(RotationDensity(np.zeros(COEFFICIENTS)), centre + off * d * np.eye(3)[0])
        _, estimates, rejected = stages.run(cloud, [Hypothesis("block", pose, segment, "votes", 1.0, belief)])
        score[off] = (estimates or rejected)[0].score
        assert not estimates or estimates[0].evidence.agreement == pytest.approx(
            np.exp(-0.5 * (off / stages.config.centre_rel) ** 2), abs=0.02
        )
    assert score[0.0] > score[0.05] > 0.85 * score[0.0]
    assert score[0.15] < 0.7 * score[0.0] and score[0.3] < stages.config.min_score


def test_orientations_that_the_view_cannot_distinguish_are_one_estimate(block, stages_of, seen):
    flat = transform(exp_so3(np.array([np.pi, 0.0, 0.0])), np.array([0.0, 0.0, 0.5]))
    stages = stages_of({"block": block.card}, JudgeConfig(alternatives_margin=0.6, min_score=0.2, min_explained=0.1))
    cloud, segment = seen(flat)
    _, (estimate,), _ = stages.run(cloud, [Hypothesis("block", T, segment, "votes") for T in (flat, flat @ HALF_TURN)])
    assert len(estimate.alternatives) == 1
    weight = estimate.alternatives[0][1]
    assert 0.0 < weight < 0.5


@pytest.mark.parametrize("what", ["elsewhere", "hidden"])
def test_a_wrong_pose_is_refused_with_a_reason(stages, seen, pose, what):
    cloud, segment = seen(pose)
    scene = stages.scene(cloud)
    T = pose.copy()
    T[:3, 3] += [0.08, 0, -0.1] if what == "elsewhere" else [0.0, 0.0, 0.9]  # behind the wall that is no segment
    refined = stages.refiners["block"].fine(Hypothesis("block", T, segment, "votes"), scene)
    estimates, (rejected,) = stages.selector.select([replace(refined, T_camera_object=T)], scene)
    assert estimates == [] and rejected.code in {"low_score", "low_explained", "not_visible"}
    assert rejected.object_name == "block" and rejected.reason.endswith(".") and rejected.score is not None


def test_two_segments_at_one_place_give_one_estimate(stages, seen, pose):
    cloud, whole = seen(pose, source="cluster", name=None)
    most = Segment(whole.indices[::2], "cluster")
    _, estimates, rejected = stages.run(cloud, [Hypothesis("block", pose, s, "votes") for s in (whole, most)])
    assert len(estimates) == 1 and [r.code for r in rejected] == ["taken"]


def test_two_objects_do_not_share_points_unless_both_have_a_mask(block, stages_of, seen, pose):
    cards = {"block": block.card, "other": replace(block.card, name="other")}
    stages = stages_of(cards)
    cloud, free = seen(pose, source="cluster", name=None)
    _, estimates, rejected = stages.run(cloud, [Hypothesis(name, pose, free, "votes") for name in cards])
    assert len(estimates) == 1 and rejected[0].code == "taken"
    masked = [Hypothesis(name, pose, Segment(free.indices, "mask", name), "votes") for name in cards]
    assert len(stages.run(cloud, masked)[1]) == 2


def test_at_most_max_instances_are_estimated(block, stages, stages_of, pose):
    left, right = pose.copy(), pose.copy()
    left[0, 3], right[0, 3] = -0.1, 0.1
    (a, mask_a), (b, mask_b) = block.see(left), block.see(right)
    depth = np.minimum(a.points_m[:, 2], b.points_m[:, 2])
    cloud = Cloud.from_points(a.points_m * (depth / a.points_m[:, 2])[:, None])
    hypotheses = [
        Hypothesis("block", T, Segment(np.flatnonzero(m.ravel()), "mask", "block"), "votes")
        for T, m in ((left, mask_a), (right, mask_b))
    ]
    _, estimates, rejected = stages_of({"block": block.card}, JudgeConfig(max_instances=1)).run(cloud, hypotheses)
    assert len(estimates) == 1 and "instances" in rejected[0].reason
    assert len(stages.run(cloud, hypotheses)[1]) == 2
