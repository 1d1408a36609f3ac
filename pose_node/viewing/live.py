"""Draw a running node: its measurement, its objects, and the camera's pose.

A separate node subscribes to the detections with their covariances, the measurement (drawn a few times a second), /tf, and the
states of tracks in the diagnostics.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.geometry import se3
from pose_node.messages import convert
from pose_node.messages.pairing import Frame, Pairing
from pose_node.messages.tf_buffer import TfBuffer
from pose_node.objects.folders import object_folders
from pose_node.ros import publish
from pose_node.ros.subscription import AdaptiveSubscription
from pose_node.types import track_name
from pose_node.viewing.canvas import Canvas, Shown, meshes_of, open_viewer

_CLOUD_PERIOD_S = 0.2
_TICK_S = 0.05
_SYNC_TIMEOUT_S = 0.5  # for the camera info of an image
_TF_TIMEOUT_S = 1.0  # for the camera's pose of what is to be drawn
TOPICS = {"depth": "depth/image_rect", "info": "depth/camera_info", "points": "points"}


@dataclass(frozen=True)
class _Waiting:
    """A drawing that waits for the camera's pose at its stamp."""

    frame_id: str
    stamp_ns: int
    draw: Callable[[Array], None]
    since_s: float


class LiveView(Node):
    """Draws a node's topics on ``canvas``, which is created when the node's fixed frame is known: is it a camera's?

    node_name: of the node to show, with its namespace. topics: {role of TOPICS: topic} where remapped.
    """

    def __init__(self, node_name: str, topics: Mapping[str, str], canvas: Callable[[bool], Canvas]) -> None:
        super().__init__("pose_node_view")
        self._name = "/" + node_name.strip("/")
        self._make, self._fixed_frame = canvas, ""
        self._canvas: Canvas | None = None
        self._rectified = True
        self._pairing = Pairing(_SYNC_TIMEOUT_S, lambda code, sentence: None)
        self._tf = TfBuffer()
        self._waiting: deque[_Waiting] = deque(maxlen=100)
        self._drawn_s = 0.0
        self._last: dict[str, Shown] = {}
        self._states: dict[str, tuple[str, str]] = {}  # by track: state, and its status line
        self._measurement: str | None = None  # "depth" or "points", whichever is received first
        subscribe = partial(AdaptiveSubscription, self, reliability="auto")
        named = {**TOPICS, **topics}
        TFMessage = publish.tf2_msgs.msg.TFMessage
        self._inputs = [
            subscribe(Image, named["depth"], 2, partial(self._on_measurement, "depth")),
            subscribe(CameraInfo, named["info"], 10, self._pairing.add_info),
            subscribe(PointCloud2, named["points"], 2, partial(self._on_measurement, "points")),
            subscribe(TFMessage, "/tf", 100, partial(self._on_tf, static=False)),
            subscribe(TFMessage, "/tf_static", 100, partial(self._on_tf, static=True)),
            subscribe(publish.vision_msgs.msg.Detection3DArray, f"{self._name}/detections", 10, self._on_detections),
            subscribe(DiagnosticArray, "/diagnostics", 10, self._on_diagnostics),
        ]
        self.create_timer(_TICK_S, self._tick)

    def _on_measurement(self, source: str, message: Any) -> None:
        if self._measurement in (None, source):
            self._measurement = source
            self._pairing.add_measurement(message, source == "depth", time.monotonic())

    def _on_tf(self, message: Any, static: bool) -> None:
        try:
            self._tf.add(message, static)
        except InputError:
            pass  # the node reports it itself

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            if status.name != self._name:
                continue
            values = {pair.key: pair.value for pair in status.values}
            frame = values.get("fixed_frame", "")
            if frame and self._canvas is None:
                self._fixed_frame = "" if frame.startswith("none") else frame
                self._rectified = values.get("rectified") != "False"
                # The z axis points forward in optical frames (REP 103), upwards in others.
                self._canvas = self._make(not self._fixed_frame or self._fixed_frame.endswith("optical_frame"))
                self.get_logger().info(f"drawing in {self._fixed_frame or 'the frame of the camera'}")
            self._states = {}
            for key, value in values.items():
                if key.startswith("track."):
                    _, number, name = key.split(".", 2)
                    self._states[track_name(name, int(number))] = (value.partition(",")[0], value)

    def _on_detections(self, message: Any) -> None:
        objects: list[Shown] = []
        counts: Counter[str] = Counter()
        for one in message.detections:
            result = one.results[0]
            name = result.hypothesis.class_id
            counts[name] += 1
            p, q = result.pose.pose.position, result.pose.pose.orientation
            T = convert.rigid_motion(p, q, "detection", "detection")
            C = np.reshape(result.pose.covariance, (6, 6))
            track, _, state = one.id.partition("/")  # types.detection_id
            state, status = self._states.get(track, (state or "confirmed", ""))
            shown = Shown(track or f"{name}_{counts[name]}", name, T, C, result.hypothesis.score, state, status=status)
            objects.append(shown)
        self._later(message, partial(self._draw_objects, convert.stamp_ns(message), objects))

    def _draw_objects(self, stamp_ns: int, objects: Sequence[Shown], T_fixed_camera: Array) -> None:
        """objects: in the camera's frame. Tracks that are not among them stay where they were."""
        placed = {}
        for shown in objects:
            T = T_fixed_camera @ shown.T_fixed_object
            C = se3.rotate_covariance(T_fixed_camera[:3, :3], shown.covariance)
            placed[shown.name] = replace(shown, T_fixed_object=T, covariance=C)
        self._last.update(placed)
        unseen = {}
        for name, (state, status) in self._states.items():
            if name in self._last and name not in placed:
                unseen[name] = replace(self._last[name], state=state, status=status, seen=False)
        self._last = {**unseen, **placed}
        assert self._canvas is not None
        self._canvas.objects(stamp_ns, list(self._last.values()))

    def _draw_cloud(self, frame: Frame, T_fixed_camera: Array) -> None:
        assert self._canvas is not None
        try:
            self._canvas.cloud(frame.cloud(self._rectified), T_fixed_camera)
        except InputError as error:
            self._canvas.log(convert.stamp_ns(frame.message), f"frame refused: {error}", "WARN")

    def _later(self, message: Any, draw: Callable[[Array], None]) -> None:
        stamp_ns = convert.stamp_ns(message)
        self._waiting.append(_Waiting(message.header.frame_id, stamp_ns, draw, time.monotonic()))

    def _tick(self) -> None:
        """Draw what the camera's pose is known for, and a cloud every ``_CLOUD_PERIOD_S``."""
        now_s = time.monotonic()
        for source in self._inputs:
            source.match_publishers("auto")
        frame = self._pairing.take(now_s, masked=False)
        if frame is not None and now_s - self._drawn_s >= _CLOUD_PERIOD_S:
            self._drawn_s = now_s
            self._later(frame.message, partial(self._draw_cloud, frame))
        if self._canvas is None:
            return
        for _ in range(len(self._waiting)):
            waiting = self._waiting.popleft()
            if not self._fixed_frame:
                waiting.draw(np.eye(4))
                continue
            try:
                T = self._tf.lookup(self._fixed_frame, waiting.frame_id, waiting.stamp_ns)
            except InputError:
                if now_s - waiting.since_s < _TF_TIMEOUT_S:
                    self._waiting.append(waiting)
            else:
                waiting.draw(T)


