"""The charts of a labelled run: recall, errors, and what the score is worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_node.evaluation.figures import curves
from pose_node.evaluation.figures.intervals import statistic_interval
from pose_node.evaluation.records import LabelRecord
from pose_node.evaluation.report import page
from pose_node.evaluation.report.svg import COLOURS, Chart, Scale
from pose_node.evaluation.report.wording import NO_INTERVAL
from pose_node.evaluation.run_folder import Run

# Error, largest shown, what it is called, and what it means. BOP's average recall is the mean of the recall at ten of these.
_RECALL = (
    ("mssd_rel", 0.5, "MSSD / diameter", "largest distance of a surface point, at the nearest symmetric truth"),
    ("vsd", 0.5, "VSD", "share of the visible surface that is off, mean over the tolerances"),
    ("mspd_px", 50.0, "MSPD, pixels", "largest distance in an image 640 pixels wide"),
    ("add_s_rel", 0.2, "ADD(-S) / diameter", "mean distance of surface points; ADD-S where a symmetry is declared"),
    ("rotation_deg", 30.0, "rotation error, degrees", "up to symmetry"),
    ("translation_mm", 30.0, "translation error, mm", "of the object's centre, up to symmetry"),
)
_ERRORS = (
    ("mssd_rel", 0.003, 3.0, "MSSD / diameter"),
    ("add_s_rel", 0.001, 1.0, "ADD(-S) / diameter"),
    ("mspd_px", 0.3, 300.0, "MSPD, pixels"),
    ("rotation_deg", 0.1, 180.0, "rotation error, degrees"),
    ("translation_mm", 0.1, 1000.0, "translation error, mm"),
)
_SHARE = Scale(0.0, 1.0)


def recall_charts(labels: Sequence[LabelRecord]) -> list[str]:
    """Recall against the error allowed, of all labels with its interval, and of each object where they can be told apart."""
    objects = sorted({label.object_name for label in labels})
    apart = objects if 1 < len(objects) < COLOURS else []
    charts = []
    for name, limit, what, note in _RECALL:
        if not curves.has_error(labels, name):
            continue
        chart = Chart(Scale(0.0, limit), _SHARE, what, "labels found")
        for number, one in enumerate(apart, start=1):
            curve = curves.recall([x for x in labels if x.object_name == one], name, limit)
            chart.line(curve.at, curve.share, number, f"{one}: {what}", thin=True)
        curve = curves.recall(labels, name, limit)
        chart.band(curve.at, curve.low, curve.high, 0)
        chart.line(curve.at, curve.share, 0, f"all: {what}")
        key = {"all": 0, **{one: number for number, one in enumerate(apart, start=1)}}
        charts.append(page.figure(f"Recall: {what}", chart.svg(f"Recall against {what}"), note, key))
    return charts


def error_charts(labels: Sequence[LabelRecord]) -> list[str]:
    """How large the errors are, on a logarithmic axis."""
    charts = []
    for name, low, high, what in _ERRORS:
        if not curves.has_error(labels, name):
            continue
        values = curves.errors(labels, name)
        edges, counts = curves.histogram(values, low, high)
        chart = Chart(Scale(low, high, log=True), Scale(0.0, max(int(counts.max()), 1), whole=True), what, "labels")
        titles = [f"{a:.3g} to {b:.3g}: {c}" for a, b, c in zip(edges, edges[1:], counts)]
        chart.bars(edges, counts, 0, titles)
        known = values[np.isfinite(values)]
        without = len(values) - len(known)
        places = [curves.placement(label) for label, there in zip(labels, np.isfinite(values)) if there]
        spread = _bracket(*statistic_interval(known, places, lambda v: float(np.median(v))))
        note = f"median {np.median(known):.3g}{spread} of {len(known)}; without an estimate: {without}"
        charts.append(page.figure(f"Errors: {what}", chart.svg(f"Histogram of {what}"), note))
    return charts


def score_charts(run: Run) -> list[str]:
    """Whether the score is a probability, how often each score is given, and what a threshold on it buys."""
    seen = curves.scored_estimates(run)
    if len(seen.score) == 0:
        return []
    rel = curves.reliability(seen)
    by_score = Chart(Scale(0.0, 1.0), _SHARE, "score", "correct")
    by_score.guide([0, 1], [0, 1])
    by_score.whiskers(rel.score, rel.low, rel.high, 0)
    titles = [f"score {s:.2f}: {c:.2f} of {n} correct" for s, c, n in zip(rel.score, rel.correct, rel.count)]
    by_score.dots(rel.score, rel.correct, 0, titles, radius=4.5)
    note = f"correct: MSSD below 10 % of the diameter; mean distance from the diagonal {rel.gap:.3f}{_bracket(*rel.gap_interval)}"
    given = Chart(Scale(0.0, 1.0), Scale(0.0, max(int(rel.count.max()), 1), whole=True), "score", "estimates")
    right = np.array([n * c if n else 0.0 for n, c in zip(rel.count, rel.correct)])
    given.bars(rel.edges, rel.count, 1, [f"{n:.0f} estimates, {r:.0f} correct" for n, r in zip(rel.count, right)])
    given.bars(rel.edges, right, 2, [f"{r:.0f} correct" for r in right])
    precision, found = curves.precision_recall(seen, len(run.labels))
    chosen = Chart(Scale(0.0, 1.0), _SHARE, "least score that is used", "share")
    chosen.band(precision.at, precision.low, precision.high, 0)
    chosen.line(precision.at, precision.share, 0, "precision")
    chosen.line(found.at, found.share, 2, "recall")
    return [
        page.figure("Is the score a probability?", by_score.svg("Share correct against score"), note),
        page.figure(
            "Scores given", given.svg("Histogram of scores"), f"{len(seen.score)} estimates", {"correct": 2, "wrong": 1}
        ),
        page.figure(
            "A threshold on the score",
            chosen.svg("Precision and recall against the threshold"),
            "precision: used estimates that are correct; recall: labels found by them",
            {"precision": 0, "recall": 2},
        ),
    ]


def _bracket(low: float, high: float) -> str:
    return f" [{low:.3g}, {high:.3g}]" if np.isfinite(low) and np.isfinite(high) else f" {NO_INTERVAL}"
