"""Map a function over a stream of items by several processes or a Ray cluster; results come in the order of the items.

Every worker computes with one BLAS thread, and so does this process when it works alone: the number of workers changes no
byte. The number of items under way is bounded, so that memory does not grow with the stream; an executor's own ``map``
reads all items first.
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol, TypeVar

from threadpoolctl import threadpool_limits

from pose_node.errors import InputError, PoseNodeError
from pose_node.evaluation.runs.cluster import Cluster
from pose_node.evaluation.runs.processes import Processes
from pose_node.evaluation.runs.worker import Outcome

Item = TypeVar("Item")
Result = TypeVar("Result")
_AHEAD = 8  # results per worker that may wait for an earlier one


class Pool(Protocol):
    """Workers. ``capacity``: how many items they take at once. ``submit`` and ``outcome`` raise WorkerError."""

    capacity: int

    def submit(self, item: Any) -> Future[Outcome]: ...

    def outcome(self, future: Future[Outcome]) -> Outcome: ...

    def close(self) -> None: ...


@contextmanager
def workers(
    function: Callable[[Item], Result], jobs: int | None = None, ray: str | None = None
) -> Iterator[Callable[[Iterable[Item]], Iterator[Result]]]:
    """``ordered(items)``: the results of ``function`` for items, in their order, from ``jobs`` workers.

    jobs: 1, the default, is this process itself; more are processes of this machine; with ``ray``, actors of the cluster at
    that address, by default one per CPU. ``function`` and items must pickle unless this process works alone.
    Raises InputError for fewer than 1 job, WorkerError for a worker that does not start or is lost, and in ``ordered`` what
    ``function`` raises, after the results before it. No worker outlives the block.
    """
    if jobs is not None and jobs < 1:
        raise InputError(f"--jobs: found {jobs}, expected 1 or more.")
    with threadpool_limits(limits=1):
        if ray is None and jobs in (None, 1):
            yield partial(map, function)
            return
        pickled = pickle.dumps(function)
        pool: Pool = Processes(pickled, jobs or 1) if ray is None else Cluster(pickled, ray, jobs)
        try:
            yield partial(_ordered, pool)
        finally:
            pool.close()


def _ordered(pool: Pool, items: Iterable[Any]) -> Iterator[Any]:
    """Results in the order of items. One item is read ahead of those under way."""
    futures: deque[Future[Outcome]] = deque()
    failed: list[PoseNodeError] = []
    for item in _until_failure(items, failed):
        while True:
            while futures and futures[0].done():
                yield _result(pool.outcome(futures.popleft()))
            under_way = [future for future in futures if not future.done()]
            if len(under_way) < pool.capacity and len(futures) <= _AHEAD * pool.capacity:
                break
            wait(under_way, return_when=FIRST_COMPLETED)
        futures.append(pool.submit(item))
    while futures:
        yield _result(pool.outcome(futures.popleft()))
    for error in failed:
        raise error


def _until_failure(items: Iterable[Item], failed: list[PoseNodeError]) -> Iterator[Item]:
    """The items before the first that cannot be read, whose error goes to ``failed``: those before it are still worked on."""
    try:
        yield from items
    except PoseNodeError as error:
        failed.append(error)


def _result(outcome: Outcome) -> Any:
    if isinstance(outcome.error, PoseNodeError):
        raise outcome.error
    if outcome.error is not None:
        raise outcome.error from RuntimeError(f"in a worker:\n{outcome.trace}")
    return outcome.result
