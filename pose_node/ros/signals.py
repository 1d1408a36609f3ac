"""How SIGINT and SIGTERM end the node: between two callbacks, or inside what takes long and is interruptible."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class StoppedError(BaseException):
    """The process was asked to end while the node was busy. Not an Exception, so that no handler takes it for a fault."""


class StopSignals:
    """Handles SIGINT and SIGTERM from now on: ``received`` for loops that look, StoppedError for code that cannot."""

    def __init__(self) -> None:
        self.received = False
        self._raises = False
        # Also for a node started in the background, whose shell had SIGINT ignored.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, *_: object) -> None:
        self.received = True
        if self._raises:
            self._raises = False
            raise StoppedError

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Within this block, and only here, a signal raises StoppedError; so does one that came before."""
        self._raises = True
        try:
            if self.received:
                raise StoppedError
            yield
        finally:
            self._raises = False
