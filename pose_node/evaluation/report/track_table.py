"""The table of a run's tracks: when each was seen, how often it was lost, how steady it is and says it is, and what was told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_node.evaluation.figures.tracks import STATES, TrackPath
from pose_node.evaluation.report import page

_HEAD = [
    "track",
    "seen, s",
    *(f"{state}, frames" for state in STATES),
    "lost, times",
    "flips, farthest",
    "spread",
    "stated 1σ",
    "told",
]
_MOST_NOTES = 4  # of a track; a longer list would push the others out of sight


def track_table(paths: Sequence[TrackPath]) -> str:
    """A row for each track."""
    return page.table(_HEAD, map(_row, paths), words=[len(_HEAD) - 1])


def _row(path: TrackPath) -> list[str]:
    (place_mm, turn_deg), (stated_mm, stated_deg) = path.spread(), path.stated()
    farthest = ", ".join(f"{_unit(_number(v), u)}" for v, u in zip(path.farthest(), ("mm", "°")) if np.isfinite(v))
    return [
        page.text(path.name),
        page.text(_range(path.seen_s, 1)),
        *(page.text(int((path.states == state).sum())) for state in STATES),
        page.text(len(path.losses), f"found again: {len(path.returns)}" if len(path.losses) else ""),
        page.text(path.flips, farthest),
        page.text(_unit(_number(place_mm), "mm"), _unit(_number(turn_deg), "°")),
        page.text(_unit(_range(stated_mm), "mm"), _unit(_range(stated_deg), "°")),
        page.text(_told(path), kind="soft"),
    ]


def _told(path: TrackPath) -> str:
    """Why it was last lost, and what changed beyond motion, the last of these where there are many."""
    losses, notes = path.losses, path.notes
    told = []
    if len(losses):
        told.append(f"Lost at {path.seconds[losses[-1]]:.1f} s: {path.records[losses[-1]].reason}")
    if len(notes) > _MOST_NOTES:
        told.append(f"{len(notes)} notes, the last:")
    told += [f"{seconds:.1f} s: {note}." for seconds, note in notes[-_MOST_NOTES:]]
    return " ".join(told)


def _number(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else ""


def _range(ends: Sequence[float] | np.ndarray, digits: int = 2) -> str:
    low, high = (_number(float(end), digits) for end in ends)
    return low if low == high else f"{low} to {high}"


def _unit(number: str, unit: str) -> str:
    # A space that does not break: a unit alone on a line is no figure's.
    return f"{number}\u00a0{unit}" if number else "–"
