"""A peer in its own process: trained once, called through a pipe, and killed when it does not answer in time.

Neither OpenCV nor Open3D can be interrupted from within, and OpenCV cannot store a trained model, so the process keeps it for all
crops of its object. A process that was killed is trained again for the next crop.

Times are processor time of all threads of the process, so other load causes no time-outs. A process that uses no processor time
is stuck: it is ended after ``_STUCK`` times as long by the wall clock.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal

import psutil

from benchmarks.peers import make, one_thread
from pose_node.arrays import Array

TRAIN_S, CALL_S = 120.0, 30.0
_STUCK = 20.0
_LOOK_S = 0.1  # between readings of the processor time
_PRELOADED = ("benchmarks.peers.clouds", "cv2", "kiss_matcher", "open3d", "trimesh")  # once, not in every process
Outcome = Literal["answered", "timed_out", "failed", "untrained"]


@dataclass(frozen=True, eq=False)
class Answer:
    """The result of one call. ``seconds``: inside the process, ``CALL_S`` if it was killed, NaN if it was not called or died.

    outcome: "answered" (possibly without a pose), "timed_out", "failed" (it raised, or its process died) or "untrained" (its
    training failed or did not end in time); why: the reason of the last two.
    """

    poses: list[Array]
    seconds: float
    outcome: Outcome
    why: str = ""


def make_quietly(peer: str, setting: str, vertices_m: Array, faces: Any, diameter_m: float) -> Any:
    """A peer on one thread."""
    one_thread()
    return make(peer, setting, vertices_m, faces, diameter_m)


class Worker:
    """A process that calls ``factory(*arguments)`` once and then the result's ``poses``. The factory must be importable."""

    def __init__(
        self, factory: Callable[..., Any], *arguments: Any, train_s: float = TRAIN_S, call_s: float = CALL_S
    ) -> None:
        self.factory, self.arguments, self.train_s, self.call_s = factory, arguments, train_s, call_s
        self.trained_s = float("nan")
        self.untrained = ""  # why the training failed, else empty
        self._process: Any = None
        self._pipe: Connection | None = None

    def poses(self, points_m: Array, viewpoint_m: Array) -> Answer:
        """Ask for the poses of one crop; trains first where the process is not there yet."""
        if self._process is None and not self.untrained:
            self._start()
        if self.untrained or self._pipe is None:
            return Answer([], float("nan"), "untrained", self.untrained)
        try:
            self._pipe.send((points_m, viewpoint_m))
            if not self._answers_within(self.call_s):
                self.close()
                return Answer([], self.call_s, "timed_out")
            received = self._pipe.recv()
        except (EOFError, OSError):
            self.close()
            return Answer([], float("nan"), "failed", "its process died")
        found, seconds, why = received
        return Answer(found, seconds, "failed" if why else "answered", why)

    def close(self) -> None:
        """Kill the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def _start(self) -> None:
        context = multiprocessing.get_context("forkserver")
        if self.factory is make_quietly:
            context.set_forkserver_preload(list(_PRELOADED))
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self.factory, self.arguments), daemon=True)
        self._process.start()
        theirs.close()  # so that the end of the process ends the pipe
        try:
            if not self._answers_within(self.train_s):
                self.untrained = f"training did not end in {self.train_s:g} s"
            else:
                _, self.trained_s, why = self._pipe.recv()
                self.untrained = f"training failed: {why}" if why else ""
        except (EOFError, OSError):
            self.untrained = "its process died in training"
        if self.untrained:
            self.close()

    def _answers_within(self, seconds: float) -> bool:
        """Whether the process sends something, or ends, before it has used up that many seconds of the processor."""
        assert self._pipe is not None
        start, before = time.monotonic(), None
        while not self._pipe.poll(_LOOK_S):
            used = _processor_s(self._process.pid)
            if used is None:
                return self._pipe.poll(None)  # the pipe's end remains to be read
            before = used if before is None else before
            if used - before > seconds or time.monotonic() - start > _STUCK * seconds:
                return False
        return True


def _processor_s(pid: int) -> float | None:
    """Seconds of the processor that a process has used, None once it is gone."""
    try:
        used = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return float(used.user + used.system)


def _serve(pipe: Connection, factory: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """In the process: train, then answer until the pipe closes. Each message is (poses, seconds, why it failed or "")."""
    start = time.process_time()
    try:
        peer = factory(*arguments)
    except Exception as error:  # any exception of a foreign library is its answer
        pipe.send(([], time.process_time() - start, f"{type(error).__name__}: {error}"))
        return
    pipe.send(([], time.process_time() - start, ""))
    while True:
        try:
            points_m, viewpoint_m = pipe.recv()
        except EOFError:
            return
        start = time.process_time()
        why, found = "", []
        try:
            found = peer.poses(points_m, viewpoint_m)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        pipe.send((found, time.process_time() - start, why))
