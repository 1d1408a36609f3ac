"""The poses of a run, read back from the file that was written."""

from __future__ import annotations

import json

import numpy as np
from rosbags.highlevel import AnyReader
from rosbags.interfaces import MessageDefinitionFormat
from scipy.spatial.transform import Rotation

from pose_node.evaluation.records import EstimateRecord, FrameRecord, TrackRecord
from pose_node.evaluation.runs.poses_mcap import write_poses
from pose_node.evaluation.sources.recordings import Recording
from pose_node.evaluation.sources.sequential_reader import mcap_messages
from pose_node.geometry import se3

BOXES = {"can": np.array([[-0.03, -0.03, 0.0], [0.03, 0.03, 0.1]]), "box": np.array([[0.0, 0, 0], [0.1, 0.2, 0.3]])}


def random_pose(rng) -> np.ndarray:
    return se3.transform(Rotation.random(random_state=int(rng.integers(1 << 30))).as_matrix(), rng.normal(size=3))


def matrix(pose) -> np.ndarray:
    q, t = pose.orientation, pose.position
    return se3.transform(Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix(), np.array([t.x, t.y, t.z]))


def test_poses_and_camera_come_back(tmp_path, rng):
    frames = []
    for number in range(3):
        estimates = tuple(EstimateRecord(n, random_pose(rng), 0.9, np.eye(6)) for n in ("can", "can", "box"))
        stamp_ns = 1_700_000_000_000_000_001 + number
        frames.append(FrameRecord("s", str(number), stamp_ns, random_pose(rng), {}, 0.1, estimates=estimates))
    for _ in range(2):  # a second run replaces the first
        path = write_poses(tmp_path, frames, BOXES, "camera", "map")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["poses.mcap"]
    with Recording(path) as recording:
        assert recording.notes == []
        assert recording.topics == {
            "/pose_node/poses": "geometry_msgs/msg/PoseArray",
            "/pose_node/can/pose": "geometry_msgs/msg/PoseStamped",
            "/pose_node/box/pose": "geometry_msgs/msg/PoseStamped",
            "/pose_node/can/pose_with_covariance": "geometry_msgs/msg/PoseWithCovarianceStamped",
            "/pose_node/box/pose_with_covariance": "geometry_msgs/msg/PoseWithCovarianceStamped",
            "/pose_node/detections": "vision_msgs/msg/Detection3DArray",
            "/pose_node/markers": "visualization_msgs/msg/MarkerArray",
            "/tf": "tf2_msgs/msg/TFMessage",
        }
        arrays, best, tf = (
            [m.message for m in recording.messages([t])] for t in ("/pose_node/poses", "/pose_node/can/pose", "/tf")
        )
    for frame, array, can, moved in zip(frames, arrays, best, tf):
        assert array.header.frame_id == can.header.frame_id == moved.transforms[0].child_frame_id == "camera"
        assert can.header.stamp.nanosec == frame.stamp_ns % 10**9
        found = [matrix(pose) for pose in array.poses]
        np.testing.assert_allclose(found, [e.T_camera_object for e in frame.estimates], atol=1e-12)
        np.testing.assert_allclose(matrix(can.pose), frame.estimates[0].T_camera_object, atol=1e-12)
        assert moved.transforms[0].transform.translation.x == frame.T_fixed_camera[0, 3]


