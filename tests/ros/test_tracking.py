"""The node with a fixed frame: /tf in, steady tracks out; the same tracks as of the recording; and what TF can do wrong."""

from __future__ import annotations

import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("rosbags", reason="the evaluation side is not installed")
pytest.importorskip("tf2_msgs", reason="neither a ROS installation nor script/setup has made tf2_msgs")

from rclpy.serialization import deserialize_message
from ros_testing import MODELS, OBJECT, call, node_arguments
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import SetBool, Trigger
from tf2_msgs.msg import TFMessage

from benchmarks.labelled_bag import FRAME, rendered_frames, write_labelled_bag
from pose_node.evaluation.run_folder import POSES_FILE, read_run
from pose_node.evaluation.runs.bag_run import evaluate_bag
from pose_node.evaluation.sources.recordings import Recording

ID = 5
TOPICS = {
    "/tf_static": ("/tf_static", TFMessage),
    "/tf": ("/tf", TFMessage),
    "/camera/mask": ("mask", Image),
    "/camera/depth/camera_info": ("depth/camera_info", CameraInfo),
    "/camera/depth/image_rect": ("depth/image_rect", Image),
}
TF = ("/tf", "/tf_static")
SETTINGS = "track: {detect_period_s: 0.4, detect_lag_s: 0.2, detect_beside: false}\n"
OVERRIDES = {"track.detect_period_s": "0.4", "track.detect_lag_s": "0.2", "track.detect_beside": "false"}


@pytest.fixture(scope="module")
def recorded(shipped, tmp_path_factory):
    """A bag of a moving camera, and its messages by topic: [(topic of the node, kind, message), ...] a frame."""
    frames = [replace(f, mask=np.where(f.mask == ID, f.mask, 0)) for f in rendered_frames(MODELS, 6, 0)]
    bag = write_labelled_bag(tmp_path_factory.mktemp("bag") / "drive", frames)
    return bag, messages_of(bag)


def messages_of(bag):
    """The messages of each frame of a bag."""
    by_stamp: dict[int, list] = {}
    with AnyReader([bag]) as reader:
        for connection, stamp, data in reader.messages([c for c in reader.connections if c.topic in TOPICS]):
            topic, kind = TOPICS[connection.topic]
            by_stamp.setdefault(stamp, []).append((topic, kind, deserialize_message(bytes(data), kind)))
    return list(by_stamp.values())


@pytest.fixture
def tracking(start, shipped, peer):
    """The node that tracks in the frame world, active."""
    process = start("pose_node.ros.node", *node_arguments(fixed_frame="world", tf_wait_s="0.5", **OVERRIDES))
    process.wait_for("active")
    peer.forget()
    return process


def settle(peer, frames):
    """Wait until this node, and not the one of the test before, hears all that is sent."""
    publishers = [peer.publisher(topic, kind) for topic, kind, _ in frames[0]]
    heard = [f"publishers.{topic}" for topic, _, _ in frames[0]]
    peer.until(lambda: all(int(peer.values().get(key, 0)) for key in heard))
    peer.settle(publishers)


def send(peer, parts, without=()):
    """Publish one frame, its transforms first; return its stamp."""
    order = [topic for topic, _ in TOPICS.values()]
    for topic, kind, message in sorted(parts, key=lambda part: order.index(part[0])):
        if topic not in without:
            peer.publisher(topic, kind).publish(message)
    return next(message.header.stamp for topic, _, message in parts if topic == "depth/image_rect")


def numbers(pose) -> list[float]:
    p, q = pose.position, pose.orientation
    return [p.x, p.y, p.z, q.x, q.y, q.z, q.w]


def test_tracks_over_dds_equal_those_of_the_recording(tracking, peer, recorded, tmp_path):
    bag, frames = recorded
    (tmp_path / "config.yaml").write_text(SETTINGS)
    config = tmp_path / "config.yaml"
    evaluate_bag(bag, tmp_path / "run", MODELS, config, names=[OBJECT], labels={ID: OBJECT}, track=True)
    with Recording(tmp_path / "run" / POSES_FILE) as recording:
        offline = [m.message for m in recording.messages(["/pose_node/poses"])]
    settle(peer, frames)
    online = [peer.wait(send(peer, parts)) for parts in frames]
    # What one frame alone showed is tentative, and no pose to act on.
    assert [len(message.poses) for message in offline] == [0, 1, 1, 1, 1, 1] and len(online) == 6
    for said, written in zip(online, offline):
        assert [numbers(pose) for pose in said.poses] == [numbers(pose) for pose in written.poses]
    values = peer.until(lambda: v if (v := peer.values()).get("tracks.confirmed") == "1" else None)
    assert values["fixed_frame"] == "world"
    assert values[f"track.1.{OBJECT}"].startswith("confirmed")


