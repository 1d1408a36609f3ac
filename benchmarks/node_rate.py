"""The rate of the tracking node: 640x480 depth at 30 Hz over DDS, one object and five, on this machine's cores.

    python -m benchmarks.node_rate          -> results/node_rate.json (needs the ROS side and tf2_msgs)

Input: the real frames of the demo's scene with five objects on a table, in a loop with new stamps. The camera is static and is
the fixed frame. A third run has one object and the camera's pose on /tf, 100 ms after each image (``late``). Sender and listener
are this process, on the same cores; it uses ``config/fastdds.xml``, as a camera driver should. Masks are sent until all objects
are tracked; what is measured runs without masks.

Figures over 30 s: answers a second, and their share of the frames sent; time from sending a depth image to receiving its poses
(median and 99th percentile); objects an answer; processor time of the node and its detector process together, in cores; their
resident memory.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks import results, ros_node

SCENE = "000002"
OBJECTS = {"mustard_bottle": 5, "potted_meat_can": 9, "banana": 10, "pudding_box": 7, "wood_block": 16}  # and BOP ids
RATE_HZ, WARM_S, MEASURED_S = 30.0, 120.0, 30.0
FRAME_ID, WORLD = "camera_depth_optical_frame", "world"
LATE_S = 0.1


class Camera:
    """Sends frames at the rate and listens to poses. late: send the camera's pose, too, ``LATE_S`` after each image."""

    late = False

    def __init__(self, rate_hz: float = RATE_HZ) -> None:
        self._rate_hz = rate_hz
        ros_node.use_driver_profile()
        import rclpy
        from geometry_msgs.msg import PoseArray
        from rclpy.qos import QoSProfile, ReliabilityPolicy
        from sensor_msgs.msg import CameraInfo, Image
        from tf2_msgs.msg import TFMessage

        from pose_node.ros.demo import player, recording

        rclpy.init(args=[])
        self._node = rclpy.create_node("camera")
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
        self._image = self._node.create_publisher(Image, "depth/image_rect", qos)
        self._info = self._node.create_publisher(CameraInfo, "depth/camera_info", qos)
        self._tf = self._node.create_publisher(TFMessage, "/tf", 100)
        self._due: deque[tuple[float, Any]] = deque()  # poses of the camera that are still to be sent, and when
        self._node.create_subscription(PoseArray, "/pose_node/poses", self._hear, 100)
        frames = recording.read(SCENE)
        self._messages = [(player.camera_info(frame), player.depth_image(frame)) for frame in frames]
        self._masks = [ros_node.mask_image(frame, OBJECTS.values()) for frame in frames]
        self._mask: Any = None
        self._clients: dict[str, Any] = {}
        self._sent: dict[int, float] = {}
        self.sent = 0
        self.received: list[tuple[float, float, int]] = []  # when, seconds since it was sent, poses

    def masked(self, yes: bool) -> None:
        """Send masks from now on, or no longer."""
        from sensor_msgs.msg import Image

        if self._mask is not None:
            self._node.destroy_publisher(self._mask)
        self._mask = self._node.create_publisher(Image, "mask", 5) if yes else None

    def change_state(self, transition: int) -> bool:
        """Request a lifecycle transition of the node; whether it succeeded. RuntimeError without an answer."""
        import rclpy
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        request = self.call(ChangeState, "change_state", ChangeState.Request(transition=Transition(id=transition)))
        rclpy.spin_until_future_complete(self._node, request, timeout_sec=30.0)
        if request.result() is None:
            raise RuntimeError(f"transition {transition}: found no answer within 30 s, expected one.")
        return bool(request.result().success)

    def call(self, kind: Any, service: str, request: Any) -> Any:
        """Call a service of the node; the future of its answer, which comes while this runs."""
        if service not in self._clients:
            self._clients[service] = self._node.create_client(kind, f"/pose_node/{service}")
            self._clients[service].wait_for_service(30.0)
        return self._clients[service].call_async(request)

    def run(self, seconds: float, enough: int = 0, until: Callable[[], bool] = lambda: False) -> None:
        """Send for ``seconds``, or until ``enough`` poses came at once, or ``until`` holds.

        RuntimeError when there are never enough poses.
        """
        import rclpy

        begin = time.perf_counter()
        next_s = begin
        while (now := time.perf_counter()) - begin < seconds and not until():
            if now >= next_s:
                self._send()
                next_s = max(next_s + 1.0 / self._rate_hz, now)
            while self._due and now >= self._due[0][0]:
                self._tf.publish(self._due.popleft()[1])
            rclpy.spin_once(self._node, timeout_sec=max(min(next_s - time.perf_counter(), 0.01), 0.0))
            if enough and self.received and self.received[-1][2] >= enough:
                return
        if enough:
            raise RuntimeError(
                f"received at most {max((p for *_, p in self.received), default=0)} poses at once, expected {enough}"
            )

    def _send(self) -> None:
        from rclpy.time import Time
        from std_msgs.msg import Header

        from pose_node.ros import publish

        self.sent += 1
        stamp_ns = 10**18 + round(self.sent * 1e9 / self._rate_hz)
        stamp = Time(nanoseconds=stamp_ns).to_msg()
        number = self.sent % len(self._messages)
        parts = list(zip((self._info, self._image), self._messages[number]))
        if self._mask is not None:
            parts.insert(0, (self._mask, self._masks[number]))
        for publisher, message in parts:
            message.header.stamp, message.header.frame_id = stamp, FRAME_ID
            publisher.publish(message)
        self._sent[stamp_ns] = time.perf_counter()
        if self.late:
            header = Header(stamp=stamp, frame_id=WORLD)
            self._due.append((self._sent[stamp_ns] + LATE_S, publish.tf_message(header, FRAME_ID, np.eye(4))))

    def _hear(self, message: Any) -> None:
        stamp_ns = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        now = time.perf_counter()
        if stamp_ns in self._sent:
            self.received.append((now, now - self._sent[stamp_ns], len(message.poses)))


