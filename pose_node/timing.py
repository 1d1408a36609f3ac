"""Time: how long each stage of the chain takes, and when a clock was set."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

CLOCK_SET_NS = 1_000_000_000  # a clock that goes back farther was set, or the recording was restarted; less is disorder


@contextmanager
def timed(stage: str, clock: dict[str, float]) -> Iterator[None]:
    """Add the seconds spent inside to ``clock[stage]``."""
    start = time.perf_counter()
    try:
        yield
    finally:
        clock[stage] = clock.get(stage, 0.0) + time.perf_counter() - start
