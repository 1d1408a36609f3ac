"""Detections in a process of their own, so that following goes on meanwhile.

A process and not a thread: the chain is many short steps in Python, which two threads would only take turns at.

A thread of the parent starts the child, sends it clouds and waits for its answers; what takes far longer than it ever
did is a hang, and the child is killed. A child that ended is started again, later with every failure in a row. The
child ends when its connection does, so it never outlives its parent, however that one ends.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from pose_node.config import PipelineConfig
from pose_node.errors import PoseNodeError, code_of
from pose_node.measurement.cloud import Cloud
from pose_node.types import Masks, Rejected, Result

_NICE = 10  # a detection is late by design; a frame that is followed is not
_LATE = 3.0  # times the longest measured: late; as many times as long again: it hangs
_LEAST_S, _LEAST_LOAD_S = 1.0, 5.0  # a busy machine holds up anything for so long: the least that counts as measured
_KEPT_TIMES = 20
_LONGEST_PAUSE_S = 60.0  # between two starts; a child that lived for so long has recovered
_STARTS = 5  # a child that was not ready in so many starts in a row never will be
_POLL_S = 0.2  # how soon the end of an idle child is noticed
_END_S = 5.0  # a killed process is gone by then


@dataclass(frozen=True)
class Condition:
    """How the detector is.

    doing: loading, ready, detecting, or stopped. problem: a sentence, empty while all is well. failures: since the
    start. hopeless: no further start will help.
    """

    doing: str
    problem: str
    failures: int
    hopeless: bool


class DetectorProcess:
    """One detection at a time in a child process, which loads the objects once. Used by one thread; ``condition`` by any.

    load_s: seconds that the parent took to load the same objects.
    """

    def __init__(self, folders: Sequence[str | Path], config: PipelineConfig, load_s: float) -> None:
        self._folders, self._config = [str(folder) for folder in folders], config
        self._load_s = max(load_s, _LEAST_LOAD_S)
        self._changed = threading.Condition()  # guards all below
        self._times_s: deque[float] = deque([_LEAST_S], maxlen=_KEPT_TIMES)
        self._request: tuple[Any, ...] | None = None
        self._awaited: tuple[Any, ...] | None = None  # the request begun last, until it is answered
        self._result: Result | None = None
        self._task: _Task | None = None
        self._doing, self._problem = "loading", ""
        self._failures = self._in_a_row = self._not_ready = self._hung = 0
        self._closing = False
        self._child: _Child | None = None
        self._thread = threading.Thread(target=self._supervise, name="detector", daemon=True)
        self._thread.start()

    def begin(self, cloud: Cloud, masks: Masks | None, objects: Collection[str] | None) -> None:
        """Begin a detection; the result of the one before is dropped. While the child is down it is refused."""
        with self._changed:
            self._result = self._awaited = self._request = None
            if self._doing == "stopped":
                self._result = _refused("detector_down", self._problem)
                return
            self._awaited = self._request = (self._config, cloud, masks, objects)
            self._changed.notify_all()

    def take(self) -> Result | None:
        """The result of the one begun last, or None while it runs. What went wrong in the child is a refusal."""
        with self._changed:
            result, self._result = self._result, None
            return result

    def retune(self, config: PipelineConfig) -> None:
        """Let the detections begun from now on hold to these settings."""
        self._config = config

    def measured(self, seconds: float) -> None:
        """A detection in the parent, where they are made while nothing is tracked, took so long."""
        with self._changed:
            self._times_s.append(max(seconds, _LEAST_S))

    def condition(self) -> Condition:
        """How the child is now."""
        with self._changed:
            problem, task = self._problem, self._task
            if task is not None and time.monotonic() - task.since_s > task.late_s:
                problem = f"{task.overdue()}; the process is killed after {task.hung_s:.0f} s."
            return Condition(self._doing, problem, self._failures, self._not_ready >= _STARTS)

    def close(self) -> None:
        """End the child, whatever it does."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            if self._child is not None:
                self._child.kill()
        self._thread.join(2 * _END_S)

    # The thread that keeps a child ------------------------------------------------------------------------------------

    def _supervise(self) -> None:
        # Ctrl-C in a terminal reaches the child, too, which inherits what this thread blocks: the parent answers it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        while not self._closing:
            try:
                with _Child() as child:
                    self._keep(child)
            except _EndedError as ended:
                self._failed(ended)
            except Exception as error:  # no child is better than nobody who keeps one
                self._failed(_EndedError("internal", f"detector: {type(error).__name__}: {error}", "loading"))

    def _keep(self, child: _Child) -> None:
        """Give the child work until closing. Raises _EndedError when it ends before."""
        with self._changed:
            self._child = child
            if self._closing:
                return
        with self._timed(child, "loading", self._load_s):
            child.ask((self._folders, self._config))
        with self._changed:
            self._not_ready = 0
        ready_s = time.monotonic()
        while (request := self._next(child, ready_s)) is not None:
            with self._timed(child, "detecting", max(self._times_s)) as task:
                result = child.ask(request)
            with self._changed:
                self._times_s.append(max(time.monotonic() - task.since_s, _LEAST_S))
                self._problem, self._in_a_row, self._hung = "", 0, 0
                if request is self._awaited:
                    self._result, self._awaited = result, None

    @contextmanager
    def _timed(self, child: _Child, doing: str, longest_s: float) -> Iterator[_Task]:
        """Within, the child works, and is killed when it hangs: raises _EndedError, as when it ends by itself."""
        task = _Task(doing, time.monotonic(), longest_s, 2**self._hung)  # after each hang it gets twice the time
        hung = threading.Event()

        def give_up() -> None:
            hung.set()
            child.kill()

        timer = threading.Timer(task.hung_s, give_up)
        timer.daemon = True
        timer.start()
        with self._changed:
            self._task, self._doing = task, doing
        try:
            yield task
        except _EndedError as ended:
            if hung.is_set():
                raise _EndedError("detector_hung", f"{task.overdue()}; it was killed", doing) from ended
            raise _EndedError(ended.code, str(ended), doing) from ended
        finally:
            timer.cancel()
            with self._changed:
                self._task, self._doing = None, "ready"

    def _next(self, child: _Child, ready_s: float) -> tuple[Any, ...] | None:
        """The next request; None on closing. Raises _EndedError when the child ends meanwhile."""
        with self._changed:
            while not self._closing:
                if self._request is not None:
                    request, self._request = self._request, None
                    return request
                if child.has_ended():
                    raise child.ended("waiting")
                if time.monotonic() - ready_s > _LONGEST_PAUSE_S:
                    self._problem, self._in_a_row = "", 0
                self._changed.wait(_POLL_S)
        return None

    def _failed(self, ended: _EndedError) -> None:
        """Say so, and wait before the next start."""
        with self._changed:
            self._child = None
            if self._closing:
                return
            self._failures += 1
            self._in_a_row += 1
            self._not_ready += ended.doing == "loading"
            self._hung += ended.code == "detector_hung"
            times = f", for the {self._in_a_row}. time in a row" if self._in_a_row > 1 else ""
            pause_s = min(_LONGEST_PAUSE_S, 2.0 ** (self._in_a_row - 2)) if self._in_a_row > 1 else 0.0
            then = f"started again after {pause_s:.0f} s"
            if self._not_ready >= _STARTS:
                pause_s, then = float("inf"), "not started again"
            self._problem = f"{ended}{times}; {then}."
            self._doing, self._request = "stopped", None
            if self._awaited is not None:
                self._result, self._awaited = _refused(ended.code, self._problem), None
            start_s = time.monotonic() + pause_s
            while not self._closing and (left_s := start_s - time.monotonic()) > 0:
                self._changed.wait(min(left_s, _LONGEST_PAUSE_S))
            self._doing = "loading"


