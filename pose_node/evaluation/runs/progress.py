"""How far a run has come, on one line of the terminal: frames done, frames in all, time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO, TypeVar

Item = TypeVar("Item")
_WIDTH, _EVERY_S = 24, 0.1


def progress(
    items: Iterable[Item], total: int | None, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[Item]:
    """Pass ``items`` on and keep a bar with the time left on ``stream`` (default: stderr), silent where it is no terminal.

    total: how many there will be, None where nobody knows: then no time is foretold.
    """
    stream = stream or sys.stderr
    shown = stream.isatty()
    start = last = clock()
    done = 0
    for item in items:
        yield item
        done += 1
        now = clock()
        if shown and (now - last >= _EVERY_S or done == total):
            last = now
            stream.write(f"\r{bar(done, total, now - start)}\x1b[K")
            stream.flush()
    if shown and done:
        stream.write("\n")


def bar(done: int, total: int | None, seconds: float) -> str:
    """'[######      ] 5/10 frames, 0:12 left'."""
    if total is None or total < 1:
        return f"{done} frames, {_clock(seconds)}"
    full = int(_WIDTH * min(done / total, 1.0))
    left = seconds / max(done, 1) * max(total - done, 0)
    return f"[{'#' * full}{' ' * (_WIDTH - full)}] {done}/{total} frames, {_clock(left)} left"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
