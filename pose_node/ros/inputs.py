"""What the subscriptions do: messages -> frames that are complete and whose camera pose is known.

All of it runs on the executor's thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from pose_node.errors import InputError
from pose_node.messages import convert
from pose_node.messages.pairing import Frame, Pairing, TfQueue
from pose_node.messages.tf_buffer import TfBuffer
from pose_node.ros import publish
from pose_node.ros.parameters import Settings
from pose_node.ros.status import Status
from pose_node.ros.subscription import AdaptiveSubscription

_SOURCE_TIMEOUT_S = 1.0  # with input "auto", the other source takes over after this silence


class Inputs:
    """The node's subscriptions, from activate to deactivate.

    settings:     the node's current ones; some may change while it runs.
    frame_prefix: of the names of the node's own frames, which are left out of what is read from /tf.
    deliver:      called with each frame that is ready.
    refuse:       called with a stable code and a sentence for each measurement that is not used.
    """

    def __init__(
        self,
        node: Node,
        settings: Callable[[], Settings],
        frame_prefix: str,
        deliver: Callable[[Frame], None],
        refuse: Callable[[str, str], None],
        status: Status,
    ) -> None:
        self._node, self._settings = node, settings
        self._deliver, self._refuse, self._status = deliver, refuse, status
        self._pairing = Pairing(settings().node.sync_wait_s, refuse)
        self._tf_queue = TfQueue(refuse)
        self._source: tuple[str, float] | None = None  # depth or points, and when its last measurement arrived
        self._subscriptions: list[AdaptiveSubscription] = []
        self.tf = TfBuffer(frame_prefix) if settings().needs_tf else None
        self.last_measurement: tuple[int, str] | None = None  # stamp in nanoseconds, and frame

    def subscribe(self) -> None:
        """Subscribe to the topics that the settings ask for."""
        source = self._settings().node.input
        if source in ("auto", "depth"):
            self._subscribe(Image, "depth/image_rect", 2, lambda m: self._on_measurement("depth", m))
            self._subscribe(CameraInfo, "depth/camera_info", 10, self._on_info)
        if source in ("auto", "points"):
            self._subscribe(PointCloud2, "points", 2, lambda m: self._on_measurement("points", m))
        self._subscribe(Image, "mask", 5, self._on_mask)
        if self.tf is not None:
            TFMessage = publish.tf2_msgs.msg.TFMessage
            self._subscribe(TFMessage, "/tf", 100, lambda m: self._on_tf(m, False))
            self._subscribe(TFMessage, "/tf_static", 100, lambda m: self._on_tf(m, True))

    def close(self) -> None:
        """Unsubscribe; a message that is already on its way to a callback is dropped."""
        for subscription in self._subscriptions:
            subscription.close()
        self._subscriptions = []

    def poll(self) -> None:
        """Adapt the subscriptions to their publishers, and refuse or deliver what has waited for long enough."""
        for subscription in self._subscriptions:
            subscription.match_publishers(self._settings().node.reliability)
        self._deliver_ready()

    def publisher_counts(self) -> dict[str, int]:
        """How many publish each topic, by the name before remapping."""
        return {s.topic: self._publishers(s.topic) for s in self._subscriptions}

    def tf_age_s(self) -> float | str | None:
        """Seconds from the newest camera pose on /tf to the last measurement, "static", or why there is no pose.

        None without tracking and before the first measurement.
        """
        if self.tf is None or not self._settings().tracks or self.last_measurement is None:
            return None
        stamp_ns, frame_id = self.last_measurement
        try:
            newest_ns = self.tf.newest_ns(self._settings().node.fixed_frame, frame_id)
        except InputError as error:
            return str(error)
        return "static" if newest_ns is None else (stamp_ns - newest_ns) * 1e-9

    def _subscribe(self, kind: type, topic: str, depth: int, callback: Callable[[Any], None]) -> None:
        def call(message: Any) -> None:
            if self._subscriptions:  # not closed
                callback(message)

        reliability = self._settings().node.reliability
        self._subscriptions.append(AdaptiveSubscription(self._node, kind, topic, depth, call, reliability))

    def _on_measurement(self, source: str, message: Any) -> None:
        now_s = time.monotonic()
        self._status.count("frames_received")
        # Where depth images and point clouds both arrive, one of them is used: else each moment would be answered twice.
        if self._source is not None and self._source[0] != source and now_s - self._source[1] < _SOURCE_TIMEOUT_S:
            self._refuse("other_source", f"{source}: ignored while {self._source[0]} arrives; set the parameter input.")
            return
        self._source = (source, now_s)
        self.last_measurement = convert.stamp_ns(message), str(message.header.frame_id)
        self._pairing.add_measurement(message, source == "depth", now_s)
        self._deliver_ready()

    def _on_info(self, message: CameraInfo) -> None:
        self._pairing.add_info(message)
        self._deliver_ready()

    def _on_mask(self, message: Image) -> None:
        self._pairing.add_mask(message)
        self._deliver_ready()

    def _on_tf(self, message: Any, static: bool) -> None:
        assert self.tf is not None
        try:
            self.tf.add(message, static)
        except InputError as error:
            self._status.warn(error.code, str(error))
        if self._tf_queue:  # some robots send a thousand transforms a second
            self._deliver_ready()

    def _deliver_ready(self) -> None:
        """Pass on the newest frame that waits neither for a message nor for the camera's pose."""
        now_s = time.monotonic()
        frame = self._pairing.take(now_s, masked=self._publishers("mask") > 0)
        if frame is not None:
            self._tf_queue.add(frame, now_s)
        ready = self._tf_queue.take(now_s, self._settings().node.tf_wait_s, self._pose_may_come)
        if ready is not None:
            self._deliver(ready)

    def _pose_may_come(self, frame: Frame) -> bool:
        """Whether a pose of the frame's camera or viewpoint is missing now, and a later message on /tf may bring it."""
        settings, tf = self._settings(), self.tf
        if tf is None:
            return False
        frame_id, stamp_ns = str(frame.message.header.frame_id), convert.stamp_ns(frame.message)
        targets = [settings.node.fixed_frame] if settings.tracks else []
        targets += [settings.node.viewpoint_frame] if settings.node.viewpoint_frame and frame.is_point_cloud else []
        return any(tf.may_come(target, frame_id, stamp_ns) for target in targets)

    def _publishers(self, topic: str) -> int:
        # rclpy counts under the name that it is given, without remapping it.
        return self._node.count_publishers(self._node.resolve_topic_name(topic))
