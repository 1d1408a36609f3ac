"""The node runs on a machine that has never heard of torch."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from ros_testing import node_arguments


def test_the_node_answers_without_torch_escnn_and_open3d(shipped, peer, start, camera):
    process = start(str(Path(__file__).with_name("robot_only.py")), *node_arguments())
    process.wait_for("active")
    stamp = camera.send(peer)
    assert peer.wait(stamp, "pose")
    assert process.end() == 0, process.output()
