"""The charts of a labelled run: recall, errors, and how far the score can be trusted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from pose_node.evaluation.figures import curves
from pose_node.evaluation.figures.curves import Curve
from pose_node.evaluation.figures.intervals import statistic_interval
from pose_node.evaluation.records import LabelRecord
from pose_node.evaluation.report.formatting import NO_INTERVAL
from pose_node.evaluation.report.page import Figure
from pose_node.evaluation.report.svg import COLOURS, draw_band, draw_line, new_axes, set_tooltip, to_svg
from pose_node.evaluation.run_folder import Run

# Error, largest shown, title, explanation. BOP's average recall is the mean of the recall at ten of these thresholds.
RECALL = (
    ("mssd_rel", 0.5, "MSSD / diameter", "largest distance of a surface point, up to symmetry"),
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
_UNIT = (0.0, 1.0)


def recall_charts(labels: Sequence[LabelRecord]) -> list[Figure]:
    """Recall against the error threshold: all labels with the interval, and each object while colours last."""
    objects = sorted({label.object_name for label in labels})
    series = {"all": (0, labels)}
    if 1 < len(objects) < len(COLOURS):
        of_object = ([x for x in labels if x.object_name == one] for one in objects)
        series |= {one: (number, mine) for number, (one, mine) in enumerate(zip(objects, of_object), start=1)}
    charts = []
    for name, limit, title, note in RECALL:
        if not curves.has_error(labels, name):
            continue
        axes = new_axes(title, "recall", (0.0, limit), _UNIT)
        for one, (colour, mine) in reversed(series.items()):
            curve = curves.recall(mine, name, limit)
            draw_curve(axes, curve, colour, f"{one}: {title}", thin=one != "all")
        key = {one: f"c{colour}" for one, (colour, _) in series.items()}
        charts.append(Figure(f"Recall: {title}", to_svg(axes, f"Recall against {title}"), note, key))
    return charts


def draw_curve(axes: Axes, curve: Curve, colour: int, tooltip: str = "", thin: bool = False) -> None:
    """A curve; with its interval unless it is ``thin``."""
    if not thin:
        draw_band(axes, curve.at, curve.low, curve.high, colour)
    draw_line(axes, curve.at, curve.share, colour, 1.2 if thin else 2.2, tooltip)


def error_charts(labels: Sequence[LabelRecord]) -> list[Figure]:
    """Histograms of the errors, on a logarithmic axis."""
    charts = []
    for name, low, high, title in _ERRORS:
        if not curves.has_error(labels, name):
            continue
        values = curves.errors(labels, name)
        edges, counts = curves.histogram(values, low, high)
        axes = new_axes(title, "labels", (low, high), _counts(counts), log=True, counts=True)
        tooltips = [f"{a:.3g} to {b:.3g}: {c}" for a, b, c in zip(edges, edges[1:], counts)]
        _draw_bars(axes, edges, counts, 0, tooltips)
        finite = np.isfinite(values)
        places = [curves.placement(label) for label, known in zip(labels, finite) if known]
        interval = _bracket(*statistic_interval(values[finite], places, lambda v: float(np.median(v))))
        note = f"median {np.median(values[finite]):.3g} {interval} of {finite.sum()}; without an estimate: {(~finite).sum()}"
        charts.append(Figure(f"Errors: {title}", to_svg(axes, f"Histogram of {title}"), note))
    return charts


def score_charts(run: Run) -> list[Figure]:
    """Whether the score is a probability, the histogram of scores, and precision and recall against a threshold on it."""
    judged = curves.scored_estimates(run)
    if len(judged.score) == 0:
        return []
    rel = curves.reliability(judged)
    correct = new_axes("score", "share correct", _UNIT, _UNIT)
    correct.plot(_UNIT, _UNIT, color=correct.xaxis.label.get_color(), linewidth=1, linestyle=(0, (4, 4)))
    for i in np.flatnonzero(rel.count):
        draw_line(correct, [rel.score[i]] * 2, [rel.low[i], rel.high[i]], 0)
        (dot,) = correct.plot(rel.score[i], rel.correct[i], "o", color=COLOURS[0], markersize=9, clip_on=False)
        set_tooltip(dot, f"score {rel.score[i]:.2f}: {rel.correct[i]:.2f} of {rel.count[i]} correct")

    right = np.nan_to_num(rel.count * rel.correct)
    counted = new_axes("score", "estimates", _UNIT, _counts(rel.count), counts=True)
    _draw_bars(counted, rel.edges, rel.count, 1, [f"{n} estimates, {r:.0f} correct" for n, r in zip(rel.count, right)])
    _draw_bars(counted, rel.edges, right, 2, [f"{r:.0f} correct" for r in right])

    precision, recall = curves.precision_recall(judged, len(run.labels))
    chosen = new_axes("threshold on the score", "share", _UNIT, _UNIT)
    draw_curve(chosen, precision, 0)
    draw_curve(chosen, recall, 2)
    return [
        Figure(
            "Is the score a probability?",
            to_svg(correct, "Share correct against score"),
            "correct: MSSD below 10 % of the diameter; mean distance from the diagonal (expected calibration error) "
            f"{rel.gap:.3f} {_bracket(*rel.gap_interval)}",
        ),
        Figure(
            "Histogram of scores",
            to_svg(counted, "Histogram of scores"),
            f"{len(judged.score)} estimates",
            {"correct": "c2", "wrong": "c1"},
        ),
        Figure(
            "Threshold on the score",
            to_svg(chosen, "Precision and recall against the threshold"),
            "of the estimates at or above the threshold; precision: share that is correct; recall: share of the labels found",
            {"precision": "c0", "recall": "c2"},
        ),
    ]


def _draw_bars(axes: Axes, edges: np.ndarray, counts: np.ndarray, colour: int, tooltips: Sequence[str]) -> None:
    shown = np.flatnonzero(counts)
    style = {"align": "edge", "color": COLOURS[colour], "edgecolor": "white", "linewidth": 1}
    for bar, i in zip(axes.bar(edges[shown], counts[shown], np.diff(edges)[shown], **style), shown):
        set_tooltip(bar, tooltips[i])


def _counts(counts: np.ndarray) -> tuple[float, float]:
    return 0.0, max(float(counts.max()), 1.0)


def _bracket(low: float, high: float) -> str:
    return f"[{low:.3g}, {high:.3g}]" if np.isfinite(low) and np.isfinite(high) else NO_INTERVAL
