"""One worker of an evaluation: it unpacks the call once and answers item after item."""

from __future__ import annotations

import pickle
import traceback
from typing import Any, NamedTuple

from threadpoolctl import threadpool_limits

from pose_node.errors import PoseNodeError


class WorkerError(PoseNodeError, RuntimeError):
    """A worker that cannot be started, or ended before its work was done."""


class Done(NamedTuple):
    """What came of an item: its number, the answer, or the error that it ended in with the worker's own traceback."""

    number: int
    answer: Any = None
    error: Exception | None = None
    trace: str = ""


class Worker:
    """What stands at the other end: it gets the pickled call and unpacks it when the first item comes."""

    def __init__(self, packed: bytes) -> None:
        self._packed, self._call = packed, None

    def work(self, number: int, item: Any) -> Done:
        """The answer to one item; an error is an answer, too."""
        try:
            if self._call is None:
                self._call, self._packed = pickle.loads(self._packed), b""
                threadpool_limits(limits=1)  # after unpacking, which has loaded all libraries
            return Done(number, self._call(item))
        except Exception as error:
            return Done(number, None, error, traceback.format_exc())
