"""Matches of an ideal backbone with a bank, and the poses that they agree on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from block import described, ideal_bank

from pose_node.geometry.se3 import angle, apply, exp_so3, transform
from pose_node.geometry.symmetry import Symmetry
from pose_node.measurement.sampling import sample_segment
from pose_node.network.input import scaled
from pose_node.network.match_evidence import attainable_share, camera_poses, match_evidence
from pose_node.network.matching import KEPT, PROPOSING, _best, consensus, match_to_bank

NO_SYMMETRY = Symmetry(np.eye(4)[None])


def matched(block, T, noise=0.0):
    """Matches and proposed rotations of the visible side of the block at T."""
    cloud, mask = block.see(T)
    prepared = scaled(
        sample_segment(cloud.points_m[mask.ravel()[cloud.source_index]], cloud.viewpoint_m), block.card.diameter_m
    )
    features = block.oracle(T, noise)(prepared)
    return match_to_bank(prepared, features, ideal_bank(block.card, "0" * 64), 0.03, block.card.centre_m)


def test_a_match_is_a_place_a_rotation_and_a_probability(block, pose):
    matches, R = matched(block, pose)
    count = len(matches.points)
    assert matches.places.shape == (count, KEPT, 3)
    assert R.shape == (count, PROPOSING, 3, 3)
    assert (np.diff(matches.similarity, axis=1) <= 0).all(), "best first"
    total = matches.probability.sum(axis=1)
    assert (total <= 1.0 + 1e-5).all() and (total > 0.5).all()
    assert np.rad2deg(angle(np.swapaxes(R, -1, -2) @ pose[:3, :3])).max() < 1.0
    true = apply(np.linalg.inv(pose), matches.points * matches.diameter_m + matches.origin_m)
    best = matches.places[:, 0] * matches.diameter_m + matches.centre_m
    assert np.median(np.linalg.norm(best - true, axis=1)) < 0.005


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_the_best_pose_is_the_true_one_and_has_most_support(block, pose, noise):
    matches, R = matched(block, pose, noise)
    R, t, support = consensus(matches, R, NO_SYMMETRY, 10)
    found = camera_poses(matches, R, t)[0]
    assert np.rad2deg(angle(found[:3, :3].T @ pose[:3, :3])) < 1.0 + 40.0 * noise
    assert np.linalg.norm(found[:3, 3] - pose[:3, 3]) < (0.01 + 0.2 * noise) * block.card.diameter_m
    assert (np.diff(support) <= 0).all()
    np.testing.assert_allclose(match_evidence(matches, camera_poses(matches, R, t)).support, support, atol=1e-3)


def test_poses_differ_up_to_symmetry(block, pose):
    matches, R = matched(block, pose, 0.3)
    half_turn = transform(exp_so3(np.array([0.0, 0.0, np.pi])), np.zeros(3))
    symmetry = Symmetry(np.stack([np.eye(4), half_turn]))
    R_all, t, _ = consensus(matches, R, symmetry, 30)
    assert 1 < len(R_all) <= 30
    for i in range(len(R_all)):
        for j in range(i):
            apart = angle(np.swapaxes(R_all[i] @ symmetry.discrete[:, :3, :3], -1, -2) @ R_all[j]).min()
            assert apart > np.deg2rad(11.9) or np.linalg.norm(t[i] - t[j]) > 0.079


@pytest.mark.parametrize("seed", range(4))
def test_poses_move_with_the_cloud(block, pose, seed):
    rng = np.random.default_rng(seed)
    M = transform(exp_so3(rng.normal(size=3)), rng.uniform(-1.0, 1.0, 3))
    matches, R = matched(block, pose, 0.05)
    moved = replace(
        matches,
        points=(matches.points @ M[:3, :3].T).astype(np.float32),
        origin_m=apply(M, matches.origin_m[None])[0],
    )
    still, after = (
        camera_poses(m, *consensus(m, rotations, NO_SYMMETRY, 3)[:2])
        for m, rotations in ((matches, R), (moved, M[:3, :3] @ R))
    )
    np.testing.assert_allclose(after[0], M @ still[0], atol=1e-4)


def test_matches_without_any_quality_give_finite_poses(block, pose):
    matches, R = matched(block, pose)
    R, t, support = consensus(replace(matches, quality=np.zeros(len(matches.points))), R, NO_SYMMETRY, 5)
    assert np.isfinite(R).all() and np.isfinite(t).all() and np.isfinite(support).all()


def test_a_bank_smaller_than_the_matches_kept_is_used_whole(block, pose):
    bank = ideal_bank(block.card, "0" * 64)
    few = replace(bank, **{n: getattr(bank, n)[:20] for n in ("descriptors", "places", "vectors", "views")})
    cloud, mask = block.see(pose)
    points = cloud.points_m[mask.ravel()[cloud.source_index]]
    prepared = scaled(sample_segment(points, cloud.viewpoint_m), block.card.diameter_m)
    matches, R = match_to_bank(prepared, block.oracle(pose)(prepared), few, 0.03, block.card.centre_m)
    assert matches.places.shape[1] == 20
    np.testing.assert_allclose(matches.probability.sum(axis=1), 1.0, atol=1e-5)
    assert len(consensus(matches, R, NO_SYMMETRY, 5)[0]) >= 1


def test_the_attainable_share_is_that_of_the_best_place(block, pose):
    matches, _ = matched(block, pose)
    assert (attainable_share(matches) >= matches.probability[:, 0] - 1e-6).all()
    assert (match_evidence(matches, pose[None]).share[0] <= 1.05 * attainable_share(matches) + 0.02).mean() > 0.95


@pytest.mark.parametrize(("entries", "count"), [(6144, 32), (6144, 8), (100, 48), (48, 48), (33, 8)])
def test_the_best_columns_are_those_of_a_full_sort(rng, entries, count):
    values = rng.normal(size=(20, entries)).astype(np.float32)
    np.testing.assert_array_equal(_best(values, count), np.argsort(-values, axis=1, kind="stable")[:, :count])


def test_descriptors_of_the_test_object_are_of_unit_length(block):
    np.testing.assert_allclose(np.linalg.norm(described(block.card.surface.points_m[:50]), axis=1), 1.0, atol=1e-12)