@dataclass(frozen=True)
class _Task:
    """What the child does, since when, and how long it took at most before."""

    doing: str
    since_s: float
    longest_s: float
    patience: int

    @property
    def late_s(self) -> float:
        return _LATE * self.longest_s

    @property
    def hung_s(self) -> float:
        return _LATE * self.late_s * self.patience

    def overdue(self) -> str:
        seconds = time.monotonic() - self.since_s
        return f"detector: {self.doing} for {seconds:.0f} s, expected an answer within {self.late_s:.0f} s"


class _EndedError(Exception):
    """The child is gone, or of no use. doing: what it did."""

    def __init__(self, code: str, sentence: str, doing: str) -> None:
        super().__init__(sentence)
        self.code, self.doing = code, doing


class _Child:
    """A process that runs ``serve``, and the parent's end of the connection to it."""

    def __init__(self) -> None:
        ours, its = socket.socketpair()
        # A fresh interpreter: a fork would cut the threads of DDS in half, and multiprocessing's spawn imports rclpy.
        code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve({its.fileno()}, {os.getpid()})"
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code], stdin=subprocess.DEVNULL, pass_fds=[its.fileno()], start_new_session=True
            )
        self._connection = Connection(ours.detach())

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._connection.close()
        self._process.wait(_END_S)

    def ask(self, contents: Any) -> Any:
        """Send and wait for the answer. Raises _EndedError when the process ends instead, or says that it cannot go on."""
        try:
            self._connection.send(contents)
            answer, sentence = self._connection.recv()
        except (OSError, EOFError):
            raise self.ended("at work") from None
        if sentence:
            raise _EndedError("detector_failed", f"detector: {sentence}", "at work")
        return answer

    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def ended(self, doing: str) -> _EndedError:
        """How the process ended, in words."""
        try:  # its connection ended, so it is about to be gone
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self._process.wait(_END_S)
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return _EndedError("detector_died", f"detector: its process ended with {how} while {doing}", doing)

    def kill(self) -> None:
        """End the process at once, a stopped one, too: it holds nothing that is worth a farewell."""
        self._process.kill()


