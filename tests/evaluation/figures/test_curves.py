"""Curves against values counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from run_writing import estimate_of, info, label_of, write_labelled

from pose_node.evaluation.figures import curves
from pose_node.evaluation.records import FrameRecord
from pose_node.evaluation.run_folder import Run, read_run


def run_of(labels, estimates, tmp_path):
    taken = {label.estimate for label in labels}
    unmatched = tuple(i for i in range(len(estimates)) if i not in taken)
    frames = (FrameRecord("000001", "000000", 0, None, {}, 0.1, {}, 0, tuple(estimates), unmatched=unmatched),)
    return Run(tmp_path, info(), frames, tuple(labels), {})


def test_recall_counts_missed_labels():
    labels = [label_of("mug", 0.05), label_of("mug", 0.25, instance=1), label_of("mug", None, instance=2)]
    curve = curves.recall(labels, "mssd_rel", 0.5, steps=5)
    np.testing.assert_allclose(curve.at, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    np.testing.assert_allclose(curve.share, [0, 1 / 3, 1 / 3, 2 / 3, 2 / 3, 2 / 3])
    assert (curve.low <= curve.share + 1e-12).all() and (curve.high >= curve.share - 1e-12).all()


def test_vsd_is_the_mean_over_its_tolerances():
    labels = [label_of("mug", 0.15), label_of("mug", None, instance=1)]
    curve = curves.recall(labels, "vsd", 0.5, steps=5)
    np.testing.assert_allclose(curve.share, [0, 0, 0.5, 0.5, 0.5, 0.5])


def test_average_recall_is_the_mean_of_the_curve_at_its_thresholds(tmp_path):
    run = read_run(write_labelled(tmp_path))
    curve = curves.recall(run.labels, "mssd_rel", 0.5, steps=10)
    assert curve.share[1:].mean() == pytest.approx(run.summary["all"]["figures"]["ar_mssd"]["value"], abs=1e-12)


def test_judged_counts_false_alarms(tmp_path):
    labels = [label_of("mug", 0.05, estimate=0, score=0.9), label_of("mug", 0.4, instance=1, estimate=2, score=0.4)]
    estimates = [estimate_of("mug", 0.9), estimate_of("bowl", 0.7), estimate_of("mug", 0.4)]
    seen = curves.scored_estimates(run_of(labels, estimates, tmp_path))
    assert seen.score.tolist() == [0.9, 0.7, 0.4]
    assert seen.correct.tolist() == [True, False, False]
    assert len(set(seen.placement)) == 3


def test_scores_that_are_probabilities_lie_on_the_diagonal(rng):
    score = rng.random(20000)
    seen = curves.ScoredEstimates(score, rng.random(20000) < score, tuple((str(i // 10),) for i in range(20000)))
    rel = curves.reliability(seen)
    np.testing.assert_allclose(rel.correct, rel.score, atol=0.04)
    assert rel.count.sum() == 20000
    assert rel.gap < 0.02
    assert (rel.low < rel.correct).all() and (rel.correct < rel.high).all()
    sure = curves.reliability(curves.ScoredEstimates(np.ones(10), np.zeros(10, bool), (("a",),) * 10))
    assert sure.gap == pytest.approx(1.0) and np.isnan(sure.gap_interval).all()


def test_thresholds():
    seen = curves.ScoredEstimates(np.array([0.9, 0.6, 0.3]), np.array([True, False, True]), (("a",), ("b",), ("c",)))
    precision, found = curves.precision_recall(seen, labels=4, steps=10)
    np.testing.assert_allclose(precision.share[[0, 5, 7]], [2 / 3, 1 / 2, 1.0])
    assert np.isnan(precision.share[10])
    np.testing.assert_allclose(found.share[[0, 5, 7, 10]], [0.5, 0.25, 0.25, 0.0])


def test_a_histogram_keeps_all_finite_values():
    edges, counts = curves.histogram(np.array([1e-9, 0.5, 3.0, 1e9, np.inf]), 0.1, 10.0, bins=4)
    assert len(edges) == 5
    assert counts.tolist() == [1, 1, 1, 1]