def view_live(
    node_name: str,
    models: str | Path = "",
    names: Sequence[str] = (),
    topics: Mapping[str, str] | None = None,
    save: Path | None = None,
) -> None:
    """Show a running node until Ctrl-C, in the viewer or into a file for it.

    models, names: as of the node, for the meshes. topics: {depth, info or points: topic} where remapped. Raises InputError
    without a display or a needed package, and for unknown objects.
    """
    missing = ", ".join(publish.MISSING)
    if missing:
        raise InputError(f"view: found no package {missing}, whose messages a live view needs: install it from ROS.")
    topics = topics or {}
    unknown = next((role for role in topics if role not in TOPICS), None)
    if unknown is not None:
        raise InputError(f"--topics: found {unknown!r}, expected one of {', '.join(TOPICS)} for a live view.")
    object_folders(models, names)  # raises now rather than when the first object is drawn

    def mesh(name: str) -> tuple[Array, Any]:
        """Found when it is needed, as the node may load further objects while it runs."""
        return meshes_of(object_folders(models, [name]))(name)

    recording = open_viewer(save)
    stopping = threading.Event()
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    view = LiveView(node_name, topics, lambda still: Canvas(mesh, still, recording))
    executor = SingleThreadedExecutor()
    executor.add_node(view)
    view.get_logger().info(f"listening to {node_name}")
    try:
        while not stopping.is_set():
            executor.spin_once(timeout_sec=_TICK_S)
    finally:
        executor.shutdown()
        view.destroy_node()
        rclpy.try_shutdown()
