"""A viewpoint is refused where surfaces hide others from it, and only there."""

from __future__ import annotations

import numpy as np
import pytest

from pose_node.geometry.se3 import apply, exp_so3, transform
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.sensor import DEFAULT
from pose_node.measurement.viewpoint import hidden_share, wrong_viewpoint
from pose_node.pipeline import Pipeline


@pytest.fixture(scope="module")
def seen():
    """A real frame: a table with objects."""
    pytest.importorskip("PIL", reason="the demo's frames are PNG")
    from pose_node.ros.demo import recording

    frame = recording.read("000000")[0]
    K = np.diag([0.5, 0.5, 1.0]) @ frame.K
    return Cloud.from_depth(frame.depth_m[::2, ::2].astype(float), K)


def test_the_true_viewpoint_is_accepted(seen):
    assert wrong_viewpoint(Cloud.from_points(seen.points_m)) == []
    assert wrong_viewpoint(seen) == []
    assert wrong_viewpoint(Cloud.from_points(seen.points_m[:5])) == []
    assert wrong_viewpoint(Cloud.from_points(np.zeros((0, 3)))) == []


def test_noise_alone_is_accepted(seen, rng):
    noise = DEFAULT.sigma_m(1.0) * rng.normal(size=len(seen)) * seen.points_m[:, 2]
    assert wrong_viewpoint(Cloud.from_points(seen.points_m * (1.0 + noise)[:, None])) == []


@pytest.mark.parametrize("away", [(0.8, 0.0, 0.0), (0.0, -0.8, 0.2), (0.5, 0.5, -0.3)])
def test_a_moved_cloud_is_detected_by_hidden_surfaces(seen, away):
    (refused,) = wrong_viewpoint(Cloud.from_points(seen.points_m, away))
    assert refused.code == "viewpoint"
    assert "of its points hidden behind others as seen from" in refused.reason and "viewpoint_frame" in refused.reason


def test_points_and_viewpoint_may_move_together(seen):
    M = transform(exp_so3(np.array([1.0, -0.5, 2.0])), np.array([0.5, -0.8, 0.1]))
    moved = apply(M, seen.points_m)
    assert wrong_viewpoint(Cloud.from_points(moved, M[:3, 3])) == []
    assert len(wrong_viewpoint(Cloud.from_points(moved))) == 1
    assert hidden_share(moved, M[:3, 3]) == pytest.approx(hidden_share(seen.points_m, np.zeros(3)), abs=1e-3)


def test_the_warning_is_among_the_rejected(block, seen):
    pipeline = Pipeline.load([block.card.folder])
    assert "viewpoint" not in [r.code for r in pipeline.estimate(Cloud.from_points(seen.points_m)).rejected]
    assert "viewpoint" in [
        r.code for r in pipeline.estimate(Cloud.from_points(seen.points_m, (0.8, 0.0, 0.0))).rejected
    ]
