"""Charts of each track: its pose in the fixed frame over time, with the stated uncertainty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_node.evaluation.figures.tracks import TrackPath, most_confirmed
from pose_node.evaluation.report.estimate_charts import AXES_KEY, count_beyond, limit_of
from pose_node.evaluation.report.page import Figure
from pose_node.evaluation.report.svg import draw_band, draw_line, new_axes, to_svg

MOST = 12  # tracks that are drawn
SIGMAS = 2.0
_UNKNOWN_DEG = 30.0  # a stated sigma from here on sets no scale: the other axes would be flat lines


def track_charts(paths: Sequence[TrackPath]) -> list[Figure]:
    """Position, rotation and score: three charts for each of the ``MOST`` tracks that were confirmed in the most frames."""
    duration = (0.0, max(float(path.until[-1]) for path in paths))
    return [chart for path in most_confirmed(paths, MOST) for chart in _of_track(path, duration)]


def _of_track(path: TrackPath, duration: tuple[float, float]) -> list[Figure]:
    charts = [
        _pose_chart(path, duration, "position", slice(0, 3), "mm from the median", np.inf),
        _pose_chart(path, duration, "rotation", slice(3, 6), "degrees from the median", _UNKNOWN_DEG),
    ]
    scores = np.array([np.nan if r.score is None or r.state == "lost" else r.score for r in path.records])
    if np.isfinite(scores).any():
        axes = new_axes("seconds", "score", duration, (0.0, 1.0))
        draw_line(axes, path.seconds, scores, 2, 1.2)
        charts.append(Figure(f"{path.name}: score", to_svg(axes, f"Score of {path.name}"), "of the latest detection"))
    return charts


def _pose_chart(
    path: TrackPath, duration: tuple[float, float], title: str, part: slice, unit: str, unknown: float
) -> Figure:
    """``part`` of the deviation from the median pose along each axis, with its band; sigmas of ``unknown`` or more set no scale."""
    tracked = path.states != "lost"
    off, sigma = path.deviation[:, part], path.sigma[:, part]
    typical = np.median(sigma[tracked], axis=0)
    limit = limit_of(off[tracked], SIGMAS * float(typical[typical < unknown].max(initial=0.0)))
    axes = new_axes("seconds", unit, duration, (-limit, limit))
    off = np.where(tracked[:, None], off, np.nan)
    for axis in range(3):
        draw_band(axes, path.seconds, *(off[:, axis] + sign * SIGMAS * sigma[:, axis] for sign in (-1, 1)), axis)
    for axis in range(3):
        draw_line(axes, path.seconds, off[:, axis], axis, 1.2)
    svg = to_svg(axes, f"{title.capitalize()} of {path.name}")
    return Figure(f"{path.name}: {title}", svg, "fixed frame" + count_beyond(off, limit), AXES_KEY)
