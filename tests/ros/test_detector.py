"""The node and its detector's process: neither outlives the other, and what goes wrong is said in /diagnostics."""

from __future__ import annotations

import shutil
import signal

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("tf2_msgs", reason="neither a ROS installation nor script/setup has made tf2_msgs")

from builtin_interfaces.msg import Time
from lifecycle_msgs.msg import Transition
from ros_testing import MODELS, OBJECT, call, change, node_arguments, state
from std_srvs.srv import Trigger

psutil = pytest.importorskip("psutil", reason="the benchmarks' packages are not installed")

OFTEN = {"fixed_frame": "camera", "track.detect_period_s": "0.2", "track.detect_lag_s": "0.1"}


def detector_of(process):
    (child,) = psutil.Process(process.popen.pid).children(recursive=True)
    return child


def track(peer, camera, condition, begin_s):
    """Send frames at 10 Hz until the diagnostics meet the condition, and return them."""
    for i in range(600):
        camera.send(peer, stamp=Time(sec=begin_s + i // 10, nanosec=i % 10 * 100_000_000))
        peer.spin(0.1)
        if condition(values := peer.values()):
            return values
    raise AssertionError(f"not in 600 frames: {peer.values()}")


@pytest.fixture
def tracking(start, peer, shipped, camera):
    """The node that tracks, with its detector ready."""
    process = start("pose_node.ros.node", *node_arguments(**OFTEN))
    process.wait_for("active")
    peer.forget()
    track(peer, camera, lambda v: v.get("tracks.confirmed") == "1" and v.get("detector") == "ready", 1000)
    return process


def test_a_killed_node_leaves_no_detector(tracking):
    detector = detector_of(tracking)
    tracking.end(signal.SIGKILL)
    assert not psutil.wait_procs([detector], timeout=20.0)[1]


def test_a_hung_detector_is_reported_and_does_not_delay_the_end(tracking, peer, camera):
    detector = detector_of(tracking)
    detector.suspend()
    values = track(peer, camera, lambda v: "expected an answer within" in v.get("detector.problem", ""), 2000)
    assert (values["level"], values["message"]) == ("1", values["detector.problem"])
    answer = call(peer, Trigger, "detect", Trigger.Request())
    assert not answer.success
    assert "expected an answer within" in answer.message
    assert tracking.end() == 0, tracking.output()
    assert not psutil.wait_procs([detector], timeout=20.0)[1]


def test_a_killed_detector_is_reported_until_it_answers_again(tracking, peer, camera):
    for times in (1, 2):
        detector_of(tracking).kill()
        values = track(peer, camera, lambda v: v.get("detector.failures") == str(times), 1000 * (1 + times))  # noqa: B023
        assert values["level"] == "1" and "SIGKILL" in values["message"]
        track(peer, camera, lambda v: v.get("detector.problem") == "" and v["level"] == "0", 1000 * (1 + times) + 500)
    assert tracking.end() == 0, tracking.output()


def test_a_detector_that_cannot_start_puts_the_node_in_the_error_state(start, peer, shipped, tmp_path):
    shutil.copytree(MODELS / OBJECT, tmp_path / "models" / OBJECT)
    process = start("pose_node.ros.node", *node_arguments(models=str(tmp_path / "models"), fixed_frame="camera"))
    process.wait_for("active")
    peer.until(lambda: peer.values().get("detector") == "ready")
    network = tmp_path / "models" / OBJECT / "bank.npz"
    kept = network.read_bytes()
    network.unlink()
    detector_of(process).kill()
    peer.until(lambda: peer.values().get("state") == "unconfigured")
    assert state(peer) == "unconfigured"
    peer.spin(0.5)  # it lasts
    values = peer.values()
    assert values["level"] == "2" and "bank.npz" in values["message"] and "not started again" in values["message"]
    network.write_bytes(kept)
    assert change(peer, Transition.TRANSITION_CONFIGURE)
    assert change(peer, Transition.TRANSITION_ACTIVATE)
    peer.until(lambda: peer.values().get("state") == "active" and peer.values()["level"] != "2")
    assert process.end() == 0, process.output()
