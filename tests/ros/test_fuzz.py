"""Whatever comes in by DDS: the node stays up, publishes nothing that is not finite, and answers the next good frame."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("tf2_msgs", reason="neither a ROS installation nor script/setup has made tf2_msgs")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ros_testing import OBJECT, active_node

from benchmarks.fuzzed import Fuzzer

BATCH = 40


@pytest.fixture(scope="module")
def busy(shipped, peer, tmp_path_factory):
    """A node that tracks in the camera's own frame, with all inputs; one for all examples."""
    log = tmp_path_factory.mktemp("node") / "node.log"
    with active_node(peer, log, fixed_frame="camera", **{"track.detect_beside": "false"}) as process:
        yield process


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6))
def test_the_node_survives_any_input(busy, peer, camera, seed):
    fuzzer = Fuzzer(seed)
    for _ in range(BATCH):
        topic, message = fuzzer.message()
        publisher = peer.publisher(topic, type(message))
        peer.settle([publisher])
        publisher.publish(message)
        peer.spin(0.005)
    assert busy.popen.poll() is None, busy.output()
    for message in peer.received["poses"]:
        for pose in message.poses:
            p, q = pose.position, pose.orientation
            assert np.isfinite([p.x, p.y, p.z]).all()
            assert np.linalg.norm([q.x, q.y, q.z, q.w]) == pytest.approx(1.0, abs=1e-9)
    peer.spin(1.2)  # a source that was silent for a second is no longer preferred to the other one
    for _ in range(3):  # a subscription that adapts to the fuzzer's publishers may lose a frame
        stamp = camera.send(peer)
        answered = peer.until(lambda stamp=stamp: peer.answer(stamp), 20.0, must=False)
        if answered:
            break
    assert answered, f"no valid frame is answered after seed {seed}: {peer.values()}"
    answer = peer.wait(camera.send(peer))  # a track is confirmed by its second frame
    assert answer.header.frame_id == "camera"
    assert len(answer.poses) == 1, f"{OBJECT} after seed {seed}: {peer.values()}"
