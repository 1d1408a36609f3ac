"""The node and its messages, as the benchmarks of the ROS side start and feed it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from benchmarks import results

_PROFILES = "FASTRTPS_DEFAULT_PROFILES_FILE"


def use_driver_profile() -> None:
    """Send large messages as a camera driver with ``config/fastdds.xml``; call before rclpy is first used."""
    os.environ[_PROFILES] = str(results.ROOT / "config" / "fastdds.xml")


def start(command: Sequence[str], log: Any) -> subprocess.Popen[bytes]:
    """The node as a process with a robot's own settings of DDS; its output goes to the open file ``log``."""
    environment = {key: value for key, value in os.environ.items() if key != _PROFILES}
    return subprocess.Popen(command, cwd=results.ROOT, stdout=log, stderr=log, env=environment)


def command(objects: Sequence[str], **parameters: str) -> list[str]:
    """The command line of a node that searches for shipped ``objects``, with these further parameters."""
    values = {"models": str(results.ROOT / "models"), "objects": f"[{', '.join(objects)}]", **parameters}
    words = [word for name, value in values.items() for word in ("-p", f"{name}:={value}")]
    return [sys.executable, "-m", "pose_node.ros.node", "--ros-args", *words]


def mask_image(frame: Any, bop_ids: Collection[int]) -> Any:
    """sensor_msgs/Image of labels of a frame of the demo's recording: the BOP ids of these objects, 0 elsewhere."""
    from sensor_msgs.msg import Image

    pixels = np.zeros(frame.depth_m.shape, np.uint8)
    for label, (bop_id, _) in enumerate(frame.labels):
        if bop_id in bop_ids:
            pixels[frame.mask(label)] = bop_id
    image = Image(height=pixels.shape[0], width=pixels.shape[1], encoding="mono8", step=pixels.shape[1])
    image.data = pixels.tobytes()
    return image