def test_without_the_cameras_pose_a_frame_is_refused_and_the_next_ones_work(tracking, peer, recorded):
    _, frames = recorded
    settle(peer, frames)
    peer.wait(send(peer, frames[0]))
    send(peer, frames[1], without=("/tf",))
    values = peer.until(lambda: v if (v := peer.values()).get("refused.tf_late") else None)
    assert float(values["tf_age_s"]) == pytest.approx(0.2), "the last frame's pose did not come"
    assert "after the last sample" in values["last_refusal"]
    assert peer.wait(send(peer, frames[2])).poses, "the second frame that was used"


def shifted(parts, seconds: int):
    """The frame with other stamps."""
    parts = deepcopy(parts)
    for topic, _, message in parts:
        for each in message.transforms if topic in TF else [message]:
            each.header.stamp.sec += seconds
    return parts


def test_a_recording_that_restarts_has_new_tracks(tracking, peer, recorded):
    _, frames = recorded
    settle(peer, frames)
    for again in (100, 0):
        found = [len(peer.wait(send(peer, shifted(parts, again))).poses) for parts in frames[:2]]
        assert found == [0, 1], "a track is confirmed by its second frame"
    values = peer.until(lambda: v if f"track.2.{OBJECT}" in (v := peer.values()) else None)
    assert f"track.1.{OBJECT}" not in values
    peer.until(lambda: peer.values()["tf_age_s"] == "0.000")  # a pose came with each image


def test_an_object_that_appears_while_another_is_tracked_is_tracked(start, shipped, peer, tmp_path):
    """At default settings, with the detector's process, stamps that jitter by a millisecond."""
    both = replace(rendered_frames(MODELS, 1, 0)[0], T_world_camera=None)
    one = replace(both, mask=np.where(both.mask == ID, both.mask, 0).astype(np.uint8))
    first, later = messages_of(write_labelled_bag(tmp_path / "still", [one, both]))
    overrides = {"objects": f"[{OBJECT}, potted_meat_can]", "mask_labels": f"['{ID}:{OBJECT}', '9:potted_meat_can']"}
    process = start("pose_node.ros.node", *node_arguments(fixed_frame=FRAME, **overrides))
    process.wait_for("active")
    peer.forget()
    settle(peer, [first])
    rng = np.random.default_rng(0)
    for i in range(60):
        parts, stamp_ns = deepcopy(first if i < 3 else later), int(1e9 * (100.0 + 0.2 * i + 0.001 * rng.normal()))
        for _, _, message in parts:
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
        peer.wait(send(peer, parts))
        peer.spin(0.2)
        if peer.values().get("tracks.confirmed") == "2":
            break
    states = {key: state for key, state in peer.values().items() if key.startswith("track.")}
    assert sorted(key.split(".")[2] for key, state in states.items() if state.startswith("confirmed")) == [
        OBJECT,
        "potted_meat_can",
    ], states


def test_the_cameras_pose_may_come_after_the_image(tracking, peer, recorded):
    _, frames = recorded
    settle(peer, frames)
    for k, parts in enumerate(frames[:2]):
        stamp = send(peer, parts, without=TF)
        peer.spin(0.1)
        send(peer, parts, without=[topic for topic, *_ in parts if topic not in TF])
        assert len(peer.wait(stamp).poses) == k


def test_tracks_are_forgotten_and_a_detection_is_made_when_asked(tracking, peer, recorded):
    _, frames = recorded
    settle(peer, frames)
    peer.wait(send(peer, frames[0]))
    for name in ("reset_tracks", "detect"):
        assert call(peer, Trigger, name, Trigger.Request()).success
    peer.wait(send(peer, frames[1]))
    values = peer.until(lambda: v if f"track.2.{OBJECT}" in (v := peer.values()) else None)
    assert f"track.1.{OBJECT}" not in values


def test_an_object_can_be_deactivated_and_activated(tracking, peer, recorded):
    _, frames = recorded
    settle(peer, frames)
    peer.wait(send(peer, frames[0]))
    assert peer.wait(send(peer, frames[1])).poses
    assert call(peer, SetBool, f"{OBJECT}/set_active", SetBool.Request(data=False)).success
    assert not peer.wait(send(peer, frames[2])).poses
    assert call(peer, SetBool, f"{OBJECT}/set_active", SetBool.Request(data=True)).success
    peer.wait(send(peer, frames[3]))
    assert peer.wait(send(peer, frames[4])).poses


