"""A TransformTree between two threads: one adds the messages of /tf, the other looks poses up."""

from __future__ import annotations

import threading
from typing import Any

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.messages.transforms import TransformTree

_MAY_COME = ("tf_late", "tf_unknown", "tf_apart")  # refusals that a later message may resolve


class TfBuffer:
    """A tree of transforms, safe between threads. own_prefix: frames whose names begin with it are the node's own, and ignored."""

    def __init__(self, own_prefix: str | None = None) -> None:
        self._tree = TransformTree()
        self._own_prefix = own_prefix
        self._lock = threading.Lock()

    def add(self, message: Any, static: bool) -> None:
        """Add a TFMessage's transforms. Raises InputError for the first invalid one, after adding the others."""
        with self._lock:
            self._tree.add_message(message, static, self._own_prefix)

    def lookup(self, target: str, source: str, stamp_ns: int) -> Array:
        """T_target_source [4, 4] at a stamp; the identity where both are the same frame.

        Raises InputError as ``TransformTree.lookup`` does, and with code tf_no_frame for a measurement without a frame.
        """
        _check_frame(source)
        with self._lock:
            return self._tree.lookup(target, source, stamp_ns)

    def may_come(self, target: str, source: str, stamp_ns: int) -> bool:
        """Whether ``lookup`` fails now, and a later message may change that."""
        try:
            self.lookup(target, source, stamp_ns)
        except InputError as error:
            return error.code in _MAY_COME
        return False

    def newest_ns(self, target: str, source: str) -> int | None:
        """As ``TransformTree.newest_ns``; raises InputError where the frames are not connected."""
        _check_frame(source)
        with self._lock:
            return self._tree.newest_ns(target, source)


def _check_frame(frame: str) -> None:
    if not frame.lstrip("/"):
        raise InputError(
            "header: found an empty frame_id, expected the camera's frame in the tree of /tf.", "tf_no_frame"
        )
