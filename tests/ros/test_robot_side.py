"""The node runs on a machine without torch."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from ros_testing import node_arguments


def test_the_node_answers_without_torch_escnn_and_open3d(shipped, peer, start, camera):
    process = start(str(Path(__file__).with_name("robot_only.py")), *node_arguments())
    process.wait_for("active")
    # A camera sends on and on: the first frames may pass before the two have found each other.
    for _ in range(10):
        stamp = camera.send(peer)
        if answered := peer.until(lambda stamp=stamp: peer.answer(stamp, "pose"), 5.0, must=False):
            break
    assert answered, peer.values()
    assert process.end() == 0, process.output()
