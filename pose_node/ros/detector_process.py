"""Detections in a process of their own, while the node's own follows the objects.

A process and not a thread: the chain is many short steps in Python, which two threads would only take turns at.

A thread of the parent starts the child, sends it clouds and waits for its answers. A request that takes far longer than
any before it counts as a hang, and the child is killed. A child that ended is started again, with a pause that grows with
each failure in a row. The child ends with its connection, so it never outlives its parent, however that one ends.
"""

from __future__ import annotations

import os
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

from pose_node.config import PipelineConfig
from pose_node.errors import ModelError
from pose_node.measurement.cloud import Cloud
from pose_node.types import Masks, Rejected, Result

_LATE_FACTOR = 3.0  # times the longest duration measured: late; that factor once more: a hang
_MIN_DURATION_S, _MIN_LOAD_S = 1.0, 5.0  # shorter durations count as these: a busy machine may delay anything so long
_DURATIONS_KEPT = 20
_MAX_PAUSE_S = 60.0  # between two starts; a child that lived this long has recovered
_MAX_FAILED_STARTS = 5  # in a row; then the child is not started again
_POLL_S = 0.2  # how soon the end of an idle child is noticed
_END_S = 5.0  # a killed process has ended by then


@dataclass(frozen=True)
class Condition:
    """The detector's state.

    doing: loading, ready, detecting, or stopped. problem: a sentence, empty while there is none. failures: since the
    first start. hopeless: the child is not started again.
    """

    doing: str
    problem: str
    failures: int
    hopeless: bool


