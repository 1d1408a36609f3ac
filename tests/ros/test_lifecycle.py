"""Lifecycle and parameters of the real node, over DDS."""

from __future__ import annotations

import signal

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from lifecycle_msgs.msg import Transition
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import DescribeParameters, ListParameters, SetParameters
from rclpy.qos import ReliabilityPolicy
from ros_testing import OBJECT, call, change, node_arguments, state

from pose_node.ros import parameters


def set_number(peer, name: str, value: float):
    parameter = Parameter(name=name, value=ParameterValue(type=3, double_value=value))
    return call(peer, SetParameters, "set_parameters", SetParameters.Request(parameters=[parameter])).results[0]


def test_a_managed_node_goes_through_its_states(shipped, peer, start, camera):
    process = start("pose_node.ros.node", *node_arguments(autostart="false"))
    assert state(peer) == "unconfigured"
    assert set_number(peer, "judge.min_score", 0.4).successful
    assert change(peer, Transition.TRANSITION_CONFIGURE)
    assert state(peer) == "inactive"
    refused = set_number(peer, "judge.min_explained", 0.2)
    assert not refused.successful
    assert "clean up" in refused.reason
    assert set_number(peer, "tf_wait_s", 0.1).successful, "what each frame reads may change"
    assert not set_number(peer, "tf_wait_s", 100.0).successful
    assert change(peer, Transition.TRANSITION_ACTIVATE)
    peer.settled = False  # its subscriptions are new
    stamp = camera.send(peer)
    peer.wait(stamp, "pose")
    assert set_number(peer, "judge.min_score", 1.0).successful, "from the next frame on nothing is good enough"
    assert not peer.wait(camera.send(peer), "poses").poses
    assert set_number(peer, "judge.min_score", 0.4).successful
    peer.wait(camera.send(peer), "pose")
    for _ in range(20):
        assert change(peer, Transition.TRANSITION_DEACTIVATE)
        assert change(peer, Transition.TRANSITION_ACTIVATE)
    peer.settled = False  # its subscriptions are new
    stamp = camera.send(peer)
    peer.wait(stamp, "pose")
    assert change(peer, Transition.TRANSITION_DEACTIVATE)
    for publisher in peer.publishers.values():  # a node that a test before killed may be counted for a while
        peer.until(lambda: not publisher.get_subscription_count())  # noqa: B023
    assert change(peer, Transition.TRANSITION_CLEANUP)
    assert state(peer) == "unconfigured"
    assert change(peer, Transition.TRANSITION_CONFIGURE)
    assert change(peer, Transition.TRANSITION_ACTIVATE)
    peer.settled = False  # its subscriptions are new
    stamp = camera.send(peer)
    peer.wait(stamp, "pose")
    assert change(peer, Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert state(peer) == "finalized"
    assert process.end() == 0, process.output()


def test_reliability_may_change_while_it_runs(shipped, peer, start):
    process = start("pose_node.ros.node", *node_arguments())
    process.wait_for("active")

    def asked_for(quality: ReliabilityPolicy) -> bool:
        ends = peer.node.get_subscriptions_info_by_topic("depth/image_rect")
        return [e.qos_profile.reliability for e in ends if e.node_name == "pose_node"] == [quality]

    for value, quality in (("reliable", ReliabilityPolicy.RELIABLE), ("best_effort", ReliabilityPolicy.BEST_EFFORT)):
        parameter = Parameter(name="reliability", value=ParameterValue(type=4, string_value=value))
        request = SetParameters.Request(parameters=[parameter])
        assert call(peer, SetParameters, "set_parameters", request).results[0].successful
        peer.until(lambda: asked_for(quality))  # noqa: B023
    assert process.end() == 0, process.output()  # a killed node's services seem to be there in the tests to come


def test_a_managed_node_that_cannot_configure_says_why(peer, start, tmp_path):
    process = start("pose_node.ros.node", *node_arguments(autostart="false", models=str(tmp_path / "nowhere")))
    assert not change(peer, Transition.TRANSITION_CONFIGURE)
    assert state(peer) == "unconfigured"
    process.wait_for("found no folder")
    assert process.end() == 0, process.output()


def test_parameters_carry_their_sentence_and_range(peer, start):
    process = start("pose_node.ros.node", *node_arguments(autostart="false"))
    names = call(peer, ListParameters, "list_parameters", ListParameters.Request()).result.names
    ours = {parameter.name: parameter for parameter in parameters.parameters()}
    assert set(ours) <= set(names)
    request = DescribeParameters.Request(names=["segment.far_m", "infer.threads", "reliability"])
    far, threads, reliability = call(peer, DescribeParameters, "describe_parameters", request).descriptors
    assert far.description == ours["segment.far_m"].metadata["doc"]
    assert (far.floating_point_range[0].from_value, far.floating_point_range[0].to_value) == (0.0, 100.0)
    assert threads.integer_range[0].from_value == 1
    assert "best_effort" in reliability.additional_constraints
    refused = set_number(peer, "segment.far_m", 1000.0)
    assert not refused.successful
    assert process.end() == 0, process.output()


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"segment.fra_m": "2.0"}, "parameter segment.fra_m: unknown (did you mean 'segment.far_m'?)"),
        ({"segment.far_m": "1000.0"}, "parameter segment.far_m: found 1000.0, expected a number from 0 to 100."),
        ({"input": "video"}, "parameter input: found 'video', expected one of auto, depth, points."),
        ({"infer.threads": "two"}, "parameter infer.threads: found 'two', expected int."),
        ({"objects": "[no_such_thing]"}, "objects: found 'no_such_thing', expected one of"),
        ({"mask_labels": "[five]"}, "mask_labels: found 'five', expected 'LABEL:OBJECT'"),
        ({"mask_labels": "['5:spoon']"}, "parameter mask_labels: found object 'spoon', expected one of " + OBJECT),
        ({"models": "/nowhere"}, "models: found no folder /nowhere"),
    ],
)
def test_an_invalid_parameter_is_refused_at_start_in_one_sentence(peer, start, overrides, sentence):
    process = start("pose_node.ros.node", *node_arguments(**overrides))
    assert process.popen.wait(60.0) == 2
    assert sentence in process.output()
    assert "Traceback" not in process.output()


