"""How long each stage of the chain takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def timed(stage: str, clock: dict[str, float]) -> Iterator[None]:
    """Add the seconds spent inside to ``clock[stage]``."""
    start = time.perf_counter()
    try:
        yield
    finally:
        clock[stage] = clock.get(stage, 0.0) + time.perf_counter() - start
