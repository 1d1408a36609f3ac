"""A tree of coordinate frames over time, fed by /tf and /tf_static messages, live or from a recording.

The rules are tf2's: a frame has one parent at a time, a static edge holds at every stamp, a timed edge between its first
and last sample and never beyond. Translations are interpolated linearly and rotations along the great circle (Shoemake,
"Animating rotation with quaternion curves", SIGGRAPH 1985). What cannot be told is an InputError, never an identity.

Clocks are told apart edge by edge. Stamps of one edge that lie more than ``CLOCK_SET_NS`` apart and go back belong to two
runs: a clock that was set back (a looped recording, a simulation started again), or a second publisher that lags. Neither
is thrown away. A look-up is answered from the run whose newest stamp is nearest to the one asked for, so that after a reset
the new run serves from its first sample on, and a publisher that lags disturbs nobody.
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

# Robots have some hundred frames. Names that are ever new must not fill the memory: those that were neither sent nor asked for
# for the longest go first. A static edge may be sent only once, so far more of them stay.
_MOST_TIMED, _MOST_STATIC = 1_000, 10_000
_MOST_RUNS = 4  # publishers of one edge, or rounds of a loop shorter than what is kept
_NAMED = 10  # frames that a sentence lists


@dataclass(slots=True)
class _Run:
    """Samples of T_parent_child [4, 4] by one clock, by ascending stamp."""

    stamps_ns: list[int] = field(default_factory=list)
    samples: list[Array] = field(default_factory=list)

    @property
    def newest_ns(self) -> int:
        return self.stamps_ns[-1]

    def add(self, stamp_ns: int, T_parent_child: Array, keep_ns: int) -> None:
        """Take a sample; an equal stamp replaces, and what is older than the newest by more than ``keep_ns`` is dropped."""
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
    """A frame in its parent: the runs of its samples, the one fed last in front. A static edge has one sample for all stamps."""

    parent: str
    is_static: bool
    runs: list[_Run] = field(default_factory=list)

    def add(self, stamp_ns: int, T_parent_child: Array, keep_ns: int) -> None:
        """Take a sample into the run that it goes on with, or into a new one; those not fed for the longest are dropped."""
        run = self._run_at(stamp_ns) or _Run()
        self.runs = [run, *(other for other in self.runs if other is not run)][:_MOST_RUNS]
        run.add(stamp_ns, T_parent_child, keep_ns)

    def run_for(self, stamp_ns: int) -> _Run:
        """The run that a look-up at a stamp is answered from."""
        return min(self.runs, key=lambda run: max(abs(stamp_ns - run.newest_ns), CLOCK_SET_NS))

    def _run_at(self, stamp_ns: int) -> _Run | None:
        """The run a sample goes on with: the one fed last of those it is near to, else the nearest that it lies ahead of.

        None for one that lies farther back than disorder explains.
        """
        near = [run for run in self.runs if abs(stamp_ns - run.newest_ns) <= CLOCK_SET_NS]
        behind = sorted((run for run in self.runs if run.newest_ns < stamp_ns), key=lambda run: -run.newest_ns)
        return next(iter((*near, *behind)), None)


class TransformTree:
    """Frames, and where each stands in its parent, over the last ``keep_ns`` nanoseconds of each edge."""

    def __init__(self, keep_ns: int = 10_000_000_000) -> None:
        self._keep_ns = keep_ns
        self._edges: dict[str, _Edge] = {}  # by child

    def add_message(self, message: Any, static: bool, leave_out: str | None = None) -> None:
        """Take every transform of a TFMessage but those of frames that begin with ``leave_out``; ``static`` for /tf_static.

        Raises InputError as ``add`` does, for the first that is invalid, after the others were taken.
        """
        refused = None
        for stamped in message.transforms:
            parent, child = str(stamped.header.frame_id), str(stamped.child_frame_id)
            if leave_out is not None and child.startswith(leave_out):
                continue
            try:
                self.add(parent, child, convert.stamp_ns(stamped), _matrix(stamped.transform, child), static)
            except InputError as error:
                refused = refused or error
        if refused is not None:
            raise refused

    def add(self, parent: str, child: str, stamp_ns: int, T_parent_child: Array, static: bool = False) -> None:
        """Take one sample [4, 4]; an equal stamp replaces, another parent starts the edge anew.

        Raises InputError for frames without a name, a frame that would be its own ancestor, and a timed sample of a static
        edge, which holds: it is sent only once, and could not be had again.
        """
        parent, child = _named(parent), _named(child)
        if parent == child or child in self._ancestors(parent):
            raise InputError(f"transform: found {parent!r} below its own child {child!r}, expected a tree.", "tf_loop")
        edge = self._edges.pop(child, None)
        if edge is not None and edge.is_static and not static:
            self._edges[child] = edge
            raise InputError(
                f"transform: found {child!r} on /tf and on /tf_static, expected it on one of them; /tf_static holds.",
                "tf_static",
            )
        if edge is None or edge.parent != parent or static:
            edge = _Edge(parent, static)
        self._edges[child] = edge  # at the end: those in front have waited longest
        edge.add(stamp_ns, T_parent_child, self._keep_ns)
        self._drop(static)

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
        to_target, to_source = self._between(target, source)
        return se3.invert(self._chain(to_target, stamp_ns)) @ self._chain(to_source, stamp_ns)

    def newest_ns(self, target: str, source: str) -> int | None:
        """The newest stamp that the timed edges between two frames share, None where none is timed.

        Raises InputError, tf_unknown or tf_apart, where no way leads from one to the other.
        """
        way = [self._edges[child] for chain in self._between(target, source) for child in chain]
        return min((edge.runs[0].newest_ns for edge in way if not edge.is_static), default=None)

    def _between(self, target: str, source: str) -> tuple[list[str], list[str]]:
        """The frames from ``target`` and from ``source`` up to below their common ancestor. Raises InputError as ``lookup`` does."""
        target, source = _named(target), _named(source)
        if target == source:  # known or not: a frame stands in itself
            return [], []
        for frame in (target, source):
            if self.root(frame) is None:
                known = sorted({*self._edges, *(e.parent for e in self._edges.values())})
                more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
                found = ", ".join(known[:_NAMED]) + more or "none"
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
        """Keep as many edges of a kind as there may be."""
        most = _MOST_STATIC if static else _MOST_TIMED
        if len(self._edges) > most:
            of_kind = [child for child, edge in self._edges.items() if edge.is_static == static]
            for child in of_kind[: max(len(of_kind) - most, 0)]:
                del self._edges[child]

    def _chain(self, frames: list[str], stamp_ns: int) -> Array:
        """T of the last one's parent from the first of ``frames``, each the parent of the one before; identity of none."""
        T = np.eye(4)
        for child in frames:
            edge = self._edges[child] = self._edges.pop(child)  # to the end: it is asked for
            T = _at(edge, child, stamp_ns) @ T
        return T

    def _ancestors(self, frame: str) -> list[str]:
        """The frame itself, its parent, and so on to the root."""
        found = [frame]
        while found[-1] in self._edges:
            found.append(self._edges[found[-1]].parent)
        return found


def _at(edge: _Edge, child: str, stamp_ns: int) -> Array:
    """T_parent_child [4, 4] at a stamp within the samples."""
    run = edge.run_for(stamp_ns)
    stamps = run.stamps_ns
    if edge.is_static:
        return run.samples[0]
    if not stamps[0] <= stamp_ns <= stamps[-1]:
        early = stamp_ns < stamps[0]
        if stamps[-1] == 0:
            raise InputError(
                f"transform: found stamp 0 on /tf for {child!r} in {edge.parent!r}, expected the time of each sample "
                "(what does not move belongs on /tf_static).",
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
    """The frame's name as tf2 spells it; tf of ROS 1 wrote a slash in front."""
    name = frame.lstrip("/")
    if not name:
        raise InputError("transform: found a frame without a name, expected one.", "tf_unnamed")
    return name


def _matrix(transform: Any, child: str) -> Array:
    """A geometry_msgs Transform -> T_parent_child [4, 4]; InputError when it is no rigid motion."""
    return convert.rigid_motion(transform.translation, transform.rotation, f"transform of {child!r}", "tf_not_rigid")
