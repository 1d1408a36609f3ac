"""The frames that the node processes when it is slower than the sensor: only the latest one waits, the others are dropped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def latest_only(
    items: Iterable[tuple[float, T]], clock: Callable[[], float] = time.perf_counter
) -> Iterator[tuple[int, T]]:
    """Replay (arrived_s, item) for a worker that takes as long as the caller takes between two items.

    Yields (number of items dropped before it, item). Arrival is measured by the recording's time, work by ``clock``.
    """
    source = iter(items)
    following = next(source, None)
    now_s = float("-inf")
    while following is not None:
        (arrived_s, item), dropped = following, 0
        now_s = max(now_s, arrived_s)
        following = next(source, None)
        while following is not None and following[0] <= now_s:
            item, dropped = following[1], dropped + 1
            following = next(source, None)
        started_s = clock()
        yield dropped, item
        now_s += clock() - started_s
