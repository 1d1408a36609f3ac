"""The node's choice among frames when it is busy: only the latest_only waits, what it replaces is dropped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def latest_only(
    items: Iterable[tuple[float, T]], clock: Callable[[], float] = time.perf_counter
) -> Iterator[tuple[int, T]]:
    """Play (arrived_s, item) as a worker would meet them who takes as long as the caller takes between two items.

    Yields (how many were dropped before it, item). The time of arrival is the recording's, the time of work ``clock``'s.
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