class DetectorProcess:
    """One detection at a time in a child process, which loads the objects once.

    ``Stream.detections`` is one: begin, take and retune are that protocol. One thread may call these; any may call ``condition``.
    load_s: seconds that the parent took to load the same objects.
    """

    def __init__(self, folders: Sequence[str | Path], config: PipelineConfig, load_s: float) -> None:
        self._folders, self._config = [str(folder) for folder in folders], config
        self._load_s = max(load_s, _MIN_LOAD_S)
        self._changed = threading.Condition()  # guards all below
        self._durations_s: deque[float] = deque([_MIN_DURATION_S], maxlen=_DURATIONS_KEPT)
        self._request: tuple[Any, ...] | None = None  # that the child has not been sent yet
        self._awaited: tuple[Any, ...] | None = None  # the newest request, until it is answered
        self._result: Result | None = None
        self._task: _Task | None = None
        self._doing, self._problem, self._last_end = "loading", "", ""
        self._has_loaded = False  # at least once
        self._failures = self._failures_in_a_row = self._failed_starts = self._hangs = 0
        self._closing = False
        self._child: _Child | None = None
        self._thread = threading.Thread(target=self._supervise, name="detector", daemon=True)
        self._thread.start()

    def wait_ready(self) -> None:
        """Wait until the objects are loaded. Raises ModelError with the reason when the first start fails, and on ``close``."""
        with self._changed:
            self._changed.wait_for(lambda: self._has_loaded or self._failures or self._closing)
            if not self._has_loaded:
                reason = self._last_end or "detector: it was closed while it loaded the objects"
                raise ModelError(reason.removesuffix(".") + ".")

    def begin(self, cloud: Cloud, masks: Masks | None, objects: Collection[str] | None) -> None:
        """Begin a detection; the result of an earlier one is dropped. While the child is down the detection is refused."""
        with self._changed:
            self._result = self._awaited = self._request = None
            if self._doing == "stopped":
                self._result = _refused("detector_down", self._problem)
                return
            self._awaited = self._request = (self._config, cloud, masks, objects)
            self._changed.notify_all()

    def take(self) -> Result | None:
        """The result of the newest detection, or None while it runs. A failure of the child is a refusal in the result."""
        with self._changed:
            result, self._result = self._result, None
            return result

    def retune(self, config: PipelineConfig) -> None:
        """Use these settings for the detections that begin from now on."""
        self._config = config

    def measured(self, seconds: float) -> None:
        """Learn how long a detection in the parent took, which makes them while nothing is tracked."""
        with self._changed:
            self._durations_s.append(max(seconds, _MIN_DURATION_S))

    def condition(self) -> Condition:
        """The state now."""
        with self._changed:
            problem, task = self._problem, self._task
            if task is not None and time.monotonic() - task.since_s > task.late_s:
                problem = f"{task.overdue()}; the process is killed after {task.hung_s:.0f} s."
            return Condition(self._doing, problem, self._failures, self._failed_starts >= _MAX_FAILED_STARTS)

    def close(self) -> None:
        """Kill the child, whatever it does, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            if self._child is not None:
                self._child.kill()
        self._thread.join(2 * _END_S)

    # The supervising thread --------------------------------------------------------------------------------------------

    def _supervise(self) -> None:
        # Ctrl-C in a terminal reaches the child, too. The parent handles it; the child inherits this thread's mask.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        while not self._closing:
            try:
                with _Child() as child:
                    self._serve_requests(child)
            except _EndedError as ended:
                self._pause_after(ended)
            except Exception as error:  # without this thread no child would be started again
                self._pause_after(_EndedError("internal", f"detector: {type(error).__name__}: {error}", "loading"))

    def _serve_requests(self, child: _Child) -> None:
        """Send requests to the child until closing. Raises _EndedError when the child ends before."""
        with self._changed:
            self._child = child
            if self._closing:
                return
        with self._timed(child, "loading", self._load_s):
            child.ask((self._folders, self._config))
        with self._changed:
            self._failed_starts, self._has_loaded = 0, True
            self._changed.notify_all()
        ready_s = time.monotonic()
        while (request := self._next_request(child, ready_s)) is not None:
            with self._timed(child, "detecting", max(self._durations_s)) as task:
                result = child.ask(request)
            with self._changed:
                self._durations_s.append(max(time.monotonic() - task.since_s, _MIN_DURATION_S))
                self._problem, self._failures_in_a_row, self._hangs = "", 0, 0
                if request is self._awaited:
                    self._result, self._awaited = result, None

    @contextmanager
    def _timed(self, child: _Child, doing: str, longest_s: float) -> Iterator[_Task]:
        """Within this block the child works, and is killed when it hangs. Raises _EndedError, as when it ends by itself."""
        task = _Task(doing, time.monotonic(), longest_s, 2**self._hangs)
        hung = threading.Event()

        def kill() -> None:
            hung.set()
            child.kill()

        timer = threading.Timer(task.hung_s, kill)
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

    def _next_request(self, child: _Child, ready_s: float) -> tuple[Any, ...] | None:
        """Wait for a request; None on closing. Raises _EndedError when the child ends meanwhile."""
        with self._changed:
            while not self._closing:
                if self._request is not None:
                    request, self._request = self._request, None
                    return request
                if child.has_ended():
                    raise child.ended("waiting")
                if time.monotonic() - ready_s > _MAX_PAUSE_S:
                    self._problem, self._failures_in_a_row = "", 0
                self._changed.wait(_POLL_S)
        return None

    def _pause_after(self, ended: _EndedError) -> None:
        """Report a failure, refuse the request that it leaves unanswered, and wait before the next start."""
        with self._changed:
            self._child = None
            if self._closing:
                return
            self._failures += 1
            self._last_end = str(ended)
            self._changed.notify_all()
            self._failures_in_a_row += 1
            self._failed_starts += ended.doing == "loading"
            self._hangs += ended.code == "detector_hung"
            count = f", {self._failures_in_a_row} times in a row" if self._failures_in_a_row > 1 else ""
            pause_s = min(_MAX_PAUSE_S, 2.0 ** (self._failures_in_a_row - 2)) if self._failures_in_a_row > 1 else 0.0
            next_start = f"started again after {pause_s:.0f} s"
            if self._failed_starts >= _MAX_FAILED_STARTS:
                pause_s, next_start = float("inf"), "not started again"
            self._problem = f"{ended}{count}; {next_start}."
            self._doing, self._request = "stopped", None
            if self._awaited is not None:
                self._result, self._awaited = _refused(ended.code, self._problem), None
            start_s = time.monotonic() + pause_s
            while not self._closing and (left_s := start_s - time.monotonic()) > 0:
                self._changed.wait(min(left_s, _MAX_PAUSE_S))
            self._doing = "loading"


@dataclass(frozen=True)
class _Task:
    """What the child does, since when, the longest that it took before, and a factor on the time until it counts as hung.

    The factor doubles with each hang in a row, for a machine that has become slower.
    """

    doing: str
    since_s: float
    longest_s: float
    hang_factor: int

    @property
    def late_s(self) -> float:
        """Seconds after which the answer is late."""
        return _LATE_FACTOR * self.longest_s

    @property
    def hung_s(self) -> float:
        """Seconds after which the child counts as hung."""
        return _LATE_FACTOR * self.late_s * self.hang_factor

    def overdue(self) -> str:
        """How late it is, as a sentence without its end."""
        seconds = time.monotonic() - self.since_s
        return f"detector: {self.doing} for {seconds:.0f} s, expected an answer within {self.late_s:.0f} s"


class _EndedError(Exception):
    """The child ended, or cannot work. doing: what it did then."""

    def __init__(self, code: str, sentence: str, doing: str) -> None:
        super().__init__(sentence)
        self.code, self.doing = code, doing


class _Child:
    """A process that runs ``serve``, and the parent's end of the connection to it."""

    def __init__(self) -> None:
        ours, its = socket.socketpair()
        # A fresh interpreter: a fork would copy DDS without its threads, and multiprocessing's spawn imports rclpy.
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; from pose_node.ros.detector_child import serve; "
            f"serve({its.fileno()}, {os.getpid()})"
        )
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
        """Send and wait for the answer. Raises _EndedError when the process ends, or answers that it cannot load."""
        try:
            self._connection.send(contents)
            answer, sentence = self._connection.recv()
        except (OSError, EOFError):
            raise self.ended("at work") from None
        if sentence:
            raise _EndedError("detector_failed", f"detector: {sentence}", "at work")
        return answer

    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def ended(self, doing: str) -> _EndedError:
        """How the process ended, as an error to raise."""
        try:  # its connection is closed, so it is about to end
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self._process.wait(_END_S)
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return _EndedError("detector_died", f"detector: its process ended with {how} while {doing}", doing)

    def kill(self) -> None:
        """End the process at once, a stopped one, too: it has nothing to save."""
        self._process.kill()


def _refused(code: str, sentence: str) -> Result:
    return Result((), (Rejected(code, sentence),))
