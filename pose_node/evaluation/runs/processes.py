"""Workers that are processes of this machine, each a fresh interpreter at its own end of a pipe.

When this process ends, however it ends, the pipes close and the workers with them. Ctrl-C is this process's affair alone.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from pose_node.evaluation.runs.worker import Done, Worker, WorkerError


class Processes:
    """A ``Pool`` of ``jobs`` processes that get one item at a time."""

    def __init__(self, packed: bytes, jobs: int) -> None:
        self.capacity = jobs
        self._processes: dict[Connection, Any] = {}
        self._idle: deque[Connection] = deque()
        self._busy: set[Connection] = set()
        context = multiprocessing.get_context("spawn")
        try:
            with _interrupts_held():
                for _ in range(jobs):
                    link, their_link = context.Pipe()
                    process = context.Process(target=_serve, args=(their_link,), daemon=True)
                    process.start()
                    their_link.close()
                    self._processes[link] = process
                    self._idle.append(link)
            for link in self._idle:
                self._send(link, packed)
        except OSError as error:
            self.close()
            raise WorkerError(f"--jobs {jobs}: found {error.strerror}, expected to start as many processes.") from None
        except BaseException:
            self.close()
            raise

    def submit(self, number: int, item: Any) -> None:
        link = self._idle.popleft()
        self._busy.add(link)
        self._send(link, (number, item))

    def next_done(self) -> Done:
        link: Any = wait(list(self._busy))[0]
        try:
            done: Done = link.recv()
        except (EOFError, OSError):
            raise self._lost(link) from None
        self._busy.remove(link)
        self._idle.append(link)
        return done

    def close(self) -> None:
        for link, process in self._processes.items():
            link.close()
            process.terminate()
        for process in self._processes.values():
            process.join()

    def _send(self, link: Connection, what: Any) -> None:
        try:
            link.send(what)
        except OSError:
            raise self._lost(link) from None

    def _lost(self, link: Connection) -> WorkerError:
        process = self._processes[link]
        process.join(1.0)
        code = process.exitcode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return WorkerError(
            f"--jobs {self.capacity}: found a worker ended by {how} before its work was done, expected it to go on "
            "(is there memory enough for so many?)."
        )


def _serve(link: Connection) -> None:
    """A worker's life: the call, then items, until the other end is gone."""
    try:
        worker = Worker(link.recv())
        while True:
            link.send(worker.work(*link.recv()))
    except (EOFError, OSError):
        pass


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Processes started inside never see SIGINT: they inherit that it is blocked. Here it comes afterwards."""
    resource_tracker.ensure_running()  # started by the first process, it would let SIGINT through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
