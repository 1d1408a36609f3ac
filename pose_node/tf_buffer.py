"""Transforms as they come in on /tf while another thread asks for them: a bounded wait, then a reason."""

from __future__ import annotations

import threading
import time
from typing import Any

from pose_node import convert
from pose_node.errors import InputError
from pose_node.transforms import CLOCK_SET_NS, TransformTree
from pose_node.types import Array

_MAY_COME = ("tf_late", "tf_unknown", "tf_apart")  # what a message that is on its way can mend


class TfBuffer:
    """A tree of transforms that one thread fills and another asks."""

    def __init__(self) -> None:
        self._tree = TransformTree()
        self._newest_ns: int | None = None
        self._changed = threading.Condition()

    def add(self, message: Any, static: bool) -> None:
        """Take a TFMessage. Raises InputError for a transform that cannot be meant; those before it in the message hold.

        A stamp that jumps back by more than a second is of a clock that was set: what was timed before is forgotten.
        """
        with self._changed:
            stamps = [] if static else [convert.stamp_ns(stamped) for stamped in message.transforms]
            if stamps and self._newest_ns is not None and max(stamps) < self._newest_ns - CLOCK_SET_NS:
                self._tree.clear_timed()
                self._newest_ns = None
            if stamps:
                self._newest_ns = max(max(stamps), self._newest_ns or 0)
            try:
                self._tree.add_message(message, static)
            finally:
                self._changed.notify_all()

    def lookup(self, target: str, source: str, stamp_ns: int, wait_s: float) -> Array:
        """T_target_source [4, 4] at a stamp; a frame stands in itself. Waits at most ``wait_s`` for what may still come.

        Raises InputError as ``TransformTree.lookup`` does, and with code tf_no_frame for a measurement without a frame.
        """
        if not source.lstrip("/"):
            raise InputError(
                "header: found an empty frame_id, expected the camera's frame in the tree of /tf.", "tf_no_frame"
            )
        until_s = time.monotonic() + wait_s
        with self._changed:
            while True:
                try:
                    return self._tree.lookup(target, source, stamp_ns)
                except InputError as error:
                    left_s = until_s - time.monotonic()
                    if error.code not in _MAY_COME or left_s <= 0.0:
                        raise
                self._changed.wait(left_s)

    def newest_ns(self) -> int | None:
        """Stamp of the newest timed transform, or None."""
        with self._changed:
            return self._newest_ns
