"""One thread that works on one item at a time, always the newest."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Worker(Generic[T]):
    """Calls ``work`` with each item that is put, in a thread of its own; an item that was not begun is replaced by the next.

    There is one thread from construction to ``close``, so two calls never overlap.
    """

    def __init__(self, work: Callable[[T], None]) -> None:
        self._work = work
        self._changed = threading.Condition()
        self._waiting: list[T] = []  # none or one
        self._begun_s: float | None = None
        self._held = self._closed = False
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._thread.start()

    def put(self, item: T) -> bool:
        """Leave an item for the thread; True when it replaced another."""
        with self._changed:
            replaced = bool(self._waiting)
            self._waiting = [item]
            self._changed.notify_all()
            return replaced

    def drop(self) -> None:
        """Drop the item that was not begun, if any."""
        with self._changed:
            self._waiting = []

    def busy_s(self) -> float | None:
        """Seconds since the present call began; None while idle."""
        with self._changed:
            return None if self._begun_s is None else time.monotonic() - self._begun_s

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until no call runs and no item waits; False after the timeout."""
        with self._changed:
            return self._changed.wait_for(lambda: self._begun_s is None and not self._waiting, timeout_s)

    def hold(self, timeout_s: float) -> bool:
        """Begin no call until ``release``, and wait until the present one is done; False, and not held, after the timeout.

        Items may be put meanwhile; the newest waits.
        """
        with self._changed:
            self._held = True
            self._held = self._changed.wait_for(lambda: self._begun_s is None, timeout_s)
            self._changed.notify_all()
            return self._held

    def release(self) -> None:
        """Begin calls again."""
        with self._changed:
            self._held = False
            self._changed.notify_all()

    def close(self, timeout_s: float) -> bool:
        """End the thread after its present call; False when that outlasts the timeout."""
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
                self._changed.wait_for(lambda: (self._waiting and not self._held) or self._closed)
                if self._closed:
                    return
                self._begun_s = time.monotonic()
                item = self._waiting.pop()
            self._work(item)
            del item  # else it lives until the next one comes
