"""The tables of a report: figures of all, each object and each scene; seconds by stage; refusals by reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pose_node.evaluation.figures.intervals import mean_interval, resampling_units, statistic_interval
from pose_node.evaluation.records import FrameRecord, refusals
from pose_node.evaluation.report import page, wording


def all_figures(figures: Mapping[str, Mapping[str, Any]], explained: Callable[[str], str]) -> str:
    """Every figure of ``summary.json`` on a line of its own, with what it means."""
    rows = [
        [
            page.text(wording.wording(key).title),
            page.text(
                f"{wording.value(key, figure)} {wording.wording(key).unit}".strip(), wording.interval(key, figure)
            ),
            page.text(explained(key), kind="soft"),
        ]
        for key, figure in figures.items()
    ]
    return footed(page.table(["figure", "value [95 % interval]", "what it is"], rows, words=[2]))


def footed(table: str) -> str:
    """A table, and below it why some of its figures have no interval."""
    why = wording.footnote(table)
    return table + (page.paragraph(why, "soft") if why else "")


def figures_by(what: str, entries: Mapping[str, Mapping[str, Any]]) -> str:
    """A row for each object or scene, a column for each of the chief figures, each with its interval."""
    keys = wording.chief_keys([entry["figures"] for entry in entries.values()])
    labelled = any(entry["labels"] for entry in entries.values())
    rows = []
    for name, entry in entries.items():
        figures = [entry["figures"].get(key) for key in keys]
        cells = [page.text(wording.value(k, f), wording.interval(k, f)) for k, f in zip(keys, figures)]
        labels = [page.text(entry["labels"])] if labelled else []
        rows.append([page.text(name), *labels, *cells])
    return footed(page.table([what, *(["labels"] if labelled else []), *map(wording.heading, keys)], rows))


def seconds_by_stage(frames: Sequence[FrameRecord]) -> str:
    """Median with its interval, 95th percentile and largest of each stage and of the whole, in milliseconds."""
    if not frames:
        return ""
    stages = list(dict.fromkeys(stage for frame in frames for stage in frame.stage_s))
    columns = {stage: np.array([frame.stage_s.get(stage, 0.0) for frame in frames]) for stage in stages}
    columns["whole frame"] = np.array([frame.time_s for frame in frames])
    clusters = resampling_units([frame.scene for frame in frames])
    longest = max(float(np.quantile(values, 0.95)) for values in columns.values())
    rows = []
    for stage, values in columns.items():
        median, p95, largest = (1000.0 * q for q in np.quantile(values, (0.5, 0.95, 1.0)))
        low, high = (1000.0 * v for v in statistic_interval(values, clusters, lambda v: float(np.median(v))))
        rows.append(
            [
                page.text(stage),
                page.text(f"{median:.1f}", wording.bracket(low, high, 1)),
                page.text(f"{p95:.1f}"),
                page.text(f"{largest:.1f}"),
                page.bar(median / 1000.0 / longest if longest else 0.0),
            ]
        )
    return footed(page.table(["stage", "median, ms", "95 % of frames, ms", "largest, ms", "median"], rows, words=[4]))


def refused(frames: Sequence[FrameRecord]) -> str:
    """How often each reason was given, how many a frame with its interval, and the first sentence of it."""
    found = refusals(frames)
    clusters, rows = resampling_units([frame.scene for frame in frames]), []
    for refusal in found:
        each = np.array([frame.rejected.get(refusal.code, 0) for frame in frames], float)
        low, high = (float(v) for v in mean_interval(each, clusters))
        rows.append(
            [
                page.text(refusal.code),
                page.text(refusal.count),
                page.text(f"{each.mean():.2f}", wording.bracket(low, high, 2)),
                page.text(refusal.reason, kind="soft"),
            ]
        )
    return footed(page.table(["reason", "refused", "a frame", "the first time"], rows, words=[3]))
