"""Transforms as they come in on /tf while another thread asks for them: a pose, or a reason and whether it may still come."""

from __future__ import annotations

import threading
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
        self._lock = threading.Lock()

    def add(self, message: Any, static: bool) -> None:
        """Take a TFMessage. Raises InputError for a transform that cannot be meant; those before it in the message hold.

        A stamp that jumps back by more than a second is of a clock that was set: what was timed before is forgotten.
        """
        with self._lock:
            stamps = [] if static else [convert.stamp_ns(stamped) for stamped in message.transforms]
            if stamps and self._newest_ns is not None and max(stamps) < self._newest_ns - CLOCK_SET_NS:
                self._tree.clear_timed()
                self._newest_ns = None
            if stamps:
                self._newest_ns = max(max(stamps), self._newest_ns or 0)
            self._tree.add_message(message, static)

    def lookup(self, target: str, source: str, stamp_ns: int) -> Array:
        """T_target_source [4, 4] at a stamp; a frame stands in itself.

        Raises InputError as ``TransformTree.lookup`` does, and with code tf_no_frame for a measurement without a frame.
        """
        if not source.lstrip("/"):
            raise InputError(
                "header: found an empty frame_id, expected the camera's frame in the tree of /tf.", "tf_no_frame"
            )
        with self._lock:
            return self._tree.lookup(target, source, stamp_ns)

    def may_come(self, target: str, source: str, stamp_ns: int) -> bool:
        """Whether ``lookup`` finds nothing now, and a message that is on its way can mend that."""
        try:
            self.lookup(target, source, stamp_ns)
        except InputError as error:
            return error.code in _MAY_COME
        return False

    def newest_ns(self) -> int | None:
        """Stamp of the newest timed transform, or None."""
        with self._lock:
            return self._newest_ns
