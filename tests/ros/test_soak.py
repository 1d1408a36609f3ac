"""A minute of frames, tracked, with detections in parallel: memory stays where it was (``benchmarks.soak``: an hour)."""

from __future__ import annotations

import statistics
import time

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("tf2_msgs", reason="neither a ROS installation nor script/setup has made tf2_msgs")

from builtin_interfaces.msg import Time
from ros_testing import active_node

SECONDS, RATE_HZ = 60.0, 10.0


def test_memory_is_flat_over_a_minute(shipped, peer, camera, tmp_path):
    with active_node(peer, tmp_path / "node.log", fixed_frame="camera", sync_wait_s="2.0") as process:
        memory_mb, answered = [], 0
        begin = time.monotonic()
        while (now_s := time.monotonic() - begin) < SECONDS:
            stamp = Time(sec=5000 + int(now_s), nanosec=int(now_s % 1.0 * 1e9))
            camera.send(peer, stamp=stamp)
            peer.spin(1.0 / RATE_HZ)
            memory_mb.append(process.resident_mb())
            answered += peer.answer(stamp) is not None
            peer.forget()
    third = len(memory_mb) // 3
    assert answered > third, "frames were answered meanwhile"
    middle, end = memory_mb[third : 2 * third], memory_mb[2 * third :]
    assert statistics.fmean(end) < 1.03 * statistics.fmean(middle)
    assert max(end) < 1.05 * max(middle)
