"""Transforms as they come in on /tf while another thread asks for them: a pose, or a reason and whether it may still come."""

from __future__ import annotations

import threading
from typing import Any

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.messages.transforms import TransformTree

_MAY_COME = ("tf_late", "tf_unknown", "tf_apart")  # what a message that is on its way can mend


class TfBuffer:
    """A tree of transforms that one thread fills and another asks. ``own``: frames that begin so are our own answers, left out."""

    def __init__(self, own: str | None = None) -> None:
        self._tree = TransformTree()
        self._own = own
        self._lock = threading.Lock()

    def add(self, message: Any, static: bool) -> None:
        """Take a TFMessage. Raises InputError for the first invalid transform; the others of the message hold."""
        with self._lock:
            self._tree.add_message(message, static, self._own)

    def lookup(self, target: str, source: str, stamp_ns: int) -> Array:
        """T_target_source [4, 4] at a stamp; a frame stands in itself.

        Raises InputError as ``TransformTree.lookup`` does, and with code tf_no_frame for a measurement without a frame.
        """
        _check_frame(source)
        with self._lock:
            return self._tree.lookup(target, source, stamp_ns)

    def may_come(self, target: str, source: str, stamp_ns: int) -> bool:
        """Whether ``lookup`` finds nothing now, and a message that is on its way can mend that."""
        try:
            self.lookup(target, source, stamp_ns)
        except InputError as error:
            return error.code in _MAY_COME
        return False

    def newest_ns(self, target: str, source: str) -> int | None:
        """As ``TransformTree.newest_ns``; raises InputError as ``lookup`` does where no way is known."""
        _check_frame(source)
        with self._lock:
            return self._tree.newest_ns(target, source)


def _check_frame(frame: str) -> None:
    if not frame.lstrip("/"):
        raise InputError(
            "header: found an empty frame_id, expected the camera's frame in the tree of /tf.", "tf_no_frame"
        )
