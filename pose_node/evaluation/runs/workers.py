"""Many cores or a cluster on one stream of items: the answers come in the items' order, whoever worked them out.

Whoever works computes with one BLAS thread, this process too when it works alone, so that the number of workers changes no
byte. No more items are under way than there are workers and a few to spare, so that memory does not grow with the stream.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol, TypeVar

from threadpoolctl import threadpool_limits

from pose_node.errors import InputError, PoseNodeError
from pose_node.evaluation.runs.cluster import Cluster
from pose_node.evaluation.runs.processes import Processes
from pose_node.evaluation.runs.worker import Done

Item = TypeVar("Item")
Answer = TypeVar("Answer")
_AHEAD = 8  # answers a place that may wait for an earlier one


class Pool(Protocol):
    """Workers. ``capacity``: how many items they hold at once. What ``submit`` or ``next_done`` raise is a WorkerError."""

    capacity: int

    def submit(self, number: int, item: Any) -> None: ...

    def next_done(self) -> Done: ...

    def close(self) -> None: ...


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
        pool = _pool(pickle.dumps(call), jobs, ray)
        try:
            yield partial(_ordered, pool)
        finally:
            pool.close()


def _pool(packed: bytes, jobs: int | None, ray: str | None) -> Pool:
    if ray is None:
        return Processes(packed, jobs or 1)
    return Cluster(packed, ray, jobs)


def _ordered(pool: Pool, items: Iterable[Any]) -> Iterator[Any]:
    """Gives items while there are places, one read ahead, and holds answers back until those before them are there."""
    waiting: dict[int, Done] = {}
    given = following = 0
    failed: list[PoseNodeError] = []
    for item in _until_failure(items, failed):
        while given - following - len(waiting) >= pool.capacity or len(waiting) > _AHEAD * pool.capacity:
            done = pool.next_done()
            waiting[done.number] = done
            while following in waiting:
                yield _answer(waiting.pop(following))
                following += 1
        pool.submit(given, item)
        given += 1
    while following < given:
        while following not in waiting:
            done = pool.next_done()
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
