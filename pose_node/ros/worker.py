"""One thread that works on one thing at a time, the newest that it was given."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Worker(Generic[T]):
    """Calls ``work`` with what is put, in a thread of its own. What is put replaces what was not begun.

    One thread for as long as it lives, so that two calls never overlap, whatever became obsolete meanwhile.
    """

    def __init__(self, work: Callable[[T], None]) -> None:
        self._work = work
        self._changed = threading.Condition()
        self._waiting: list[T] = []  # none or one
        self._begun_s: float | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._thread.start()

    def put(self, item: T) -> bool:
        """Leave ``item``; True when it replaced another."""
        with self._changed:
            replaced = bool(self._waiting)
            self._waiting = [item]
            self._changed.notify_all()
            return replaced

    def drop(self) -> None:
        """What was not begun is no longer wanted."""
        with self._changed:
            self._waiting = []

    def busy_s(self) -> float | None:
        """For how long it has worked on what it works on; None while it is idle."""
        with self._changed:
            return None if self._begun_s is None else time.monotonic() - self._begun_s

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until nothing is worked on; whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: self._begun_s is None and not self._waiting, timeout_s)

    def close(self, timeout_s: float) -> bool:
        """End the thread after what it works on; whether it ended in time."""
        with self._changed:
            self._closed, self._waiting = True, []
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._begun_s = None
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                self._begun_s = time.monotonic()
                item = self._waiting.pop()
            self._work(item)
            del item  # what waits for the next one must not keep the last one alive
