"""Detections in a process of their own, so that following goes on meanwhile.

A process and not a thread: the chain is many short steps in Python, which two threads would only take turns at.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from pose_node.cloud import Cloud
from pose_node.config import PipelineConfig
from pose_node.types import Masks, Rejected, Result

_NICE = 10  # a detection is late by design; a frame that is followed is not
_pipeline: Any = None  # the child's own


class Beside:
    """One detection at a time in a child process, which loads the objects once. A child that dies is started anew."""

    def __init__(self, folders: Sequence[str | Path], config: PipelineConfig) -> None:
        self._folders, self._config = [str(folder) for folder in folders], config
        self._pool = self._start()
        self._running: Future[Result] | None = None

    def begin(self, cloud: Cloud, masks: Masks | None, objects: Collection[str] | None) -> None:
        """Begin a detection; the result of the one before is dropped."""
        try:
            self._running = self._submit(cloud, masks, objects)
        except BrokenProcessPool:
            self._pool = self._start()
            self._running = self._submit(cloud, masks, objects)

    def take(self) -> Result | None:
        """The result of the one begun last, or None while it runs. What went wrong in the child is a refusal."""
        if self._running is None or not self._running.done():
            return None
        running, self._running = self._running, None
        try:
            return running.result()
        except BrokenProcessPool:
            self._pool = self._start()
            return Result((), (Rejected("detector_died", "detection: its process ended; it was started again."),))
        except Exception as error:  # whatever it was, the tracks go on
            return Result((), (Rejected("internal", f"detection: {type(error).__name__}: {error}"),))

    def retune(self, config: PipelineConfig) -> None:
        """Let the detections begun from now on hold to these settings."""
        self._config = config

    def close(self) -> None:
        """End the child."""
        self._running = None
        for process in list((self._pool._processes or {}).values()):
            process.terminate()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, cloud: Cloud, masks: Masks | None, objects: Collection[str] | None) -> Future[Result]:
        return self._pool.submit(_detect, self._config, cloud, masks, objects)

    def _start(self) -> ProcessPoolExecutor:
        # spawn: the parent has threads of DDS, which a fork would cut in half.
        pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _load, (self._folders, self._config))
        # Ctrl-C in a terminal reaches the child, too, which imports for a second before _load can ignore it.
        resource_tracker.ensure_running()  # started by the pool, it would unblock SIGINT
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            pool.submit(_ready)  # loads while the parent goes on
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pool


def _load(folders: Sequence[str], config: PipelineConfig) -> None:
    import os

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    from pose_node.pipeline import Pipeline

    if hasattr(os, "nice"):
        os.nice(_NICE)
    global _pipeline
    _pipeline = Pipeline.load(folders, config)
    threadpool_limits(config.infer.threads)  # the other cores are busy following


def _ready() -> None:
    """Something to do, so that the child starts."""


def _detect(config: PipelineConfig, cloud: Cloud, masks: Masks | None, objects: Collection[str] | None) -> Result:
    _pipeline.retune(config)
    result: Result = _pipeline.estimate(cloud, masks=masks, objects=objects)
    # What the chain saw on the way is large and of no use to the parent.
    return Result(result.estimates, result.rejected, stage_s=dict(result.stage_s))
