"""Publishes the recording like a camera: 32FC1 in metres and CameraInfo, at a fixed rate, in a loop.

Each scene's five frames are repeated for some seconds before the next scene. Stamps are the time of sending and always
grow. A line of JSON on standard output says which frame each stamp is: {"stamp_ns", "scene", "number"}.
"""

from __future__ import annotations

import argparse
import itertools
import json
import signal
import sys
import threading
from collections.abc import Iterator, Sequence

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, Image

from pose_node.ros.demo import recording
from pose_node.ros.demo.recording import Recorded

_FRAME_ID = "camera_depth_optical_frame"


class Player(Node):
    """Publishes ``depth/image_rect`` and ``depth/camera_info``, reliably, as large best-effort messages get lost (config/fastdds.xml)."""

    def __init__(self, rate_hz: float, scene_s: float) -> None:
        super().__init__("player")
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
        self._depth = self.create_publisher(Image, "depth/image_rect", qos)
        self._info = self.create_publisher(CameraInfo, "depth/camera_info", qos)
        self._frames = _loop(max(round(rate_hz * scene_s), 1))
        self._last_ns = 0
        self.create_timer(1.0 / rate_hz, self._send)

    def _send(self) -> None:
        frame = next(self._frames)
        self._last_ns = max(self.get_clock().now().nanoseconds, self._last_ns + 1)
        stamp = Time(nanoseconds=self._last_ns).to_msg()
        info, image = camera_info(frame), depth_image(frame)
        for message in (info, image):
            message.header.stamp, message.header.frame_id = stamp, _FRAME_ID
        print(json.dumps({"stamp_ns": self._last_ns, "scene": frame.scene, "number": frame.number}), flush=True)
        self._info.publish(info)
        self._depth.publish(image)


def depth_image(frame: Recorded) -> Image:
    """32FC1 in metres; NaN where there is no reading (REP 118)."""
    depth = frame.depth_m.copy()
    depth[depth == 0] = float("nan")
    image = Image(height=depth.shape[0], width=depth.shape[1], encoding="32FC1", step=4 * depth.shape[1])
    image.data = depth.tobytes()  # assigning the array itself takes rclpy a hundred times longer
    return image


def camera_info(frame: Recorded) -> CameraInfo:
    """CameraInfo of a pinhole camera."""
    info = CameraInfo(height=frame.depth_m.shape[0], width=frame.depth_m.shape[1], distortion_model="plumb_bob")
    info.d = [0.0] * 5
    info.k = frame.K.ravel()
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    p = [[*row, 0.0] for row in frame.K.tolist()]
    info.p = list(itertools.chain.from_iterable(p))
    return info


def _loop(frames_per_scene: int) -> Iterator[Recorded]:
    """The scenes in turn, endlessly, each repeated for ``frames_per_scene`` frames."""
    recorded = [recording.read(scene) for scene in recording.scenes()]
    for frames in itertools.cycle(recorded):
        yield from itertools.islice(itertools.cycle(frames), frames_per_scene)


def main(argv: Sequence[str] | None = None) -> int:
    """Play until a signal stops it. Exit code 0, or 1 when its output is no longer read."""
    parser = argparse.ArgumentParser(
        prog="python -m pose_node.ros.demo.player", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--rate", type=float, default=10.0, help="frames a second (default 10)")
    parser.add_argument(
        "--scene-seconds", type=float, default=5.0, help="seconds that each scene is repeated for (default 5)"
    )
    options, ros_arguments = parser.parse_known_args(argv)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    rclpy.init(args=ros_arguments, signal_handler_options=SignalHandlerOptions.NO)
    player = Player(options.rate, options.scene_seconds)
    try:
        while not stopping.is_set():
            rclpy.spin_once(player, timeout_sec=0.1)
    except BrokenPipeError:
        return 1  # whoever started the player has ended
    finally:
        player.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
