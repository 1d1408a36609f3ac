"""Judgement: the right pose beats wrong ones, look-alikes become alternatives, and what is not there is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_node.config import JudgeConfig, RefineConfig
from pose_node.geometry.harmonics import COEFFICIENTS, RotationDensity
from pose_node.geometry.se3 import angle, apply, exp_so3, transform
from pose_node.geometry.symmetry import Axis
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.scene import Scene
from pose_node.pose.blind import blind_poses
from pose_node.pose.refine import Refiner
from pose_node.pose.selection import Judge, _bridged, _connected
from pose_node.types import Belief, Hypothesis, Segment

HALF_TURN = transform(np.diag([-1.0, -1.0, 1.0]), np.zeros(3))


def judge_of(cards, config=None):
    refiners = {name: Refiner(card, RefineConfig()) for name, card in cards.items()}
    return Judge(cards, config or JudgeConfig(), refiners)


@pytest.fixture(scope="module")
def judge(block):
    return judge_of({"block": block.card})


def seen(block, pose, source="mask", name="block", **how):
    cloud, mask = block.see(pose, **how)
    return cloud, Segment(np.flatnonzero(mask.ravel()[cloud.source_index]), source, name)


def chain(judge, cloud, hypotheses):
    scene = Scene(cloud, judge.cards)
    shortlist = judge.shortlist(hypotheses, scene)
    refined = [judge.refiners[h.object_name].fine(h, scene) for h in shortlist]
    return shortlist, *judge.decide(refined, scene)


def score(judge, T, cloud, segment):
    return judge.visibility["block"].score(T[None], Scene(cloud, judge.cards).view(segment), 2048, 800, exact=True)[0]


def test_the_true_pose_scores_near_one_and_wrong_ones_less(block, judge, pose):
    cloud, segment = seen(block, pose)
    true = score(judge, pose, cloud, segment)
    assert true.score > 0.9 and true.violated < 0.02 and true.covered > 0.95
    shifts = {"nearer": [0, 0, -0.03], "farther": [0, 0, 0.03], "beside": [0.04, 0, 0]}
    for name, shift in shifts.items():
        wrong = pose.copy()
        wrong[:3, 3] += shift
        assert score(judge, wrong, cloud, segment).score < 0.4, name
    assert score(judge, pose @ HALF_TURN, cloud, segment).score < true.score - 0.1


def test_in_front_of_the_measurement_is_a_violation_and_behind_the_segment_is_unexplained(block, judge, pose):
    cloud, segment = seen(block, pose)
    near, far = pose.copy(), pose.copy()
    near[2, 3] -= 0.05
    far[2, 3] += 0.05
    assert score(judge, near, cloud, segment).violated > 0.8
    behind = score(judge, far, cloud, segment)
    assert behind.explained < 0.1 and behind.violated < 0.1 and behind.seen > 0.5


def test_behind_something_else_is_occluded_and_counts_neither_way(block, judge, pose):
    cloud, segment = seen(block, pose)
    points = cloud.points_m.copy()
    cut = segment.indices[points[segment.indices, 0] > pose[0, 3]]
    points[cut] *= (0.4 / points[cut, 2])[:, None]  # a board before the right half
    half = Segment(np.setdiff1d(segment.indices, cut), "mask", "block")
    result = score(judge, pose, Cloud.from_points(points), half)
    assert result.occluded > 0.3 and result.score > 0.85


def test_holes_count_neither_way(block, judge, pose):
    cloud, segment = seen(block, pose)
    left = np.flatnonzero(cloud.points_m[:, 0] <= pose[0, 3])
    half = Cloud.from_points(cloud.points_m[left])
    index = np.flatnonzero(np.isin(left, segment.indices))
    result = score(judge, pose, half, Segment(index, "mask", "block"))
    assert result.seen < 0.7 and result.score > 0.85


def test_chain_finds_the_pose_among_wrong_turns(block, judge, pose):
    cloud, segment = seen(block, pose)
    rng = np.random.default_rng(0)
    wrong = [transform(exp_so3(rng.normal(0, 2, 3)), pose[:3, 3] + rng.normal(0, 0.01, 3)) for _ in range(20)]
    near = transform(exp_so3(np.array([0.1, 0.1, -0.1])) @ pose[:3, :3], pose[:3, 3] + 0.004)
    shortlist, (estimate,), rejected = chain(
        judge, cloud, [Hypothesis("block", T, segment, "votes") for T in (*wrong, near)]
    )
    assert not rejected and len(shortlist) <= judge.config.shortlist
    assert np.rad2deg(angle(estimate.T_camera_object[:3, :3].T @ pose[:3, :3])) < 0.5
    assert estimate.score > 0.9 and estimate.alternatives == ()
    assert estimate.evidence.explained > 0.9 and estimate.segment is segment


def test_the_score_falls_where_the_network_has_the_centre_elsewhere(block, judge, pose):
    cloud, segment = seen(block, pose)
    centre, d = apply(pose, block.card.centre_m[None])[0], block.card.diameter_m
    score = {}
    for off in (0.0, 0.05, 0.15, 0.3):
        belief = Belief(RotationDensity(np.zeros(COEFFICIENTS)), centre + off * d * np.eye(3)[0])
        _, estimates, rejected = chain(judge, cloud, [Hypothesis("block", pose, segment, "votes", 1.0, belief)])
        score[off] = (estimates or rejected)[0].score
        assert not estimates or estimates[0].evidence.agreement == pytest.approx(
            np.exp(-0.5 * (off / judge.config.centre_rel) ** 2), abs=0.02
        )
    assert score[0.0] > score[0.05] > 0.85 * score[0.0]
    assert score[0.15] < 0.7 * score[0.0] and score[0.3] < judge.config.min_score


def test_a_look_alike_on_the_card_is_tried(block, pose):
    card = replace(block.card, confusions=HALF_TURN[None])
    judge = judge_of({"block": card})
    cloud, segment = seen(block, pose)
    _, (estimate,), _ = chain(judge, cloud, [Hypothesis("block", pose @ HALF_TURN, segment, "votes")])
    assert np.rad2deg(angle(estimate.T_camera_object[:3, :3].T @ pose[:3, :3])) < 1.0


def test_a_mask_that_no_hypothesis_explains_is_searched_blindly(block, pose):
    cloud, segment = seen(block, pose)
    hopeless = [Hypothesis("block", transform(np.eye(3), pose[:3, 3] + [0, 0, 0.3]), segment, "votes")]
    _, (estimate,), _ = chain(judge_of({"block": block.card}), cloud, hopeless)
    assert np.rad2deg(angle(estimate.T_camera_object[:3, :3].T @ pose[:3, :3])) < 1.0
    off = judge_of({"block": block.card}, JudgeConfig(blind_rotations=0))
    assert chain(off, cloud, hopeless)[1] == []


def test_blind_poses_turn_with_the_cloud(block, judge, pose):
    cloud, segment = seen(block, pose)
    T = transform(exp_so3(np.array([0.3, 1.0, -0.4])), np.array([0.5, 0.2, -0.1]))
    moved = Cloud.from_points(apply(T, cloud.points_m), T[:3, 3])
    still = blind_poses(block.card, Scene(cloud, judge.cards).view(segment), 40)
    turned = blind_poses(block.card, Scene(moved, judge.cards).view(segment), 40)
    np.testing.assert_allclose(turned, T @ still, atol=1e-9)


def test_orientations_that_the_view_cannot_tell_apart_are_one_estimate(block):
    flat = transform(exp_so3(np.array([np.pi, 0.0, 0.0])), np.array([0.0, 0.0, 0.5]))
    judge = judge_of({"block": block.card}, JudgeConfig(alternatives_margin=0.6, min_score=0.2, min_explained=0.1))
    cloud, segment = seen(block, flat)
    _, (estimate,), _ = chain(
        judge, cloud, [Hypothesis("block", T, segment, "votes") for T in (flat, flat @ HALF_TURN)]
    )
    assert len(estimate.alternatives) == 1
    weight = estimate.alternatives[0][1]
    assert 0.0 < weight < 0.5


def test_an_axis_of_confusion_widens_the_covariance_by_what_the_view_allows(block, pose):
    axis = Axis(np.array([0.0, 0.0, 1.0]), np.zeros(3))
    cloud, segment = seen(block, pose)
    spread = []
    for margin in (0.01, 1.0):
        judge = judge_of(
            {"block": replace(block.card, confusion_axes=(axis,))}, JudgeConfig(alternatives_margin=margin)
        )
        _, (estimate,), _ = chain(judge, cloud, [Hypothesis("block", pose, segment, "votes")])
        u = estimate.T_camera_object[:3, :3] @ axis.direction
        spread.append(u @ estimate.covariance[3:, 3:] @ u)
    assert spread[0] < np.deg2rad(10) ** 2 and spread[1] == pytest.approx(np.pi**2 / 3, rel=0.05)


@pytest.mark.parametrize("what", ["elsewhere", "hidden"])
def test_a_wrong_pose_is_refused_with_a_reason(block, judge, pose, what):
    cloud, segment = seen(block, pose)
    scene = Scene(cloud, judge.cards)
    T = pose.copy()
    T[:3, 3] += [0.08, 0, -0.1] if what == "elsewhere" else [0.0, 0.0, 0.9]  # behind the wall that is no segment
    refined = judge.refiners["block"].fine(Hypothesis("block", T, segment, "votes"), scene)
    estimates, (rejected,) = judge.decide([replace(refined, T_camera_object=T)], scene)
    assert estimates == [] and rejected.code in {"low_score", "low_explained", "not_visible"}
    assert rejected.object_name == "block" and rejected.reason.endswith(".") and rejected.score is not None


def test_one_place_gives_one_estimate_from_two_segments(block, judge, pose):
    cloud, whole = seen(block, pose, source="cluster", name=None)
    most = Segment(whole.indices[::2], "cluster")
    _, estimates, rejected = chain(judge, cloud, [Hypothesis("block", pose, s, "votes") for s in (whole, most)])
    assert len(estimates) == 1 and [r.code for r in rejected] == ["taken"]


def test_two_objects_do_not_share_points_unless_both_were_named(block, pose):
    cards = {"block": block.card, "other": replace(block.card, name="other")}
    judge = judge_of(cards)
    cloud, free = seen(block, pose, source="cluster", name=None)
    _, estimates, rejected = chain(judge, cloud, [Hypothesis(name, pose, free, "votes") for name in cards])
    assert len(estimates) == 1 and rejected[0].code == "taken"
    named = [Hypothesis(name, pose, Segment(free.indices, "mask", name), "votes") for name in cards]
    assert len(chain(judge, cloud, named)[1]) == 2


def test_no_more_instances_than_asked_for(block, pose):
    judge = judge_of({"block": block.card}, JudgeConfig(max_instances=1))
    left, right = pose.copy(), pose.copy()
    left[0, 3], right[0, 3] = -0.1, 0.1
    (a, mask_a), (b, mask_b) = block.see(left), block.see(right)
    depth = np.minimum(a.points_m[:, 2], b.points_m[:, 2])
    cloud = Cloud.from_points(a.points_m * (depth / a.points_m[:, 2])[:, None])
    hypotheses = [
        Hypothesis("block", T, Segment(np.flatnonzero(m.ravel()), "mask", "block"), "votes")
        for T, m in ((left, mask_a), (right, mask_b))
    ]
    _, estimates, rejected = chain(judge, cloud, hypotheses)
    assert len(estimates) == 1 and "instances" in rejected[0].reason
    assert len(chain(judge_of({"block": block.card}), cloud, hypotheses)[1]) == 2


def test_nothing_to_judge(block, judge, pose):
    cloud, _ = seen(block, pose)
    assert chain(judge, cloud, []) == ([], [], [])


def test_connected_runs_around_the_circle():
    free = np.array([True, True, False, True, False, True])
    assert _connected(free, 0).tolist() == [True, True, False, False, False, True]
    assert _connected(np.ones(4, bool), 2).all()
    assert _connected(np.array([False, True]), 0).tolist() == [False, False]


def test_narrow_dips_are_bridged_and_wide_ones_are_not():
    free = np.array([True, False, False, True, False, False, False, False, False, False])
    assert _bridged(free, 2).tolist() == [True, True, True, True, False, False, False, False, False, False]


def test_a_found_segment_must_be_held_whole(block, judge, pose):
    cloud, asked = seen(block, pose, "box")
    found = replace(asked, source="cluster")
    assert score(judge, pose, cloud, found).score == score(judge, pose, cloud, asked).score > 0.8
    beside = pose.copy()
    beside[:3, 3] += [0.02, 0.0, 0.0]
    view = Scene(cloud, judge.cards).view(found)
    held = judge.visibility["block"]._held_in(np.stack([pose, beside]), view, 800)
    assert held[0] == 1.0 and held[1] < 0.5


def test_far_off_a_found_segment_tells_nothing(block, judge, pose):
    far = pose.copy()
    far[:3, 3] *= 5.0
    cloud, asked = seen(block, far, "box", table_m=3.4)
    assert score(judge, far, cloud, asked).score > 0.5
    assert score(judge, far, cloud, replace(asked, source="cluster")).score == 0.0


def test_what_cannot_pass_is_sifted_out_but_never_what_somebody_asked_for(block, judge, pose):
    _, segment = seen(block, pose)
    hypotheses = [
        Hypothesis("block", pose, replace(segment, source=source), "coordinates", confidence)
        for source, confidence in (("mask", 0.0), ("cluster", 0.1), ("cluster", 0.6))
    ]
    worth, (refused,) = judge.sift(hypotheses)
    assert worth == [hypotheses[0], hypotheses[2]]
    assert refused.code == "low_score" and refused.score == 0.1