def _refused(code: str, sentence: str) -> Result:
    return Result((), (Rejected(code, sentence),))


# The child --------------------------------------------------------------------------------------------------------------


def serve(descriptor: int, parent: int) -> None:
    """Load what the first message names, and answer each further one with a Result, until the connection ends.

    descriptor: of the connection's socket. parent: id of the process at its other end.
    """
    _end_with(parent)
    connection = Connection(descriptor)
    requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, requests), daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(_NICE)
    folders, config = requests.get()
    try:
        from pose_node.pipeline import Pipeline

        pipeline = Pipeline.load(folders, config)
    except Exception as error:
        connection.send((None, str(error) if isinstance(error, PoseNodeError) else f"{type(error).__name__}: {error}"))
        return
    threadpool_limits(config.infer.threads)  # the other cores are busy following
    connection.send((None, ""))
    while True:
        answer = _detect(pipeline, *requests.get())
        try:
            connection.send((answer, ""))
        except OSError:  # the parent is gone
            return


def _end_with(parent: int) -> None:
    """Let the kernel end this process with its parent, where it can: a stopped process hears of no connection."""
    if sys.platform == "linux":
        import ctypes

        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        os._exit(1)


def _listen(connection: Connection, requests: queue.SimpleQueue[Any]) -> None:
    """Take requests, and end the process with the connection, in the middle of a detection, too."""
    try:
        while True:
            requests.put(connection.recv())
    except (EOFError, OSError):
        os._exit(0)


def _detect(
    pipeline: Any, config: PipelineConfig, cloud: Cloud, masks: Masks | None, objects: Collection[str] | None
) -> Result:
    try:
        pipeline.retune(config)
        result: Result = pipeline.estimate(cloud, masks=masks, objects=objects)
    except PoseNodeError as error:
        return _refused(code_of(error), f"detection: {error}")
    except Exception as error:  # whatever it was, the tracks go on
        return _refused("internal", f"detection: {type(error).__name__}: {error}")
    # What the chain saw on the way is large and of no use to the parent.
    return Result(result.estimates, result.rejected, stage_s=dict(result.stage_s))
