"""A tree of coordinate frames over time, fed by /tf and /tf_static messages, live or from a recording.

The rules are tf2's: a frame has one parent at a time, a static edge holds at every stamp, a timed edge between its first
and last sample and never beyond. Translations are interpolated linearly and rotations along the great circle (Shoemake,
"Animating rotation with quaternion curves", SIGGRAPH 1985). What cannot be told is an InputError, never an identity.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pose_node import convert, se3
from pose_node.errors import InputError
from pose_node.types import Array

CLOCK_SET_NS = 1_000_000_000  # a clock that goes back farther was set, or the recording began anew; less is disorder


@dataclass(slots=True)
class _Edge:
    """Samples of T_parent_child [4, 4], by stamp; a static edge has one, and its stamp says nothing."""

    parent: str
    is_static: bool
    stamps_ns: list[int] = field(default_factory=list)
    samples: list[Array] = field(default_factory=list)


class TransformTree:
    """Frames, and where each stands in its parent, over the last ``keep_ns`` nanoseconds of each edge."""

    def __init__(self, keep_ns: int = 10_000_000_000) -> None:
        self._keep_ns = keep_ns
        self._edges: dict[str, _Edge] = {}  # by child

    def add_message(self, message: Any, static: bool) -> None:
        """Take every transform of a TFMessage; ``static`` for those of /tf_static. Raises InputError as ``add`` does."""
        for stamped in message.transforms:
            self.add(
                str(stamped.header.frame_id),
                str(stamped.child_frame_id),
                convert.stamp_ns(stamped),
                _matrix(stamped.transform, str(stamped.child_frame_id)),
                static,
            )

    def add(self, parent: str, child: str, stamp_ns: int, T_parent_child: Array, static: bool = False) -> None:
        """Take one sample [4, 4]; an equal stamp replaces, another parent or kind starts the edge anew.

        Raises InputError for frames without a name, or a frame that would be its own ancestor.
        """
        parent, child = _named(parent), _named(child)
        if parent == child or child in self._ancestors(parent):
            raise InputError(f"transform: found {parent!r} below its own child {child!r}, expected a tree.", "tf_loop")
        edge = self._edges.get(child)
        if edge is None or edge.parent != parent or edge.is_static != static or static:
            edge = self._edges[child] = _Edge(parent, static)
        place = bisect_left(edge.stamps_ns, stamp_ns)
        if place < len(edge.stamps_ns) and edge.stamps_ns[place] == stamp_ns:
            edge.samples[place] = T_parent_child
            return
        edge.stamps_ns.insert(place, stamp_ns)
        edge.samples.insert(place, T_parent_child)
        old = bisect_left(edge.stamps_ns, edge.stamps_ns[-1] - self._keep_ns)
        del edge.stamps_ns[:old], edge.samples[:old]

    def clear_timed(self) -> None:
        """Forget all timed edges: what a clock that jumped back asks for."""
        self._edges = {child: edge for child, edge in self._edges.items() if edge.is_static}

    def root(self, frame: str) -> str | None:
        """The topmost ancestor of ``frame``, or None where the tree has never heard of it."""
        frame = frame.lstrip("/")
        if frame not in self._edges and all(edge.parent != frame for edge in self._edges.values()):
            return None
        return self._ancestors(frame)[-1]

    def lookup(self, target: str, source: str, stamp_ns: int) -> Array:
        """T_target_source [4, 4] at ``stamp_ns``.

        Raises InputError: tf_unknown for a frame never heard of, tf_apart for frames of two trees, tf_early and tf_late
        for a stamp outside an edge's samples.
        """
        target, source = _named(target), _named(source)
        if target == source:  # known or not: a frame stands in itself
            return np.eye(4)
        for frame in (target, source):
            if self.root(frame) is None:
                known = ", ".join(sorted({*self._edges, *(e.parent for e in self._edges.values())})) or "none"
                raise InputError(f"transform: found frames {known}, expected {frame!r} among them.", "tf_unknown")
        up_target, up_source = self._ancestors(target), self._ancestors(source)
        shared = next((frame for frame in up_source if frame in up_target), None)
        if shared is None:
            raise InputError(
                f"transform: found {target!r} and {source!r} in trees of roots {up_target[-1]!r} and {up_source[-1]!r}, "
                "expected one tree.",
                "tf_apart",
            )
        T_shared_target = self._chain(up_target[: up_target.index(shared)], stamp_ns)
        return se3.invert(T_shared_target) @ self._chain(up_source[: up_source.index(shared)], stamp_ns)

    def _chain(self, frames: list[str], stamp_ns: int) -> Array:
        """T of the last one's parent from the first of ``frames``, each the parent of the one before; identity of none."""
        T = np.eye(4)
        for child in frames:
            T = _at(self._edges[child], child, stamp_ns) @ T
        return T

    def _ancestors(self, frame: str) -> list[str]:
        """The frame itself, its parent, and so on to the root."""
        found = [frame]
        while found[-1] in self._edges:
            found.append(self._edges[found[-1]].parent)
        return found


def _at(edge: _Edge, child: str, stamp_ns: int) -> Array:
    """T_parent_child [4, 4] at a stamp within the samples."""
    stamps = edge.stamps_ns
    if edge.is_static:
        return edge.samples[0]
    if not stamps[0] <= stamp_ns <= stamps[-1]:
        early = stamp_ns < stamps[0]
        gap_s = (stamps[0] - stamp_ns if early else stamp_ns - stamps[-1]) * 1e-9
        which = "before the first" if early else "after the last"
        raise InputError(
            f"transform: found a stamp {gap_s:.3f} s {which} sample of {child!r} in {edge.parent!r}, "
            "expected one between samples.",
            "tf_early" if early else "tf_late",
        )
    after = bisect_left(stamps, stamp_ns)
    if stamps[after] == stamp_ns:
        return edge.samples[after]
    before = after - 1
    share = (stamp_ns - stamps[before]) / (stamps[after] - stamps[before])
    T_a, T_b = edge.samples[before], edge.samples[after]
    turned = se3.exp_so3(share * se3.log_so3(T_a[:3, :3].T @ T_b[:3, :3]))
    return se3.transform(T_a[:3, :3] @ turned, (1.0 - share) * T_a[:3, 3] + share * T_b[:3, 3])


def _named(frame: str) -> str:
    """The frame's name as tf2 spells it; tf of ROS 1 wrote a slash in front."""
    name = frame.lstrip("/")
    if not name:
        raise InputError("transform: found a frame without a name, expected one.", "tf_unnamed")
    return name


def _matrix(transform: Any, child: str) -> Array:
    """A geometry_msgs Transform -> T_parent_child [4, 4]; InputError when it is no rigid motion."""
    return convert.rigid_motion(transform.translation, transform.rotation, f"transform of {child!r}", "tf_not_rigid")
