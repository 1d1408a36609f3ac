"""The table of a run's tracks: when each was seen, how often it was lost, its spread and stated uncertainty, and notes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_node.evaluation.figures.tracks import STATES, TrackPath
from pose_node.evaluation.report.page import Cell, Table

_HEAD = [
    "track",
    "seen, s",
    *(f"{state}, frames" for state in STATES),
    "losses",
    "flips",
    "spread",
    "largest deviation",
    "stated 1σ",
    "notes",
]
_MOST_NOTES = 4  # of a track; a longer list would hide the other tracks


def track_table(paths: Sequence[TrackPath]) -> Table:
    """A row for each track."""
    return Table(_HEAD, [_row(path) for path in paths], prose=[len(_HEAD) - 1])


def _row(path: TrackPath) -> list[object]:
    stated_mm, stated_deg = path.stated()
    return [
        path.name,
        _range(path.seen_s, 1),
        *(int((path.states == state).sum()) for state in STATES),
        Cell(len(path.losses), f"found again: {len(path.returns)}" if len(path.losses) else ""),
        path.flips,
        _pose_cell(*path.spread()),
        _pose_cell(*path.farthest()),
        Cell(_unit(_range(stated_mm), "mm"), _unit(_range(stated_deg), "°")),
        Cell(_notes(path), kind="soft"),
    ]


def _pose_cell(mm: float, degrees: float) -> Cell:
    return Cell(_unit(_number(mm), "mm"), _unit(_number(degrees), "°"))


def _notes(path: TrackPath) -> str:
    """Why it was last lost, and the last notes of changes other than motion."""
    losses, notes = path.losses, path.notes
    sentences = []
    if len(losses):
        sentences.append(f"Lost at {path.seconds[losses[-1]]:.1f} s: {path.records[losses[-1]].reason}")
    if len(notes) > _MOST_NOTES:
        sentences.append(f"{len(notes)} notes, the last:")
    sentences += [f"{seconds:.1f} s: {note}." for seconds, note in notes[-_MOST_NOTES:]]
    return " ".join(sentences)


def _number(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else ""


def _range(ends: Sequence[float] | np.ndarray, digits: int = 2) -> str:
    low, high = (_number(float(end), digits) for end in ends)
    return low if low == high else f"{low} to {high}"


def _unit(number: str, unit: str) -> str:
    # A no-break space: the unit stays on the number's line.
    return f"{number}\u00a0{unit}" if number else "–"
