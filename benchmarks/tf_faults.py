"""Faulty publishers of /tf: the share of frames that the tracking node answers beside them.

    python -m benchmarks.tf_faults          -> results/tf_faults.json (five minutes; needs the ROS side and tf2_msgs)

A camera of 5 Hz with masks, on an arm whose pose comes at 50 Hz (map, odom, arm, camera). Conditions, one at a time:

- plain: no other publisher. lag_HZ: an unrelated publisher 1.6 s behind, HZ times a second. zero_stamp: one of stamp 0, 30 times a
  second.
- post_dated: map to odom comes a second ahead, as Nav2's examples set ``transform_tolerance``, and the arm 80 ms late.
- own_frames: ``publish_tf``, and frames that arrive 1.5 s after their stamps, so that the node's own frames on /tf do, too.

``NAME_answered``: frames with a pose of their own stamp over frames sent.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import results, ros_node
from benchmarks.faults import OBJECT, Sender

FRAMES, FRAME_S, ARM_S = 60, 0.2, 0.02
LAG_S, AHEAD_S, LATE_S = 1.6, 1.0, 0.08
SLOW_S = 1.5


def transforms(*edges: tuple[str, str, float]) -> Any:
    """A TFMessage of identities: (parent, child, stamp in seconds)."""
    from geometry_msgs.msg import TransformStamped
    from tf2_msgs.msg import TFMessage

    message = TFMessage()
    for parent, child, seconds in edges:
        one = TransformStamped(child_frame_id=child)
        one.header.frame_id = parent
        one.header.stamp = _stamp(seconds)
        message.transforms.append(one)
    return message


class Robot:
    """Sends frames and the camera's pose in real time, and the messages of a condition."""

    def __init__(
        self, sender: Sender, post_dated: bool, other: Callable[[float], tuple[str, str, float]] | None, hz: float
    ) -> None:
        self.sender, self.post_dated, self.other, self.period_s = sender, post_dated, other, 1.0 / hz
        self._due = {"arm": 0.0, "other": 0.0}

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Send /tf until now."""
        end = time.time() + seconds
        while time.time() < end and not until():
            now = time.time()
            if now >= self._due["arm"]:
                self._due["arm"] = now + ARM_S
                ahead, late = (AHEAD_S, LATE_S) if self.post_dated else (0.0, 0.0)
                self.sender.publish("/tf", transforms(("map", "odom", now + ahead), ("odom", "arm", now - late)))
            if self.other is not None and now >= self._due["other"]:
                self._due["other"] = now + self.period_s
                self.sender.publish("/tf", transforms(self.other(now)))
            self.sender.spin(0.005)


def measure(
    sender: Sender, name: str, post_dated: bool = False, other: Any = None, hz: float = 1.0, age_s: float = 0.0
) -> dict[str, float]:
    """The share of answered frames under one condition, with a new node; age_s: age of frames when they are sent."""
    robot = Robot(sender, post_dated, other, hz)
    parameters = {"fixed_frame": "map", "tf_wait_s": "0.5", "publish_tf": "true" if age_s else "false"}
    with tempfile.TemporaryFile() as log:
        node = ros_node.start(ros_node.command([OBJECT], **parameters), log)
        try:
            robot.run(4.0)  # the node starts, and the post-dated edge begins to cover the present
            for _ in range(2):  # by its second frame a track is confirmed
                robot.sender.send_valid(_stamp(time.time() - age_s), "arm")
                robot.run(1.0)
            stamps = []
            for _ in range(FRAMES):
                stamps.append(robot.sender.send_valid(_stamp(time.time() - age_s), "arm"))
                robot.run(FRAME_S)
            robot.run(3.0)
        finally:
            node.terminate()
            node.wait(30)
    answered_stamps = [m.header.stamp for m in sender.received if m.poses]
    sender.received.clear()
    answered = sum(stamp in answered_stamps for stamp in stamps)
    print(f"{name}: {answered} of {FRAMES} frames answered", flush=True)
    return {f"{name}_answered": answered / FRAMES}


def _stamp(seconds: float) -> Any:
    from builtin_interfaces.msg import Time

    whole, nanoseconds = divmod(int(seconds * 1e9), 10**9)
    return Time(sec=whole, nanosec=nanoseconds)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    sender = Sender()
    figures: dict[str, float] = {"frames": FRAMES, **measure(sender, "plain")}
    for hz in (2, 10, 30):
        figures |= measure(sender, f"lag_{hz}", other=lambda now: ("shelf", "cup", now - LAG_S), hz=hz)
    figures |= measure(sender, "zero_stamp", other=lambda now: ("shelf", "cup", 0.0), hz=30)
    figures |= measure(sender, "post_dated", post_dated=True)
    figures |= measure(sender, "own_frames", age_s=SLOW_S)
    results.write_result("tf_faults", "python -m benchmarks.tf_faults", figures, options.output)


if __name__ == "__main__":
    main()