def test_tracks_are_frames_and_detections_with_their_names(start, shipped, peer, recorded):
    messages = pytest.importorskip("vision_msgs.msg", reason="vision_msgs is not installed")
    _, frames = recorded
    process = start("pose_node.ros.node", *node_arguments(fixed_frame="world", publish_tf="true", **OVERRIDES))
    process.wait_for("active")
    received = {"/tf": [], "/pose_node/detections": []}
    for topic, kind in (("/tf", TFMessage), ("/pose_node/detections", messages.Detection3DArray)):
        peer.node.create_subscription(kind, topic, received[topic].append, 100)
    peer.forget()
    settle(peer, frames)
    poses_by_id = []
    for parts in frames[:2]:
        stamp = send(peer, parts)
        poses = peer.wait(stamp).poses
        message = peer.until(lambda: [m for m in received["/pose_node/detections"] if m.header.stamp == stamp])[0]  # noqa: B023
        (detection,) = message.detections
        assert detection.results[0].hypothesis.class_id == OBJECT
        poses_by_id.append((detection.id, [pose == detection.results[0].pose.pose for pose in poses]))
    assert poses_by_id == [(f"{OBJECT}_1/tentative", []), (f"{OBJECT}_1", [True])]
    edges = peer.until(
        lambda: [t for m in received["/tf"] for t in m.transforms if t.child_frame_id == f"pose_node/{OBJECT}_1"]
    )
    assert (edges[0].header.frame_id, edges[0].header.stamp) == ("world", stamp)


def test_a_live_view_draws_the_track_and_the_camera_in_the_fixed_frame(tracking, start, peer, recorded, tmp_path):
    pytest.importorskip("rerun", reason="the viewing side is not installed")
    sys.path.insert(0, str(Path(__file__).parents[1] / "viewing"))
    from reading import column

    bag, frames = recorded
    path = tmp_path / "live.rrd"
    view = start("pose_node", "view", "--live", "--objects", OBJECT, "--models", str(MODELS), "--save", str(path))
    view.wait_for("drawing in world")
    settle(peer, frames)
    for topic, listeners in (("/tf", 2), ("depth/image_rect", 2), ("/pose_node/detections", 1)):
        peer.until(lambda: peer.node.count_subscribers(topic) >= listeners)  # noqa: B023
    peer.spin(1.0)  # both copy the reliability of publishers that they see
    for parts in frames:
        peer.wait(send(peer, parts))
        peer.spin(0.4)
    peer.spin(1.0)
    assert view.end() == 0, view.output()
    (tmp_path / "config.yaml").write_text(SETTINGS)
    arguments = (bag, tmp_path / "run", MODELS, tmp_path / "config.yaml")
    evaluate_bag(*arguments, names=[OBJECT], labels={ID: OBJECT}, track=True)
    drawn = column(path, f"/fixed/objects/{OBJECT}_1", "Translation3D")
    cameras = column(path, "/fixed/camera", "Translation3D")
    offline = {frame.stamp_ns: frame for frame in read_run(tmp_path / "run").frames}
    assert set(drawn) <= set(offline) and drawn
    for stamp_ns, (at,) in drawn.items():
        np.testing.assert_allclose(at, offline[stamp_ns].tracks[0].T_fixed_object[:3, 3], atol=1e-6)
    for stamp_ns, (at,) in cameras.items():
        np.testing.assert_allclose(at, offline[stamp_ns].T_fixed_camera[:3, 3], atol=1e-6)
    assert cameras


def test_without_a_fixed_frame_reset_is_refused(node, peer):
    answer = call(peer, Trigger, "reset_tracks", Trigger.Request())
    assert not answer.success
    assert "fixed_frame" in answer.message


def test_a_killed_detector_is_started_again(start, shipped, peer, recorded):
    import psutil

    _, frames = recorded
    process = start("pose_node.ros.node", *node_arguments(fixed_frame="world", **{"track.detect_period_s": "0.1"}))
    process.wait_for("active")
    peer.forget()
    settle(peer, frames)
    peer.wait(send(peer, frames[0]))
    children = psutil.Process(process.popen.pid).children(recursive=True)
    assert children
    for child in children:
        child.kill()
    for parts in frames[1:]:
        assert peer.wait(send(peer, parts)).poses
    assert process.popen.poll() is None
