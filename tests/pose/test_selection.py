"""Selection: ambiguous orientations become alternatives, each point is explained once, and refusals have reasons."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_node.config import JudgeConfig
from pose_node.geometry.se3 import angle, apply, exp_so3, transform
from pose_node.measurement.cloud import Cloud
from pose_node.types import Hypothesis, Matches, Segment

HALF_TURN = transform(np.diag([-1.0, -1.0, 1.0]), np.zeros(3))


def matched(card, T, rng):
    """Matches that are true at the pose T: places on the block, each twice."""
    places = (card.surface.points_m[:60] - card.centre_m) / card.diameter_m
    origin_m = T[:3, 3]
    points = (apply(T, card.surface.points_m[:60]) - origin_m) / card.diameter_m
    both = np.stack([places, rng.permutation(places)], axis=1)
    half = np.full((60, 2), 0.5)
    return Matches(points, both, half, half, np.full(60, 0.9), origin_m, card.centre_m, card.diameter_m)


def test_the_matches_weigh_orientations_that_the_surface_leaves_open(block, stages_of, seen, rng):
    """The large face of the block alone looks much the same after a half-turn."""
    flat = transform(exp_so3(np.array([np.pi, 0.0, 0.0])), np.array([0.0, 0.0, 0.5]))
    stages = stages_of({"block": block.card}, JudgeConfig(alternatives_margin=0.6, min_score=0.2, min_explained=0.1))
    cloud, segment = seen(flat)
    found = []
    for true in (flat, flat @ HALF_TURN):
        matches = matched(block.card, true, rng)
        hypotheses = [Hypothesis("block", T, segment, "match", 1.0, matches) for T in (flat, flat @ HALF_TURN)]
        _, (estimate,), _ = stages.run(cloud, hypotheses)
        turned = angle(estimate.T_camera_object[:3, :3].T @ true[:3, :3]) > 1.0
        weight = estimate.alternatives[0][1]
        found.append((weight if turned else 1.0 - weight, estimate.evidence.agreement))
    (with_surface, agreement), (against_surface, _) = found
    assert agreement > 0.4
    assert with_surface > 0.5 and against_surface > 1.3 * (1.0 - with_surface)


def test_orientations_that_the_view_cannot_distinguish_are_one_estimate(block, stages_of, seen):
    flat = transform(exp_so3(np.array([np.pi, 0.0, 0.0])), np.array([0.0, 0.0, 0.5]))
    stages = stages_of({"block": block.card}, JudgeConfig(alternatives_margin=0.6, min_score=0.2, min_explained=0.1))
    cloud, segment = seen(flat)
    _, (estimate,), _ = stages.run(cloud, [Hypothesis("block", T, segment, "match") for T in (flat, flat @ HALF_TURN)])
    assert len(estimate.alternatives) == 1
    weight = estimate.alternatives[0][1]
    assert 0.0 < weight < 0.5


@pytest.mark.parametrize("what", ["elsewhere", "hidden"])
def test_a_wrong_pose_is_refused_with_a_reason(stages, seen, pose, what):
    cloud, segment = seen(pose)
    scene = stages.scene(cloud)
    T = pose.copy()
    T[:3, 3] += [0.08, 0, -0.1] if what == "elsewhere" else [0.0, 0.0, 0.9]  # behind the wall that is no segment
    refined = stages.refiners["block"].fine(Hypothesis("block", T, segment, "match"), scene)
    estimates, (rejected,) = stages.selector.select([replace(refined, T_camera_object=T)], scene)
    assert estimates == [] and rejected.code in {"low_score", "low_explained", "not_visible"}
    assert rejected.object_name == "block" and rejected.reason.endswith(".") and rejected.score is not None


def test_two_segments_at_one_place_give_one_estimate(stages, seen, pose):
    cloud, whole = seen(pose, source="cluster", name=None)
    most = Segment(whole.indices[::2], "cluster")
    _, estimates, rejected = stages.run(cloud, [Hypothesis("block", pose, s, "match") for s in (whole, most)])
    assert len(estimates) == 1 and [r.code for r in rejected] == ["taken"]


def test_two_objects_do_not_share_points_unless_both_have_a_mask(block, stages_of, seen, pose):
    cards = {"block": block.card, "other": replace(block.card, name="other")}
    stages = stages_of(cards)
    cloud, free = seen(pose, source="cluster", name=None)
    _, estimates, rejected = stages.run(cloud, [Hypothesis(name, pose, free, "match") for name in cards])
    assert len(estimates) == 1 and rejected[0].code == "taken"
    masked = [Hypothesis(name, pose, Segment(free.indices, "mask", name), "match") for name in cards]
    assert len(stages.run(cloud, masked)[1]) == 2


def test_at_most_max_instances_are_estimated(block, stages, stages_of, pose):
    left, right = pose.copy(), pose.copy()
    left[0, 3], right[0, 3] = -0.1, 0.1
    (a, mask_a), (b, mask_b) = block.see(left), block.see(right)
    depth = np.minimum(a.points_m[:, 2], b.points_m[:, 2])
    cloud = Cloud.from_points(a.points_m * (depth / a.points_m[:, 2])[:, None])
    hypotheses = [
        Hypothesis("block", T, Segment(np.flatnonzero(m.ravel()), "mask", "block"), "match")
        for T, m in ((left, mask_a), (right, mask_b))
    ]
    _, estimates, rejected = stages_of({"block": block.card}, JudgeConfig(max_instances=1)).run(cloud, hypotheses)
    assert len(estimates) == 1 and "instances" in rejected[0].reason
    assert len(stages.run(cloud, hypotheses)[1]) == 2
