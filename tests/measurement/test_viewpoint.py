"""Clouds that were moved away from where they were seen: said so where surfaces hide others, and seen from the frame that is named."""

from __future__ import annotations

import numpy as np
import pytest

from pose_node.geometry.se3 import apply, exp_so3, transform
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.viewpoint import contradiction, hidden_share
from pose_node.pipeline import Pipeline
from pose_node.pose.error_model import noise_sigma


@pytest.fixture(scope="module")
def seen():
    """A real table with things on it."""
    pytest.importorskip("PIL", reason="the demo's frames are PNG")
    from pose_node.ros.demo import recording

    frame = recording.read("000000")[0]
    K = np.diag([0.5, 0.5, 1.0]) @ frame.K
    return Cloud.from_depth(frame.depth_m[::2, ::2].astype(float), K)


def test_a_cloud_seen_from_its_own_origin_is_left_alone(seen):
    assert contradiction(Cloud.from_points(seen.points_m)) is None
    assert contradiction(seen) is None
    assert contradiction(Cloud.from_points(seen.points_m[:5])) is None
    assert contradiction(Cloud.from_points(np.zeros((0, 3)))) is None


def test_noise_is_no_contradiction(seen, rng):
    noise = noise_sigma(1.0) * rng.normal(size=len(seen)) * seen.points_m[:, 2]
    assert contradiction(Cloud.from_points(seen.points_m * (1.0 + noise)[:, None])) is None


@pytest.mark.parametrize("away", [(0.8, 0.0, 0.0), (0.0, -0.8, 0.2), (0.5, 0.5, -0.3)])
def test_a_cloud_that_was_moved_is_told_by_what_hides_what(seen, away):
    refused = contradiction(Cloud.from_points(seen.points_m, away))
    assert refused is not None and refused.code == "viewpoint"
    assert "of its points hidden behind others as seen from" in refused.reason and "viewpoint_frame" in refused.reason


def test_only_the_place_counts_that_it_was_seen_from(seen):
    M = transform(exp_so3(np.array([1.0, -0.5, 2.0])), np.array([0.5, -0.8, 0.1]))
    moved = apply(M, seen.points_m)
    assert contradiction(Cloud.from_points(moved, M[:3, 3])) is None
    assert contradiction(Cloud.from_points(moved)) is not None
    assert hidden_share(moved, M[:3, 3]) == pytest.approx(hidden_share(seen.points_m, np.zeros(3)), abs=1e-3)


def test_the_result_says_so_beside_what_it_finds(block, seen):
    pipeline = Pipeline.load([block.card.folder])
    assert "viewpoint" not in [r.code for r in pipeline.estimate(Cloud.from_points(seen.points_m)).rejected]
    assert "viewpoint" in [
        r.code for r in pipeline.estimate(Cloud.from_points(seen.points_m, (0.8, 0.0, 0.0))).rejected
    ]