def tracking(objects: Sequence[str], fixed_frame: str = FRAME_ID) -> list[str]:
    """The command line of a node that tracks these of ``OBJECTS``, by their masks where there are any."""
    labels = ", ".join(f"'{OBJECTS[name]}:{name}'" for name in objects)
    return ros_node.command(objects, input="depth", fixed_frame=fixed_frame, mask_labels=f"[{labels}]")


def measure(camera: Camera, objects: Sequence[str]) -> dict[str, float]:
    """Figures of one node with ``objects``."""
    camera.received.clear()
    with tempfile.TemporaryFile() as log:
        node = ros_node.start(tracking(objects, WORLD if camera.late else FRAME_ID), log)
        try:
            camera.masked(True)
            camera.run(WARM_S, enough=len(objects))
            camera.masked(False)
            camera.run(2.0)
            processes = [psutil.Process(node.pid), *psutil.Process(node.pid).children(recursive=True)]
            before = sum(sum(p.cpu_times()[:2]) for p in processes)
            camera.received.clear()
            sent = camera.sent
            camera.run(MEASURED_S)
            received, sent = list(camera.received), camera.sent - sent
            after = sum(sum(p.cpu_times()[:2]) for p in processes)
            memory = [p.memory_info().rss / 2**20 for p in processes]
        finally:
            node.terminate()
            node.wait(30)
    delays_ms = [1000.0 * delay for _, delay, _ in received]
    return {
        "hz": len(received) / MEASURED_S,
        "answered": len(received) / sent,
        "tracked_mean": float(np.mean([poses for *_, poses in received])),
        "latency_ms_p50": results.percentile(delays_ms, 50),
        "latency_ms_p99": results.percentile(delays_ms, 99),
        "cores": (after - before) / MEASURED_S,
        "resident_mb": memory[0],
        "detector_mb": sum(memory[1:]),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    camera = Camera()
    figures: dict[str, float] = {"sent_hz": RATE_HZ}
    for name, objects in (("one", ("mustard_bottle",)), ("five", tuple(OBJECTS)), ("late", ("mustard_bottle",))):
        camera.late = name == "late"
        figures.update({f"{name}_{key}": value for key, value in measure(camera, objects).items()})
    for key, value in figures.items():
        print(f"{key}: {value:.4g}")
    results.write_result("node_rate", "python -m benchmarks.node_rate", figures, options.output)


if __name__ == "__main__":
    main()
