"""Workers that are processes of this machine: a ``ProcessPoolExecutor`` whose processes end with this one.

What it does not do itself: Ctrl-C reaches this process alone, and a process that is killed takes its workers with it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from threading import Thread
from typing import Any

from pose_node.evaluation.runs.worker import Outcome, Worker, WorkerError


class Processes:
    """A ``Pool`` of ``jobs`` processes with one item at a time each."""

    def __init__(self, pickled: bytes, jobs: int) -> None:
        self.capacity = jobs
        context = multiprocessing.get_context("spawn")
        self._executor = ProcessPoolExecutor(jobs, context, _start, (pickled,))

    def submit(self, item: Any) -> Future[Outcome]:
        try:
            with _sigint_blocked():  # the executor starts its processes here, as they are needed
                return self._executor.submit(_work, item)
        except OSError as error:
            raise WorkerError(f"--jobs {self.capacity}: found {error.strerror}, expected to start a process.") from None
        except BrokenProcessPool:
            raise self._lost() from None

    def outcome(self, future: Future[Outcome]) -> Outcome:
        try:
            return future.result()
        except BrokenProcessPool:
            raise self._lost() from None

    def close(self) -> None:
        """Wait for the items under way, and end the processes."""
        self._executor.shutdown(cancel_futures=True)

    def _lost(self) -> WorkerError:
        return WorkerError(
            f"--jobs {self.capacity}: a worker process ended abruptly, expected it to finish "
            "(is there enough memory for so many?)."
        )


_worker: Worker  # of a worker process


def _start(pickled: bytes) -> None:
    global _worker
    _worker = Worker(pickled)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """The executor's processes hold both ends of its pipes, so that the parent's death alone would not end them."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(item: Any) -> Outcome:
    return _worker.work(item)


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Processes started inside inherit that SIGINT is blocked. This process gets it afterwards."""
    resource_tracker.ensure_running()  # started by the first process, it would unblock SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
