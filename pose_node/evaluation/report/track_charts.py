"""Where each track was over time in the fixed frame, beside how sure it says that it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_node.evaluation.figures.tracks import TrackPath, most_confirmed
from pose_node.evaluation.report import page
from pose_node.evaluation.report.svg import Chart, Scale

MOST = 12  # tracks that are drawn
SIGMAS = 2.0
_UNKNOWN_DEG = 30.0  # a turn that is known no better would leave no room for the others
_AXES = {"x": 0, "y": 1, "z": 2}


def track_charts(paths: Sequence[TrackPath]) -> list[str]:
    """Position, turn and score of each track: three charts a track, of the ``MOST`` that were confirmed in the most frames."""
    time = Scale(0.0, max(float(path.until[-1]) for path in paths))
    return [chart for path in most_confirmed(paths, MOST) for chart in _of_one(path, time)]


def _of_one(path: TrackPath, time: Scale) -> list[str]:
    charts = [
        _axes_figure(path, time, "position", slice(0, 3), "mm from the median", np.inf),
        _axes_figure(path, time, "turn", slice(3, 6), "degrees from the middle", _UNKNOWN_DEG),
    ]
    scores = np.array([np.nan if r.score is None or r.state == "lost" else r.score for r in path.records])
    if np.isfinite(scores).any():
        score = Chart(time, Scale(0.0, 1.0), "seconds", "score")
        score.line(path.seconds, scores, 2, thin=True)
        charts.append(page.figure(f"{path.name}: score", score.svg(f"Score of {path.name}"), "of its last sighting"))
    return charts


def _axes_figure(path: TrackPath, time: Scale, what: str, part: slice, unit: str, unknown: float) -> str:
    """``part`` of the way from the middle along each axis, with its band; sigmas of ``unknown`` or more set no scale."""
    held = path.states != "lost"
    off, sigma = path.deviation[:, part], path.sigma[:, part]
    typical = np.median(sigma[held], axis=0)
    known = typical[typical < unknown]
    far = float(np.percentile(np.abs(off[held]), 98)) + SIGMAS * float(known.max(initial=0.0))
    reach = max(1.2 * far, 1.0)
    chart = Chart(time, Scale(-reach, reach), "seconds", unit)
    off = np.where(held[:, None], off, np.nan)
    for axis in range(3):
        middle, wide = off[:, axis], SIGMAS * sigma[:, axis]
        chart.band(path.seconds, middle - wide, middle + wide, axis)
    for axis in range(3):
        chart.line(path.seconds, off[:, axis], axis, thin=True)
    beyond = int((np.abs(off) > reach).any(axis=1).sum())
    note = "fixed frame" + (f"; {beyond} frames further off, at the edge" if beyond else "")
    return page.figure(f"{path.name}: {what}", chart.svg(f"{what.capitalize()} of {path.name}"), note, _AXES)
