"""What others do on /tf and /tf_static, by real DDS: transforms that are latched, late, foreign, post-dated or of our own node."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("tf2_msgs", reason="neither a ROS installation nor script/setup has made tf2_msgs")

from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_testing import node_arguments
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

START_S = 5000.0
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def stamp(seconds: float) -> Time:
    whole, part = divmod(round(seconds * 1e9), 10**9)
    return Time(sec=whole, nanosec=part)


def message(parent: str, child: str, seconds: float = 0.0) -> TFMessage:
    one = TransformStamped(child_frame_id=child)
    one.header.frame_id, one.header.stamp = parent, stamp(seconds)
    return TFMessage(transforms=[one])


@pytest.fixture
def publisher(peer):
    """Publishers of TFMessages that end with the test: publisher(topic, quality of service)."""
    made = []

    def make(topic: str, quality: QoSProfile | int = 100):
        made.append(peer.node.create_publisher(TFMessage, topic, quality))
        return made[-1]

    yield make
    for each in made:
        peer.node.destroy_publisher(each)


def known(peer, topics) -> None:
    """Wait until the node counts a publisher of each of these topics: a node that was killed before may still seem to subscribe."""
    for topic, kind in (("mask", Image), ("depth/camera_info", CameraInfo), ("depth/image_rect", Image)):
        peer.publisher(topic, kind)
    heard = [f"publishers.{topic}" for topic in ("mask", "depth/camera_info", "depth/image_rect", *topics)]
    peer.until(lambda: all(int(peer.values().get(key, 0)) for key in heard))
    peer.spin(0.5)  # and takes on their reliability


def masked(peer, camera, seconds: float):
    return camera.send(peer, mask=camera.mask(), stamp=stamp(seconds))


def send_until(peer, send, condition):
    """Send until the condition holds: first frames are lost while subscriptions adapt to their publishers."""
    for k in range(50):
        send(START_S - 50.0 + k)
        if found := peer.until(condition, 1.0, must=False):
            return found
    raise AssertionError(f"no answer: {peer.values()}")


def test_clouds_in_another_frame_are_seen_from_the_viewpoint_frame(start, shipped, peer, camera, publisher, tmp_path):
    """The cloud stands 0.8 m off its frame's origin, and the masks are the camera's own."""
    away = message("base", "camera", START_S)
    away.transforms[0].transform.translation.x = 0.8
    moved = camera.points()
    xyz = np.frombuffer(moved.data, np.float32).reshape(-1, 3) + np.float32([0.8, 0.0, 0.0])
    moved.data = xyz.tobytes()
    moved.header.frame_id = "base"
    process = start("pose_node.ros.node", *node_arguments(viewpoint_frame="camera", tf_wait_s="2.0"))
    process.wait_for("active")
    peer.forget()
    static = publisher("/tf_static", LATCHED)
    static.publish(away)
    peer.spin(1.0)
    (pose,) = send_until(
        peer,
        lambda seconds: camera.send(peer, points=moved, stamp=stamp(seconds)),
        lambda: next((m.poses for m in peer.received["poses"] if m.poses and m.header.frame_id == "base"), None),
    )
    assert pose.position.x == pytest.approx(0.8 + camera.truth[0, 3], abs=0.02)
    assert "rejected.viewpoint" not in peer.until(peer.values)


@pytest.mark.parametrize(("reliability", "with_a_volatile_one"), [("best_effort", False), ("auto", True)])
def test_latched_transforms_come_to_a_node_that_starts_after_them(
    start, shipped, peer, camera, publisher, reliability, with_a_volatile_one
):
    publisher("/tf_static", LATCHED).publish(message("world", "camera"))
    if with_a_volatile_one:
        publisher("/tf_static").publish(message("world", "cup"))
    process = start("pose_node.ros.node", *node_arguments(fixed_frame="world", reliability=reliability))
    process.wait_for("active")
    peer.forget()
    known(peer, ("/tf_static",))
    send_until(
        peer,
        lambda seconds: masked(peer, camera, seconds),
        lambda: any(len(m.poses) == 1 for m in peer.received["poses"]),
    )
    assert peer.until(lambda: peer.values().get("tf_age_s")) == "static"


def test_other_publishers_and_odd_stamps_on_tf_cost_no_frame(start, shipped, peer, camera, publisher):
    """Beside the camera's own edges: a publisher 1.6 s behind, one of stamp 0, a localisation that post-dates by a second."""
    publisher("/tf_static", LATCHED).publish(message("arm", "camera"))
    ours, theirs = publisher("/tf"), publisher("/tf")
    process = start("pose_node.ros.node", *node_arguments(fixed_frame="map", tf_wait_s="1.0"))
    process.wait_for("active")
    peer.forget()
    known(peer, ("/tf", "/tf_static"))
    send_until(
        peer,
        lambda seconds: masked(peer, camera, seconds),
        lambda: any("refused.tf" in key for key in peer.values()),  # there is no transform yet
    )
    peer.spin(2.0)
    before = {key: value for key, value in peer.values().items() if key.startswith("refused.tf")}
    for k in range(9):
        now = START_S + 0.25 * k
        theirs.publish(message("elsewhere", "cup", now - 1.6))
        theirs.publish(message("elsewhere", "spoon", 0.0))
        ours.publish(message("map", "odom", now + 1.0))
        ours.publish(message("odom", "arm", now))
        if k > 4:  # from where the post-dated edge covers what is asked
            assert len(peer.wait(masked(peer, camera, now)).poses) == (k > 5), "from the second frame on: " + str(
                peer.values()
            )
    peer.spin(0.5)
    assert {key: value for key, value in peer.values().items() if key.startswith("refused.tf")} == before


def test_what_tf_lacks_is_reported(start, shipped, peer, camera, publisher):
    publisher("/tf_static", LATCHED).publish(message("base", "gripper"))
    process = start("pose_node.ros.node", *node_arguments(fixed_frame="world"))
    process.wait_for("active")
    peer.forget()
    known(peer, ("/tf_static",))
    values = send_until(
        peer,
        lambda seconds: masked(peer, camera, seconds),
        lambda: v if "refused.tf_unknown" in (v := peer.values()) and "gripper" in v["tf_age_s"] else None,
    )
    assert values["tf_age_s"] == "transform: found frames base, gripper, expected 'world' among them."
    assert values["level"] != "0"