def test_an_int_is_accepted_for_a_double(peer, start):
    process = start("pose_node.ros.node", *node_arguments(autostart="false", **{"segment.far_m": "2"}))
    assert state(peer) == "unconfigured"
    assert process.end() == 0, process.output()


def test_arguments_other_than_ros_s_are_refused(peer, start):
    process = start("pose_node.ros.node", "--models", "elsewhere")
    assert process.popen.wait(60.0) == 2
    assert "unknown arguments --models elsewhere" in process.output()


def test_arguments_that_ros_cannot_read_are_one_sentence(start):
    process = start("pose_node.ros.node", "--ros-args", "--log-level", "loud")
    assert process.popen.wait(60.0) == 2
    assert "pose_node: " in process.output() and "loud" in process.output()
    assert "Traceback" not in process.output()


def test_ctrl_c_during_loading_ends_node_and_detector_without_a_traceback(shipped, peer, start):
    psutil = pytest.importorskip("psutil", reason="the benchmarks' packages are not installed")
    pytest.importorskip("tf2_msgs", reason="neither a ROS installation nor script/setup has made tf2_msgs")
    process = start("pose_node.ros.node", *node_arguments(fixed_frame="camera"))
    process.wait_for("loaded")  # its detector is still importing
    children = psutil.Process(process.popen.pid).children(recursive=True)
    for child in [psutil.Process(process.popen.pid), *children]:  # as a terminal does
        child.send_signal(signal.SIGINT)
    assert process.popen.wait(60.0) == 0, process.output()
    assert "Traceback" not in process.output()
    assert children and not psutil.wait_procs(children, timeout=20.0)[1]


def test_diagnostics_are_published_while_there_is_no_clock(shipped, peer, start):
    process = start("pose_node.ros.node", *node_arguments(use_sim_time="true"))
    process.wait_for("active")
    peer.forget()
    values = peer.until(lambda: v if "no_clock" in (v := peer.values()).get("message", "") else None)
    assert values["level"] == "1" and "/clock" in values["message"]
    assert peer.received["diagnostics"][-1].header.stamp.sec > 0
    from rosgraph_msgs.msg import Clock

    clock = peer.node.create_publisher(Clock, "/clock", 10)
    peer.until(clock.get_subscription_count)
    tick = Clock()
    tick.clock.sec = 77

    def stamped() -> bool:
        clock.publish(tick)
        return peer.received["diagnostics"][-1].header.stamp.sec == 77

    peer.until(stamped)
    assert "no_clock" not in peer.values()["message"]
    peer.node.destroy_publisher(clock)
    assert process.end() == 0, process.output()
