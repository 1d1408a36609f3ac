"""Stage times, and the tolerance for stamps that go back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

CLOCK_SET_NS = (
    1_000_000_000  # stamps that go back further mean a clock that was set, or a restarted recording; less is disorder
)


@contextmanager
def timed(stage: str, clock: dict[str, float]) -> Iterator[None]:
    """Add the seconds spent inside to ``clock[stage]``."""
    start = time.perf_counter()
    try:
        yield
    finally:
        clock[stage] = clock.get(stage, 0.0) + time.perf_counter() - start
