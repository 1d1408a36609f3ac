"""The child of ``detector_process``: loads the objects once and detects on request."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from collections.abc import Collection
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from pose_node.config import PipelineConfig
from pose_node.errors import PoseNodeError, code_of
from pose_node.measurement.cloud import Cloud
from pose_node.types import Masks, Rejected, Result

if TYPE_CHECKING:
    from pose_node.pipeline import Pipeline

_NICE = 10  # a detection may be late; a frame that is followed may not


def serve(descriptor: int, parent: int) -> None:
    """Load the objects of the first message, answer each further one with (Result, ""), and end with the connection.

    Where loading fails the answer is (None, sentence). descriptor: of the connection's socket. parent: id of the process at its
    other end.
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
    threadpool_limits(config.infer.threads)  # the parent needs the other cores
    connection.send((None, ""))
    while True:
        result = _detect(pipeline, *requests.get())
        try:
            connection.send((result, ""))
        except OSError:  # the parent ended
            return


def _end_with(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends: a stopped process does not notice a closed connection."""
    if sys.platform == "linux":
        import ctypes

        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        os._exit(1)


def _listen(connection: Connection, requests: queue.SimpleQueue[Any]) -> None:
    """Queue the requests, and end the process with the connection, even during a detection."""
    try:
        while True:
            requests.put(connection.recv())
    except (EOFError, OSError):
        os._exit(0)


def _detect(
    pipeline: Pipeline, config: PipelineConfig, cloud: Cloud, masks: Masks | None, objects: Collection[str] | None
) -> Result:
    try:
        pipeline.retune(config)
        result = pipeline.estimate(cloud, masks=masks, objects=objects)
    except PoseNodeError as error:
        return Result((), (Rejected(code_of(error), f"detection: {error}"),))
    except Exception as error:  # one detection may fail, the process must not
        return Result((), (Rejected("internal", f"detection: {type(error).__name__}: {error}"),))
    # Segments and hypotheses are large, and the parent does not need them.
    return Result(result.estimates, result.rejected, stage_s=dict(result.stage_s))
