"""Many cores or a cluster on one stream of items: the answers come in the items' order, whoever worked them out.

Whoever works computes with one BLAS thread, this process too when it works alone, so that the number of workers changes no
byte. No more items are under way than there are workers and a few to spare, so that memory does not grow with the stream.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from threadpoolctl import threadpool_limits

from pose_node.errors import InputError, PoseNodeError

Item = TypeVar("Item")
Answer = TypeVar("Answer")
_AHEAD = 8  # answers a place that may wait for an earlier one


class WorkerError(PoseNodeError, RuntimeError):
    """A worker that cannot be started, or ended before its work was done."""


class Done(NamedTuple):
    """What came of an item: its number, the answer, or the error that it ended in with the worker's own traceback."""

    number: int
    answer: Any = None
    error: Exception | None = None
    trace: str = ""


class Crew(Protocol):
    """Workers. ``places``: how many items they hold at once. What ``give`` or ``take`` raise is a WorkerError."""

    places: int

    def give(self, number: int, item: Any) -> None: ...

    def take(self) -> Done: ...

    def close(self) -> None: ...


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


@contextmanager
def workers(
    call: Callable[[Item], Answer], jobs: int | None = None, ray: str | None = None
) -> Iterator[Callable[[Iterable[Item]], Iterator[Answer]]]:
    """``ordered(items)``: the answers of ``call`` to items, in their order, from ``jobs`` workers.

    jobs: 1, the default, is this process itself; more are processes of this machine; with ``ray``, actors of the cluster at
    that address, one a CPU where ``jobs`` does not say. ``call`` and items must pickle unless this process works alone.
    Raises InputError for a number of jobs below 1, WorkerError for a worker that does not start or is lost, and in
    ``ordered`` what ``call`` raises, when the answers before it are given. No worker outlives the block.
    """
    if jobs is not None and jobs < 1:
        raise InputError(f"--jobs: found {jobs}, expected 1 or more.")
    with threadpool_limits(limits=1):
        if ray is None and jobs in (None, 1):
            yield partial(map, call)
            return
        crew = _crew(pickle.dumps(call), jobs, ray)
        try:
            yield partial(_ordered, crew)
        finally:
            crew.close()


def _crew(packed: bytes, jobs: int | None, ray: str | None) -> Crew:
    if ray is None:
        from pose_node.evaluation.processes import Processes

        return Processes(packed, jobs or 1)
    from pose_node.evaluation.cluster import Cluster

    return Cluster(packed, ray, jobs)


def _ordered(crew: Crew, items: Iterable[Any]) -> Iterator[Any]:
    """Gives items while there are places, one read ahead, and holds answers back until those before them are there."""
    waiting: dict[int, Done] = {}
    given = following = 0
    failed: list[PoseNodeError] = []
    for item in _until_failure(items, failed):
        while given - following - len(waiting) >= crew.places or len(waiting) > _AHEAD * crew.places:
            done = crew.take()
            waiting[done.number] = done
            while following in waiting:
                yield _answer(waiting.pop(following))
                following += 1
        crew.give(given, item)
        given += 1
    while following < given:
        while following not in waiting:
            done = crew.take()
            waiting[done.number] = done
        yield _answer(waiting.pop(following))
        following += 1
    for error in failed:
        raise error


def _until_failure(items: Iterable[Item], failed: list[PoseNodeError]) -> Iterator[Item]:
    """Items as long as they can be read, so that those read before an error are worked out and kept."""
    try:
        yield from items
    except PoseNodeError as error:
        failed.append(error)


def _answer(done: Done) -> Any:
    if isinstance(done.error, PoseNodeError):
        raise done.error
    if done.error is not None:
        raise done.error from RuntimeError(f"in a worker:\n{done.trace}")
    return done.answer
