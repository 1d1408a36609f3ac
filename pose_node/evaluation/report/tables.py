"""The tables of a report: figures of all, each object and each scene; seconds by stage; refusals by reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pose_node.evaluation.figures.intervals import mean_interval, resampling_units, statistic_interval
from pose_node.evaluation.records import FrameRecord, refusals
from pose_node.evaluation.report.formatting import bracket, column_title, format_of, interval, overview_keys, value
from pose_node.evaluation.report.page import Cell, Table


def all_figures(figures: Mapping[str, Mapping[str, Any]], explanation: Callable[[str], str]) -> Table:
    """A row for each figure of ``summary.json``, with its explanation."""
    rows = [
        [
            format_of(key).title,
            Cell(value(key, figure, unit=True), interval(key, figure)),
            Cell(explanation(key), kind="soft"),
        ]
        for key, figure in figures.items()
    ]
    return Table(["figure", "value [95 % interval]", "explanation"], rows, prose=[2])


def figures_by(what: str, entries: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row for each object or scene, a column for each figure of ``overview_keys``, with its interval."""
    keys = overview_keys([entry["figures"] for entry in entries.values()])
    labelled = any(entry["labels"] for entry in entries.values())
    rows = []
    for name, entry in entries.items():
        figures = [(key, entry["figures"].get(key)) for key in keys]
        labels = [entry["labels"]] if labelled else []
        rows.append([name, *labels, *(Cell(value(*figure), interval(*figure)) for figure in figures)])
    return Table([what, *(["labels"] if labelled else []), *map(column_title, keys)], rows)


def seconds_by_stage(frames: Sequence[FrameRecord]) -> Table:
    """Median with its interval, 95th percentile and maximum of each stage and of the whole frame, in milliseconds."""
    stages = list(dict.fromkeys(stage for frame in frames for stage in frame.stage_s))
    seconds = {stage: np.array([frame.stage_s.get(stage, 0.0) for frame in frames]) for stage in stages}
    if frames:
        seconds["whole frame"] = np.array([frame.time_s for frame in frames])
    clusters = resampling_units([frame.scene for frame in frames])
    longest_ms = max((1000.0 * float(np.quantile(values, 0.95)) for values in seconds.values()), default=0.0)
    rows = []
    for stage, values in seconds.items():
        median, p95, maximum = (1000.0 * q for q in np.quantile(values, (0.5, 0.95, 1.0)))
        low, high = (1000.0 * v for v in statistic_interval(values, clusters, lambda v: float(np.median(v))))
        bar = Cell(share=min(median / longest_ms, 1.0) if longest_ms else 0.0)
        rows.append([stage, Cell(f"{median:.1f}", bracket(low, high, 1)), f"{p95:.1f}", f"{maximum:.1f}", bar])
    return Table(["stage", "median, ms", "95th percentile, ms", "maximum, ms", "median"], rows, prose=[4])


def refused(frames: Sequence[FrameRecord]) -> Table:
    """How often each reason was given, how often per frame with the interval, and its first message."""
    clusters, rows = resampling_units([frame.scene for frame in frames]), []
    for refusal in refusals(frames):
        each = np.array([frame.rejected.get(refusal.code, 0) for frame in frames], float)
        low, high = (float(v) for v in mean_interval(each, clusters))
        per_frame = Cell(f"{each.mean():.2f}", bracket(low, high, 2))
        rows.append([refusal.code, refusal.count, per_frame, Cell(refusal.reason, kind="soft")])
    return Table(["reason", "count", "per frame", "first message"], rows, prose=[3])
