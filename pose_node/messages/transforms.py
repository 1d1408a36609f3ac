"""A tree of coordinate frames over time, from /tf and /tf_static messages, live or of a recording.

The rules are tf2's: a frame has one parent at a time, a static edge is valid at every stamp, a timed edge between its first
and last sample and never beyond. Translations are interpolated linearly and rotations along the great circle (Shoemake,
"Animating rotation with quaternion curves", SIGGRAPH 1985). An unknown transform is an InputError, never an identity.
By hand, as tf2's buffer is C++ of a ROS installation, which neither rclpy's wheels nor a machine that reads bags has.

Unlike tf2's, an edge may have samples of several clocks. A sample that goes back by more than ``CLOCK_SET_NS`` starts another
run: either the clock was set back (a looped recording, a restarted simulation), or a second publisher lags. Both runs are kept,
and a look-up uses the run whose newest stamp is nearest to the one asked for: after a reset that is the new run from its first
sample on, and a lagging publisher does no harm.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.geometry import se3
from pose_node.messages import convert
from pose_node.timing import CLOCK_SET_NS

# Robots have some hundred frames. Where a publisher invents new names all the time, the edges that were neither sent nor looked
# up for the longest are dropped. A static edge may be sent only once, so more of them are kept.
_MAX_TIMED, _MAX_STATIC = 1_000, 10_000
_MAX_RUNS = 4  # publishers of one edge, or rounds of a loop that is shorter than the history
_MAX_LISTED = 10  # frames that an error lists


@dataclass(slots=True)
class _Run:
    """Samples of T_parent_child [4, 4] by one clock, in the order of their stamps."""

    stamps_ns: list[int] = field(default_factory=list)
    samples: list[Array] = field(default_factory=list)

    @property
    def newest_ns(self) -> int:
        return self.stamps_ns[-1]

    def add(self, stamp_ns: int, T_parent_child: Array, keep_ns: int) -> None:
        """Add a sample, or replace the one of its stamp; drop those older than the newest by more than ``keep_ns``."""
        place = bisect_left(self.stamps_ns, stamp_ns)
        if place < len(self.stamps_ns) and self.stamps_ns[place] == stamp_ns:
            self.samples[place] = T_parent_child
            return
        self.stamps_ns.insert(place, stamp_ns)
        self.samples.insert(place, T_parent_child)
        old = bisect_left(self.stamps_ns, self.newest_ns - keep_ns)
        del self.stamps_ns[:old], self.samples[:old]


@dataclass(slots=True)
class _Edge:
    """A frame in its parent: the runs of its samples, the one added to last in front. A static edge has a single sample."""

    parent: str
    is_static: bool
    runs: list[_Run] = field(default_factory=list)

    def add(self, stamp_ns: int, T_parent_child: Array, keep_ns: int) -> None:
        """Add a sample to the run that it continues, or to a new one; the runs not added to for the longest are dropped."""
        run = self._run_at(stamp_ns) or _Run()
        self.runs = [run, *(other for other in self.runs if other is not run)][:_MAX_RUNS]
        run.add(stamp_ns, T_parent_child, keep_ns)

    def run_for(self, stamp_ns: int) -> _Run:
        """The run that a look-up at a stamp uses."""
        return min(self.runs, key=lambda run: max(abs(stamp_ns - run.newest_ns), CLOCK_SET_NS))

    def _run_at(self, stamp_ns: int) -> _Run | None:
        """The run that a sample continues: the one added to last of those it is near to, else the nearest one before it.

        None for a sample that goes back by more than messages out of order do.
        """
        near = [run for run in self.runs if abs(stamp_ns - run.newest_ns) <= CLOCK_SET_NS]
        behind = sorted((run for run in self.runs if run.newest_ns < stamp_ns), key=lambda run: -run.newest_ns)
        return next(iter((*near, *behind)), None)


class TransformTree:
    """Frames, and the pose of each in its parent, over the last ``keep_ns`` nanoseconds of each edge."""

    def __init__(self, keep_ns: int = 10_000_000_000) -> None:
        self._keep_ns = keep_ns
        self._edges: dict[str, _Edge] = {}  # by child

    def add_message(self, message: Any, static: bool, ignore: str | None = None) -> None:
        """Add the transforms of a TFMessage, but for frames whose names begin with ``ignore``. static: of /tf_static.

        Raises InputError as ``add`` does, for the first invalid one, after adding the others.
        """
        refused = None
        for stamped in message.transforms:
            parent, child = str(stamped.header.frame_id), str(stamped.child_frame_id)
            if ignore is not None and child.startswith(ignore):
                continue
            try:
                self.add(parent, child, convert.stamp_ns(stamped), _matrix(stamped.transform, child), static)
            except InputError as error:
                refused = refused or error
        if refused is not None:
            raise refused

    def add(self, parent: str, child: str, stamp_ns: int, T_parent_child: Array, static: bool = False) -> None:
        """Add one sample [4, 4], or replace the one of its stamp; another parent replaces the edge.

        Raises InputError for frames without a name, for a frame that would be its own ancestor, and for a timed sample of a
        static edge, which is kept: it may be sent only once.
        """
        parent, child = _named(parent), _named(child)
        if parent == child or child in self._ancestors(parent):
            raise InputError(f"transform: found {parent!r} below its own child {child!r}, expected a tree.", "tf_loop")
        edge = self._edges.pop(child, None)
        if edge is not None and edge.is_static and not static:
            self._edges[child] = edge
            raise InputError(
                f"transform: found {child!r} on /tf and on /tf_static, expected it on one of them; /tf_static is used.",
                "tf_static",
            )
        if edge is None or edge.parent != parent or static:
            edge = _Edge(parent, static)
        self._edges[child] = edge  # at the end: ``_drop`` takes from the front
        edge.add(stamp_ns, T_parent_child, self._keep_ns)
        self._drop(static)

    def root(self, frame: str) -> str | None:
        """The topmost ancestor of ``frame``, or None for an unknown frame."""
        frame = frame.lstrip("/")
        if frame not in self._edges and all(edge.parent != frame for edge in self._edges.values()):
            return None
        return self._ancestors(frame)[-1]

    def lookup(self, target: str, source: str, stamp_ns: int) -> Array:
        """T_target_source [4, 4] at ``stamp_ns``.

        Raises InputError: tf_unknown for an unknown frame, tf_apart for frames of two trees, tf_early and tf_late for a
        stamp outside an edge's samples.
        """
        to_target, to_source = self._between(target, source)
        return se3.invert(self._chain(to_target, stamp_ns)) @ self._chain(to_source, stamp_ns)

    def newest_ns(self, target: str, source: str) -> int | None:
        """The newest stamp that all timed edges between two frames have reached; None where none is timed.

        Raises InputError, tf_unknown or tf_apart, where the frames are not connected.
        """
        path = [self._edges[child] for chain in self._between(target, source) for child in chain]
        return min((edge.runs[0].newest_ns for edge in path if not edge.is_static), default=None)

    def _between(self, target: str, source: str) -> tuple[list[str], list[str]]:
        """The frames from ``target`` and from ``source`` up to below their common ancestor. Raises InputError as ``lookup`` does."""
        target, source = _named(target), _named(source)
        if target == source:  # known or not
            return [], []
        for frame in (target, source):
            if self.root(frame) is None:
                known = sorted({*self._edges, *(e.parent for e in self._edges.values())})
                more = f" and {len(known) - _MAX_LISTED} more" if len(known) > _MAX_LISTED else ""
                found = ", ".join(known[:_MAX_LISTED]) + more or "none"
                raise InputError(f"transform: found frames {found}, expected {frame!r} among them.", "tf_unknown")
        up_target, up_source = self._ancestors(target), self._ancestors(source)
        shared = next((frame for frame in up_source if frame in up_target), None)
        if shared is None:
            raise InputError(
                f"transform: found {target!r} and {source!r} in trees of roots {up_target[-1]!r} and {up_source[-1]!r}, "
                "expected one tree.",
                "tf_apart",
            )
        return up_target[: up_target.index(shared)], up_source[: up_source.index(shared)]

    def _drop(self, static: bool) -> None:
        """Drop the edges beyond the limit of their kind."""
        most = _MAX_STATIC if static else _MAX_TIMED
        if len(self._edges) > most:
            of_kind = [child for child, edge in self._edges.items() if edge.is_static == static]
            for child in of_kind[: max(len(of_kind) - most, 0)]:
                del self._edges[child]

    def _chain(self, frames: list[str], stamp_ns: int) -> Array:
        """T_parent_first, from the parent of the last of ``frames``, each of which is the parent of the one before.

        The identity for no frames.
        """
        T = np.eye(4)
        for child in frames:
            edge = self._edges[child] = self._edges.pop(child)  # to the end: it is in use
            T = _at(edge, child, stamp_ns) @ T
        return T

    def _ancestors(self, frame: str) -> list[str]:
        """The frame itself, its parent, and so on to the root."""
        found = [frame]
        while found[-1] in self._edges:
            found.append(self._edges[found[-1]].parent)
        return found


def _at(edge: _Edge, child: str, stamp_ns: int) -> Array:
    """T_parent_child [4, 4] at a stamp. Raises InputError for one outside the samples."""
    run = edge.run_for(stamp_ns)
    stamps = run.stamps_ns
    if edge.is_static:
        return run.samples[0]
    if not stamps[0] <= stamp_ns <= stamps[-1]:
        early = stamp_ns < stamps[0]
        if stamps[-1] == 0:
            raise InputError(
                f"transform: found stamp 0 on /tf for {child!r} in {edge.parent!r}, expected the time of each sample "
                "(a fixed frame belongs on /tf_static).",
                "tf_no_stamp",
            )
        gap_s = (stamps[0] - stamp_ns if early else stamp_ns - stamps[-1]) * 1e-9
        which = "before the first" if early else "after the last"
        raise InputError(
            f"transform: found a stamp {gap_s:.3f} s {which} sample of {child!r} in {edge.parent!r}, "
            "expected one between samples.",
            "tf_early" if early else "tf_late",
        )
    after = bisect_left(stamps, stamp_ns)
    if stamps[after] == stamp_ns:
        return run.samples[after]
    before = after - 1
    share = (stamp_ns - stamps[before]) / (stamps[after] - stamps[before])
    T_a, T_b = run.samples[before], run.samples[after]
    turned = se3.exp_so3(share * se3.log_so3(T_a[:3, :3].T @ T_b[:3, :3]))
    return se3.transform(T_a[:3, :3] @ turned, (1.0 - share) * T_a[:3, 3] + share * T_b[:3, 3])


def _named(frame: str) -> str:
    """The frame's name without the leading slash of ROS 1."""
    name = frame.lstrip("/")
    if not name:
        raise InputError("transform: found a frame without a name, expected one.", "tf_unnamed")
    return name


def _matrix(transform: Any, child: str) -> Array:
    """A geometry_msgs Transform -> T_parent_child [4, 4]. Raises InputError where it is no rigid motion."""
    return convert.rigid_motion(transform.translation, transform.rotation, f"transform of {child!r}", "tf_not_rigid")
