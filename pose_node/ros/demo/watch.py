"""Subscribes to the node: counts, the last poses with names and scores, and the recorded frame that they belong to."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import PoseArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from scipy.spatial.transform import Rotation
from visualization_msgs.msg import Marker, MarkerArray

from pose_node.arrays import Array
from pose_node.geometry import se3
from pose_node.messages import convert
from pose_node.ros.demo import recording
from pose_node.ros.demo.recording import Recorded


@dataclass(frozen=True, eq=False)
class Found:
    """One object, from its markers."""

    name: str
    score: float
    T_camera_object: Array


@dataclass(frozen=True, eq=False)
class Answer:
    """What the node found in one recorded frame."""

    frame: Recorded
    found: tuple[Found, ...]


class Watch:
    """A ROS node of its own, spinning in a thread while the ``with`` block lasts."""

    def __init__(self) -> None:
        self._frames = {(f.scene, f.number): f for scene in recording.scenes() for f in recording.read(scene)}
        self._lock = threading.Lock()
        self._sent: dict[int, tuple[str, int, float]] = {}  # stamp -> scene, number, when it was sent
        self._answered = 0
        self._latency_s = 0.0
        self._found: tuple[Found, ...] = ()
        self._last: dict[str, Answer] = {}
        self._last_found: dict[str, Answer] = {}

    def __enter__(self) -> Watch:
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node("demo_watch")
        self._node.create_subscription(PoseArray, "pose_node/poses", self._on_poses, 10)
        self._node.create_subscription(MarkerArray, "pose_node/markers", self._on_markers, 10)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown()
        self._thread.join(2.0)
        self._node.destroy_node()
        rclpy.try_shutdown()

    def read_player(self, lines: Iterable[str]) -> None:
        """Read from the player's output which frame each stamp is; returns when the player ends."""
        for line in lines:
            sent = json.loads(line)
            with self._lock:
                self._sent[sent["stamp_ns"]] = (sent["scene"], sent["number"], time.monotonic())

    def progress_line(self, second: int) -> str:
        """Counts, latency and the last poses."""
        with self._lock:
            head = f"{second:4d} s  frames sent {len(self._sent):4d}  answered {self._answered:4d}"
            if not self._answered:
                return f"{head}  (waiting for the node)"
            shown = [
                f"{f.name} ({', '.join(f'{v:+.3f}' for v in f.T_camera_object[:3, 3])}) {f.score:.2f}"
                for f in self._found
            ]
            return f"{head}  {1000 * self._latency_s:5.0f} ms  {' | '.join(shown) or 'nothing found'}"

    def answers(self) -> list[Answer]:
        """For each scene the last answer with a pose; where there is none, the last answer."""
        with self._lock:
            return list({**self._last, **self._last_found}.values())

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass  # the demo ends

    def _on_poses(self, message: PoseArray) -> None:
        with self._lock:
            self._answered += 1
            sent = self._sent.get(convert.stamp_ns(message))
            if sent is not None:
                self._latency_s = time.monotonic() - sent[2]

    def _on_markers(self, message: MarkerArray) -> None:
        found = tuple(_found(message.markers))
        with self._lock:
            self._found = found
            sent = self._sent.get(convert.stamp_ns(message.markers[0])) if message.markers else None
            if sent is not None:
                answer = Answer(self._frames[sent[:2]], found)
                self._last[sent[0]] = answer
                if found:
                    self._last_found[sent[0]] = answer


def _found(markers: list[Any]) -> Iterable[Found]:
    """A mesh and the text after it ("mug 0.93") are one instance."""
    for mesh, text in itertools.pairwise(markers):
        if mesh.type == Marker.MESH_RESOURCE and mesh.action == Marker.ADD:
            p, q = mesh.pose.position, mesh.pose.orientation
            R = Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix()
            T = se3.transform(R, np.array([p.x, p.y, p.z]))
            yield Found(mesh.ns, float(text.text.rsplit(" ", 1)[1]), T)
