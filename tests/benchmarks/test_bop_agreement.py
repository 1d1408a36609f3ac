"""Our errors against those of bop_toolkit, kept by ``python -m benchmarks.bop_agreement``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.bop_agreement import DIAMETER_MM, SYMMETRIES, from_twists
from pose_node.evaluation import metrics
from pose_node.evaluation.runs.label_matching import REL_THRESHOLDS, found

MM = 1000.0


@pytest.fixture(scope="module")
def agreed():
    with np.load(Path(__file__).parent / "bop_agreed.npz") as file:
        return dict(file)


def in_metres(T):
    T = T.copy()
    T[:, :3, 3] /= MM
    return T


@pytest.mark.parametrize("kind", SYMMETRIES)
def test_pose_errors_agree_to_1e_6(agreed, kind):
    points, K = agreed["points"] / MM, agreed["K"]
    symmetries = metrics.bop_symmetries(SYMMETRIES[kind])
    T_est, T_gt = (in_metres(from_twists(agreed[f"{kind}_{name}"])) for name in ("est", "gt"))
    assert len(T_est) == 250
    mine = np.array(
        [
            [
                MM * metrics.mssd(points, a, b, symmetries),
                metrics.mspd(points, a, b, symmetries, K),
                MM * metrics.add(points, a, b),
                MM * metrics.adds(points, a, b),
            ]
            for a, b in zip(T_est, T_gt)
        ]
    )
    np.testing.assert_allclose(mine, agreed[f"{kind}_errors"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", SYMMETRIES)
def test_the_hull_is_enough_for_mssd(agreed, kind):
    points = agreed["points"] / MM
    symmetries = metrics.bop_symmetries(SYMMETRIES[kind])
    T_est, T_gt = (in_metres(from_twists(agreed[f"{kind}_{name}"])) for name in ("est", "gt"))
    mine = [MM * metrics.mssd(metrics.hull_points(points), a, b, symmetries) for a, b in zip(T_est, T_gt)]
    np.testing.assert_allclose(mine, agreed[f"{kind}_errors"][:, 0], rtol=0, atol=1e-6)


def test_vsd_agrees_given_the_same_renderings(agreed):
    depths_m = agreed["vsd_depths"] / (10.0 * MM)
    mine = [metrics.vsd(est, gt, test, agreed["K_small"], DIAMETER_MM / MM) for est, gt, test in depths_m]
    np.testing.assert_allclose(mine, agreed["vsd_errors"], rtol=0, atol=1e-6)
    assert 0.05 < np.mean(mine) < 0.95  # the images are no trivial ones


def test_recall_of_frames_with_several_instances(agreed):
    counts = agreed["recall_labels"]
    total = np.zeros(len(REL_THRESHOLDS))
    for errors, count in zip(agreed["recall_errors"], counts):
        rows = np.isfinite(errors[:, 0])
        total += found(errors[rows, :count], REL_THRESHOLDS).sum(axis=1)
    np.testing.assert_allclose(total / counts.sum(), agreed["recalls"], rtol=0, atol=1e-12)
