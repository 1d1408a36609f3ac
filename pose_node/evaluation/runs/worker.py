"""What runs in a worker process or a Ray actor: it unpickles the function once and applies it to one item after another."""

from __future__ import annotations

import pickle
import traceback
from typing import Any, NamedTuple

from threadpoolctl import threadpool_limits

from pose_node.errors import PoseNodeError


class WorkerError(PoseNodeError, RuntimeError):
    """A worker that cannot be started, or ended before its work was done."""


class Outcome(NamedTuple):
    """The result for one item, or the exception that it ended in with the worker's traceback."""

    result: Any = None
    error: Exception | None = None
    trace: str = ""


class Worker:
    """Applies a pickled function. It is unpickled with the first item, so that a failure is that item's outcome."""

    def __init__(self, pickled: bytes) -> None:
        self._pickled, self._function = pickled, None

    def work(self, item: Any) -> Outcome:
        """The outcome of one item; no exception leaves this method."""
        try:
            if self._function is None:
                self._function, self._pickled = pickle.loads(self._pickled), b""
                threadpool_limits(limits=1)  # after unpickling, which has loaded all libraries
            return Outcome(self._function(item))
        except Exception as error:
            return Outcome(None, error, traceback.format_exc())
