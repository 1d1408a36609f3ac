"""Which track was in which state when: a timeline with a lane for each track.

The template draws it in HTML and not matplotlib: as wide as the page on any screen, with letters of one size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator

from pose_node.evaluation.figures.tracks import TrackPath, most_confirmed
from pose_node.evaluation.report.svg import ROUND

_MOST = 40  # lanes
_SHORTEST = 0.2  # per cent of the width, so that a single frame can be seen


@dataclass(frozen=True)
class Bar:
    """A time in one state: its tooltip, and where it starts and how long it is in per cent of the width."""

    state: str
    tooltip: str
    left: float
    width: float


@dataclass(frozen=True)
class Timeline:
    """lanes: {track: bars}. ticks: [(seconds, per cent of the width)]."""

    note: str
    lanes: dict[str, list[Bar]]
    ticks: list[tuple[str, float]]


def timeline(paths: Sequence[TrackPath]) -> Timeline:
    """The states of ``paths`` over time; of the tracks confirmed in the most frames where there are many."""
    shown = most_confirmed(paths, _MOST)
    note = "seconds since the first frame of the scene"
    if len(shown) < len(paths):
        note += f"; the {len(shown)} of {len(paths)} tracks that were confirmed in the most frames"
    end_s = max(float(path.until[-1]) for path in shown)
    ticks = [float(s) for s in MaxNLocator(6, steps=ROUND).tick_values(0.0, end_s) if 0.0 <= s <= end_s]
    lanes = {path.name: [_bar(100.0 / end_s, *span) for span in _spans(path)] for path in shown}
    return Timeline(note, lanes, [(f"{s:g}", 100.0 * s / end_s) for s in ticks])


def _spans(path: TrackPath) -> Iterator[tuple[str, float, float]]:
    """(state, from, to in seconds) of each time in one state, without the frames that lack the track."""
    new = (path.states[1:] != path.states[:-1]) | (path.seconds[1:] > path.until[:-1])
    for rows in np.split(np.arange(len(path.states)), np.flatnonzero(new) + 1):
        yield str(path.states[rows[0]]), float(path.seconds[rows[0]]), float(path.until[rows[-1]])


def _bar(per_second: float, state: str, start_s: float, end_s: float) -> Bar:
    left = min(start_s * per_second, 100.0 - _SHORTEST)
    width = max(end_s * per_second - left, _SHORTEST)
    return Bar(state, f"{state}, {start_s:.1f} to {end_s:.1f} s", left, width)
