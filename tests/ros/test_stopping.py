"""Deactivate, clean up and end in the middle of a frame, and end while objects load."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from lifecycle_msgs.msg import Transition
from ros_testing import MODELS, OBJECT, call, change, node_arguments, state
from std_srvs.srv import SetBool

SLOW = str(Path(__file__).with_name("slow_node.py"))
STILL = "an earlier frame has been in work"


@pytest.fixture
def slow(start, peer, shipped):
    """The node whose frames take seconds, active."""
    process = start(SLOW, *node_arguments())
    process.wait_for("active")
    peer.forget()
    return process


def in_a_frame(process, peer, camera, number: int = 1):
    """Send a frame, and return its stamp when it is worked on."""
    stamp = camera.send(peer)
    peer.until(lambda: process.output().count("frame begun") >= number)
    return stamp


def test_after_deactivate_no_earlier_frame_is_published_and_one_worker_runs(slow, peer, camera):
    before = in_a_frame(slow, peer, camera)
    assert change(peer, Transition.TRANSITION_DEACTIVATE)
    assert state(peer) == "inactive"
    peer.until(lambda: STILL in peer.values().get("message", ""))
    assert change(peer, Transition.TRANSITION_ACTIVATE)
    peer.settled = False  # its subscriptions are new
    after = camera.send(peer)
    peer.wait(after, "pose")
    assert peer.answer(before) is None
    values = peer.until(lambda: v if int((v := peer.values()).get("frames_processed", 0)) else None)
    assert values["frames_processed"] == "1", "counts are those of this activation"
    assert "TWO IN ONE PIPELINE" not in slow.output()
    assert slow.end() == 0, slow.output()


def test_cleanup_waits_for_the_frame_that_needs_the_objects(slow, peer, camera):
    in_a_frame(slow, peer, camera)
    assert change(peer, Transition.TRANSITION_DEACTIVATE)
    assert change(peer, Transition.TRANSITION_CLEANUP)
    assert "working_s" not in peer.until(lambda: v if (v := peer.values()).get("state") == "unconfigured" else None)
    assert change(peer, Transition.TRANSITION_CONFIGURE)
    assert change(peer, Transition.TRANSITION_ACTIVATE)
    peer.settled = False  # its subscriptions are new
    peer.wait(camera.send(peer), "pose")
    assert "TWO IN ONE PIPELINE" not in slow.output()
    in_a_frame(slow, peer, camera, 3)
    assert slow.end() == 0, "in the middle of a frame: " + slow.output()


def test_an_activation_searches_for_all_objects_again(node, peer):
    assert call(peer, SetBool, f"{OBJECT}/set_active", SetBool.Request(data=False)).success
    peer.until(lambda: peer.values().get("active") == "")
    assert change(peer, Transition.TRANSITION_DEACTIVATE)
    assert change(peer, Transition.TRANSITION_ACTIVATE)
    peer.until(lambda: peer.values().get("active") == OBJECT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_loading_ends_it_at_once(shipped, start, number):
    everything = f"[{', '.join(sorted(p.name for p in MODELS.iterdir() if (p / 'bank.npz').is_file()))}]"
    for _ in range(5):  # a busy machine may hand the signal over when all is loaded
        process = start("pose_node.ros.node", *node_arguments(objects=everything))
        process.wait_for("loading")
        assert process.end(number) == 0, process.output()
        assert "Traceback" not in process.output()
        if "loaded" not in process.output():
            return
    raise AssertionError(f"loaded in spite of the signal each time: {process.output()}")