def test_the_file_meets_the_requirements_of_players(tmp_path, rng):
    """Well-known types with their whole definitions, log times that never fall in the file, names without a slash; frames out
    of order are put in order, and a scene of a clock set back comes after the one before."""
    frames = []
    for scene, stamps in (("a", (10, 12, 11, 13)), ("a_2", (9, 10, 14))):
        for stamp in stamps:
            estimates = (EstimateRecord("can", random_pose(rng), 0.9, np.eye(6)),)
            T = random_pose(rng)
            frames.append(FrameRecord(scene, "", stamp * 10**9, T, {}, 0.1, estimates=estimates))
    path = write_poses(tmp_path, frames, BOXES, "/camera", "/map")
    raw = [one for one in mcap_messages(path) if one.topic == "/pose_node/poses"]
    assert [one.logged_ns // 10**9 for one in raw] == [10, 11, 12, 13, 14, 15, 19]
    with AnyReader([path]) as reader:
        for connection in reader.connections:
            assert connection.msgdef.format == MessageDefinitionFormat.MSG
            assert "string frame_id" in connection.msgdef.data and "MSG: std_msgs/" in connection.msgdef.data
    with Recording(path) as recording:
        (first, *_) = recording.messages(["/tf"])
        (array, *_) = recording.messages(["/pose_node/poses"])
    moved = first.message.transforms[0]
    assert (moved.header.frame_id, moved.child_frame_id, array.message.header.frame_id) == ("map", "camera", "camera")


def test_frames_without_estimates_are_empty_arrays(tmp_path):
    path = write_poses(tmp_path, [FrameRecord("s", "0", 5, None, {}, 0.1)], BOXES, "camera")
    with Recording(path) as recording:
        (message,) = recording.messages(["/pose_node/poses"])
    assert len(message.message.poses) == 0


def test_no_frames_is_a_file_all_the_same(tmp_path):
    with Recording(write_poses(tmp_path, [], BOXES, "camera")) as recording:
        assert recording.topics == {}


def by_its_own_definitions(path) -> dict:
    """{topic: its only message}, read by the definitions in the file, as a player does."""
    with AnyReader([path]) as reader:
        return {c.topic: reader.deserialize(data, c.msgtype) for c, _, data in reader.messages()}


def test_detections_and_markers_show_boxes_under_the_names_of_tracks(tmp_path, rng):
    covariance = np.diag([1.0, 2, 3, 4, 5, 6])
    estimates = tuple(EstimateRecord(n, random_pose(rng), s, covariance) for n, s in (("can", 0.9), ("box", 0.7)))
    tracks = [
        TrackRecord(3, "box", "confirmed", np.eye(4), covariance, True, 0.7),
        TrackRecord(5, "can", "confirmed", np.eye(4), covariance, True, 0.9),
        TrackRecord(6, "can", "lost", np.eye(4), covariance, False, 0.8),
    ]
    frame = FrameRecord("s", "0", 5, np.eye(4), {}, 0.1, estimates=estimates, tracks=tuple(tracks))
    written = by_its_own_definitions(write_poses(tmp_path, [frame], BOXES, "camera", "map"))
    detections = written["/pose_node/detections"].detections
    assert [d.id for d in detections] == ["can_5", "box_3"]
    box = detections[1]
    (result,) = box.results
    assert (result.hypothesis.class_id, result.hypothesis.score) == ("box", 0.7)
    np.testing.assert_array_equal(np.reshape(result.pose.covariance, (6, 6)), covariance)
    sure = written["/pose_node/box/pose_with_covariance"].pose
    np.testing.assert_array_equal(np.reshape(sure.covariance, (6, 6)), covariance)
    np.testing.assert_allclose([box.bbox.size.x, box.bbox.size.y, box.bbox.size.z], [0.1, 0.2, 0.3])
    middle = estimates[1].T_camera_object @ np.array([0.05, 0.1, 0.15, 1.0])
    np.testing.assert_allclose(matrix(box.bbox.center)[:3, 3], middle[:3], atol=1e-12)
    clear, *shown = written["/pose_node/markers"].markers
    assert clear.action == 3 and [m.type for m in shown] == [1, 9, 1, 9]
    assert [m.text for m in shown[1::2]] == ["can_5 0.90", "box_3 0.70"]
    assert len({(m.ns, m.id) for m in shown}) == 4


def values(message, path: str) -> list:
    """What a Foxglove message path, such as a.b[:].c, finds in a message."""
    found = [message]
    for word in path.split("."):
        name, every = word.removesuffix("[:]"), word.endswith("[:]")
        found = [getattr(one, name) for one in found]
        found = [each for one in found for each in one] if every else found
    return found


def test_the_foxglove_layout_shows_existing_topics(tmp_path, rng, repository):
    layout = json.loads((repository / "config" / "foxglove.json").read_text())
    panels = layout["configById"]

    def leaves(node):
        return [node] if isinstance(node, str) else [*leaves(node["first"]), *leaves(node["second"])]

    assert sorted(leaves(layout["layout"])) == sorted(panels)
    estimate = EstimateRecord("can", random_pose(rng), 0.9, np.eye(6))
    frame = FrameRecord("s", "0", 5, random_pose(rng), {}, 0.1, estimates=(estimate,))
    written = by_its_own_definitions(write_poses(tmp_path, [frame], BOXES, "camera", "map"))
    plots = 0
    for name, panel in panels.items():
        if name.startswith("3D!"):
            assert set(panel["topics"]) <= set(written)
        for path in panel.get("paths", ()):
            topic, _, inner = path["value"].partition(".")
            assert values(written[topic], inner), path["value"]
            plots += 1
        if "topicPath" in panel:
            assert panel["topicPath"] in written
    assert plots == 4
