"""The evidence of matches for poses: high where they are true, and the same from any camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_node.geometry.se3 import apply, exp_so3, transform
from pose_node.network.match_evidence import (
    NEAR_REL,
    camera_poses,
    match_evidence,
    nearness,
    pairs_of,
    relative_poses,
)
from pose_node.types import Matches

POSE = transform(exp_so3(np.array([0.4, -1.0, 0.2])), np.array([0.1, -0.2, 0.9]))
DIAMETER_M = 0.2


@pytest.fixture
def matches(rng):
    """Forty centres of an object at POSE; of each one's five matches the third is right, with probability 0.5."""
    places = rng.uniform(-0.4, 0.4, (40, 5, 3))
    centre_m, origin_m = np.array([0.01, 0.02, -0.03]), np.array([0.1, -0.2, 0.85])
    points_m = apply(POSE, places[:, 2] * DIAMETER_M + centre_m)
    return Matches(
        points=(points_m - origin_m) / DIAMETER_M,
        places=places,
        similarity=np.tile(np.linspace(0.9, 0.5, 5), (40, 1)),
        probability=np.tile([0.1, 0.1, 0.5, 0.1, 0.1], (40, 1)),
        quality=rng.uniform(0.2, 0.9, 40),
        origin_m=origin_m,
        centre_m=centre_m,
        diameter_m=DIAMETER_M,
    )


def test_the_true_pose_has_the_probability_of_the_true_matches(matches):
    found = match_evidence(matches, POSE[None])
    assert found.share.shape == (1, 40)
    assert (found.share >= 0.5 - 1e-4).all() and (found.share <= 0.9 + 1e-4).all()
    assert 0.5 <= found.support[0] < 0.6, "a chance match may lie near as well"
    np.testing.assert_array_equal(found.similarity, 0.9)
    np.testing.assert_array_equal(found.quality, matches.quality)


def test_a_pose_loses_share_as_it_moves_away(matches):
    shift = np.array([0.0, 0.3, 1.0, 10.0]) * NEAR_REL * DIAMETER_M
    T = np.tile(POSE, (4, 1, 1))
    T[:, 2, 3] += shift
    support = match_evidence(matches, T).support
    assert (np.diff(support) < 0).all()
    assert support[3] < 0.01
    assert support[2] == pytest.approx(support[0] * np.exp(-1.0), abs=0.05)


def test_centres_of_better_quality_count_more(matches):
    T = np.tile(POSE, (1, 1, 1))
    wrong = matches.points.copy()
    wrong[:20] += 5.0  # half of the centres lie where no match puts them
    good = np.where(np.arange(40) < 20, 0.0, 1.0)
    trusted = match_evidence(replace(matches, points=wrong, quality=good), T).support
    misled = match_evidence(replace(matches, points=wrong, quality=1.0 - good), T).support
    assert trusted[0] >= 0.5 and misled[0] < 1e-3


def test_no_quality_at_all_is_no_support(matches):
    assert match_evidence(replace(matches, quality=np.zeros(40)), POSE[None]).support[0] == 0.0


def test_a_motion_of_the_camera_changes_nothing(matches, rng):
    poses = np.stack([POSE @ transform(exp_so3(0.2 * rng.normal(size=3)), 0.01 * rng.normal(size=3)) for _ in range(6)])
    still = match_evidence(matches, poses).share
    M = transform(exp_so3(np.array([2.0, 1.0, -0.7])), np.array([3.0, -50.0, 2.0]))
    moved = replace(matches, points=matches.points @ M[:3, :3].T, origin_m=apply(M, matches.origin_m[None])[0])
    np.testing.assert_allclose(match_evidence(moved, M @ poses).share, still, atol=1e-4)


def test_poses_return_from_the_matches_lengths(matches):
    poses = np.stack([POSE, POSE @ POSE])
    np.testing.assert_allclose(camera_poses(matches, *relative_poses(matches, poses)), poses, atol=1e-12)


def test_nearness_is_the_kernel_of_the_distance(rng):
    points, places = rng.uniform(-0.5, 0.5, (7, 3)), rng.uniform(-0.5, 0.5, (7, 4, 3))
    R = exp_so3(rng.normal(size=(3, 3)))
    t = rng.uniform(-0.2, 0.2, (3, 3))
    moved = np.einsum("bij,mkj->bmki", R, places) + t[:, None, None]
    expected = np.exp(-np.sum((moved - points[:, None]) ** 2, axis=-1) / NEAR_REL**2)
    np.testing.assert_allclose(nearness(pairs_of(points, places), R, t).reshape(3, 7, 4), expected, atol=1e-4)
