"""The node under ten thousand malformed messages.

    python -m benchmarks.faults             -> results/faults.json (minutes; needs the ROS side and tf2_msgs)

The node tracks one object in the camera's own frame, with all inputs connected. After every hundred fuzzed messages
(``benchmarks.fuzzed``) comes a valid frame, which must be answered with a pose under its own stamp. Counted: crashes, values
that are not finite, stamps that were not sent, valid frames without an answer, and the node's resident memory after the first
tenth and at the end.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks import results, ros_node
from benchmarks.fuzzed import Fuzzer
from benchmarks.node_rate import OBJECTS, SCENE

MESSAGES, BATCH = 10_000, 100
OBJECT, FRAME_ID = "mustard_bottle", "camera"
QUIET_S = 1.2  # after which the node switches to another source
ANSWER_S = 30.0


class Sender:
    """Publishes any message on any topic, and collects the node's poses."""

    def __init__(self) -> None:
        import rclpy
        from geometry_msgs.msg import PoseArray

        from pose_node.ros.demo import player, recording

        ros_node.use_driver_profile()
        rclpy.init(args=[])
        self.node = rclpy.create_node("sender")
        self.received: list[Any] = []
        self.node.create_subscription(PoseArray, "/pose_node/poses", self.received.append, 100)
        self._publishers: dict[str, Any] = {}
        frame = recording.read(SCENE)[0]
        self._valid = (
            ("depth/camera_info", player.camera_info(frame)),
            ("depth/image_rect", player.depth_image(frame)),
        )
        self._mask = ros_node.mask_image(frame, (OBJECTS[OBJECT],))
        self._second = Fuzzer.BELOW_S

    def publish(self, topic: str, message: Any) -> None:
        if topic not in self._publishers:
            self._publishers[topic] = self.node.create_publisher(type(message), topic, 20)
            self.spin(60.0, lambda: self._publishers[topic].get_subscription_count() > 0)
        self._publishers[topic].publish(message)

    def send_valid(self, stamp: Any = None, frame_id: str = FRAME_ID) -> Any:
        """Send a valid frame, by default with a new stamp; returns the stamp."""
        from builtin_interfaces.msg import Time

        self._second += 1
        stamp = stamp or Time(sec=self._second)
        for topic, message in (("mask", self._mask), *self._valid):
            message.header.stamp, message.header.frame_id = stamp, frame_id
            self.publish(topic, message)
        return stamp

    def spin(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        import rclpy

        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if until():
                return True
            rclpy.spin_once(self.node, timeout_sec=0.005)
        return until()


def finite(message: Any) -> bool:
    """Whether a PoseArray contains finite numbers and unit quaternions only."""
    for pose in message.poses:
        p, q = pose.position, pose.orientation
        length = np.linalg.norm([q.x, q.y, q.z, q.w])
        if not np.isfinite([p.x, p.y, p.z]).all() or not abs(length - 1.0) < 1e-6:
            return False
    return True


def measure(messages: int) -> dict[str, float]:
    """Figures of one node."""
    sender, fuzzer = Sender(), Fuzzer(0)
    command = ros_node.command([OBJECT], fixed_frame=FRAME_ID)
    counts = {"crashes": 0, "not_finite": 0, "wrong_stamps": 0, "unanswered": 0, "good_frames": 0}
    memory: list[float] = []
    with tempfile.TemporaryFile() as log:
        node = ros_node.start(command, log)
        try:
            for number in range(messages):
                sender.publish(*fuzzer.message())
                sender.spin(0.002)
                if (number + 1) % BATCH:
                    continue
                sender.spin(QUIET_S)
                first = sender.send_valid()
                sender.spin(ANSWER_S, lambda: any(m.header.stamp == first for m in sender.received))  # noqa: B023
                stamp = sender.send_valid()  # by its second frame a track is confirmed
                answered = sender.spin(
                    ANSWER_S,
                    lambda: any(m.header.stamp == stamp and m.poses for m in sender.received),  # noqa: B023
                )
                counts["good_frames"] += 1
                counts["unanswered"] += not answered
                counts["not_finite"] += sum(not finite(m) for m in sender.received)
                later = [m for m in sender.received if m.header.stamp.sec >= Fuzzer.BELOW_S]
                counts["wrong_stamps"] += sum(m.header.stamp not in (first, stamp) for m in later)
                sender.received.clear()
                if node.poll() is not None:
                    counts["crashes"] += 1
                    break
                memory.append(psutil.Process(node.pid).memory_info().rss / 2**20)
                print(f"{number + 1} messages, {memory[-1]:.0f} MB, {counts}", flush=True)
        finally:
            node.terminate()
            node.wait(30)
    early = memory[max(len(memory) // 10 - 1, 0)]
    return {"messages": messages, **counts, "resident_mb": memory[-1], "growth": memory[-1] / early - 1.0}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=MESSAGES)
    parser.add_argument("--output", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    figures = measure(options.messages)
    for key, value in figures.items():
        print(f"{key}: {value:.4g}")
    if options.messages == MESSAGES:
        results.write_result("faults", "python -m benchmarks.faults", figures, options.output)
    else:
        print("a partial run: nothing written")


if __name__ == "__main__":
    main()
