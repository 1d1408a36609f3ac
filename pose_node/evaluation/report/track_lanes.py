"""Which track was in which state when: a time line with a lane for each track.

Unlike the other charts it is as wide as the page: places along time are shares of its width, so that letters keep their size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from pose_node.evaluation.figures.tracks import STATES, TrackPath, most_confirmed
from pose_node.evaluation.report import page
from pose_node.evaluation.report.svg import Scale, number

_MOST = 40  # lanes
_LANE, _NAME, _BAR, _AXIS = 34, 13, 12, 22  # heights in pixels: of a lane, of its name and its bar, of the axis below
_LEAST = 0.2  # per cent of the width: a single frame can still be seen


def time_line(paths: Sequence[TrackPath]) -> str:
    """The lanes of ``paths`` as one figure; of the ones confirmed most where there are many."""
    shown = most_confirmed(paths, _MOST)
    note = "seconds since the first frame of the scene"
    if len(shown) < len(paths):
        note += f"; the {len(shown)} of {len(paths)} tracks that were confirmed in the most frames"
    time = Scale(0.0, max(float(path.until[-1]) for path in shown))
    bottom = _LANE * len(shown)
    parts = [f'<svg style="height:{bottom + _AXIS}px" role="img" aria-label="State of each track over time">']
    for tick in time.ticks():
        at = _percent(time, tick)
        # The numbers at the ends would stick out if they stood centred under their ticks.
        anchor = "start" if at < 3.0 else "end" if at > 97.0 else "middle"
        parts.append(f'<line class="rule" x1="{at:.2f}%" x2="{at:.2f}%" y1="0" y2="{bottom}"/>')
        parts.append(f'<text x="{at:.2f}%" y="{bottom + 15}" text-anchor="{anchor}">{number(tick)}</text>')
    for lane, path in enumerate(shown):
        parts.append(f'<text x="0" y="{lane * _LANE + _NAME}">{escape(path.name)}</text>')
        parts += [_bar(time, lane, *span) for span in _spans(path)]
    key = {state: state for state in STATES}
    return page.figure("States over time", "".join([*parts, "</svg>"]), note, key)


def _spans(path: TrackPath) -> Iterator[tuple[str, float, float]]:
    """(state, from, to in seconds) of each time in one state, without the frames that do not hold the track."""
    new = (path.states[1:] != path.states[:-1]) | (path.seconds[1:] > path.until[:-1])
    for rows in np.split(np.arange(len(path.states)), np.flatnonzero(new) + 1):
        yield str(path.states[rows[0]]), float(path.seconds[rows[0]]), float(path.until[rows[-1]])


def _bar(time: Scale, lane: int, state: str, start_s: float, end_s: float) -> str:
    left = min(_percent(time, start_s), 100.0 - _LEAST)
    wide = max(_percent(time, end_s) - left, _LEAST)
    # A state is told by its height and its filling, too, not by colour alone.
    high = _BAR // 2 if state == "tentative" else _BAR
    top = lane * _LANE + _NAME + 4 + (_BAR - high)
    title = f"<title>{state}, {start_s:.1f} to {end_s:.1f} s</title>"
    return f'<rect class="{state}" x="{left:.2f}%" y="{top}" width="{wide:.2f}%" height="{high}">{title}</rect>'


def _percent(time: Scale, second: float) -> float:
    return 100.0 * float(time.unit(second))
