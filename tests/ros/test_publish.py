"""Results to messages, without a network or a node."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("geometry_msgs", reason="ROS messages are not installed")

from builtin_interfaces.msg import Time
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from pose_node.geometry import se3
from pose_node.ros import publish
from pose_node.types import Estimate, Evidence, Segment, Track

HEADER = Header(stamp=Time(sec=12, nanosec=34), frame_id="camera")


def estimate(name: str = "mug", score: float = 0.8, seed: int = 0) -> Estimate:
    rng = np.random.default_rng(seed)
    T = se3.transform(Rotation.random(random_state=seed).as_matrix(), rng.normal(size=3))
    A = rng.normal(size=(6, 6))
    evidence = Evidence(0.9, 0.0, 0.1, 0.9, 0.9, 0.001)
    return Estimate(name, T, score, A @ A.T, evidence, Segment(np.arange(3), "mask"))


@pytest.mark.parametrize("seed", range(20))
def test_a_pose_is_the_same_motion(seed):
    one = estimate(seed=seed)
    pose = publish.pose(one.T_camera_object)
    q = [getattr(pose.orientation, axis) for axis in "xyzw"]
    assert abs(np.linalg.norm(q) - 1.0) < 1e-12
    np.testing.assert_allclose(Rotation.from_quat(q).as_matrix(), one.T_camera_object[:3, :3], atol=1e-12)
    assert [pose.position.x, pose.position.y, pose.position.z] == one.T_camera_object[:3, 3].tolist()


def test_headers_pass_through_and_instances_keep_their_order():
    both = [estimate("mug", 0.9, 1), estimate("mug", 0.7, 2)]
    array = publish.pose_array(HEADER, both)
    assert array.header == HEADER
    assert array.poses == [publish.pose(e.T_camera_object) for e in both]
    assert publish.pose_stamped(HEADER, both[0]).header == HEADER
    assert publish.pose_array(HEADER, []).poses == []


def test_covariance_row_by_row():
    one = estimate()
    message = publish.pose_with_covariance(HEADER, one)
    np.testing.assert_array_equal(np.reshape(message.pose.covariance, (6, 6)), one.covariance)


def test_markers_delete_the_old_ones_and_show_mesh_and_name():
    array = publish.markers(HEADER, [estimate("mug", 0.91), estimate("bowl", 0.5)], {"mug": "a", "bowl": "b"})
    assert [m.action for m in array.markers] == [Marker.DELETEALL] + [Marker.ADD] * 4
    assert [m.mesh_resource for m in array.markers[1::2]] == ["a", "b"]
    assert array.markers[2].text == "mug 0.91"
    keys = [(m.ns, m.id) for m in array.markers[1:]]
    assert len(set(keys)) == len(keys)
    assert all(m.header == HEADER for m in array.markers)


def test_markers_of_tracks_have_their_names_and_unseen_ones_are_grey():
    lost = replace(track(3, "bowl"), state="lost", estimate=None, reason="hidden: 80% of it is hidden.")
    missed = replace(track(4, "bowl", seed=1), estimate=None)
    arguments = ([estimate("mug", 0.9)], {"mug": "a", "bowl": "b"}, ["mug_7"], [lost, missed], "world")
    array = publish.markers(HEADER, *arguments)
    _, mesh, text, lost_mesh, lost_text, _, missed_text = array.markers
    assert (mesh.header, text.text, lost_text.text) == (HEADER, "mug_7 0.90", "bowl_3 lost: hidden")
    assert missed_text.text == "bowl_4 not seen"
    assert (lost_mesh.header.frame_id, lost_mesh.header.stamp) == ("world", HEADER.stamp)
    assert lost_mesh.pose == publish.pose(lost.T_fixed_object)
    assert lost_mesh.color.a < mesh.color.a
    keys = [(m.ns, m.id) for m in array.markers[1:]]
    assert len(set(keys)) == len(keys)


def track(number: int = 7, name: str = "mug", seed: int = 0) -> Track:
    seen = estimate(name, seed=seed)
    return Track(
        number, name, "confirmed", seen.T_camera_object, seen.covariance, np.zeros(6), seen.score, 12, estimate=seen
    )


def as_matrix(pose) -> np.ndarray:
    q = [getattr(pose.orientation, axis) for axis in "xyzw"]
    return se3.transform(Rotation.from_quat(q).as_matrix(), np.array([getattr(pose.position, axis) for axis in "xyz"]))


@pytest.mark.parametrize("seed", range(5))
def test_a_transform_is_the_same_motion(seed):
    pytest.importorskip("tf2_msgs", reason="tf2_msgs is not installed")
    one = estimate(seed=seed)
    (edge,) = publish.tf_message(HEADER, "mug", one.T_camera_object).transforms
    assert (edge.header, edge.child_frame_id) == (HEADER, "mug")
    assert edge.transform.rotation == publish.pose(one.T_camera_object).orientation
    at = edge.transform.translation
    assert [at.x, at.y, at.z] == one.T_camera_object[:3, 3].tolist()


BOXES = {"mug": np.array([[-0.05, -0.04, 0.0], [0.07, 0.04, 0.1]]), "bowl": np.array([[-1.0] * 3, [1.0] * 3])}


@pytest.mark.parametrize("seed", range(5))
def test_a_detection_has_pose_covariance_and_box(seed):
    pytest.importorskip("vision_msgs", reason="vision_msgs is not installed")
    one = estimate(seed=seed)
    array = publish.detections(HEADER, [one], BOXES)
    (detection,) = array.detections
    (result,) = detection.results
    assert array.header == detection.header == HEADER
    assert (result.hypothesis.class_id, result.hypothesis.score, detection.id) == ("mug", 0.8, "")
    assert result.pose.pose == publish.pose(one.T_camera_object)
    np.testing.assert_array_equal(np.reshape(result.pose.covariance, (6, 6)), one.covariance)
    # The message's box has the corners of the object's.
    size = np.array([getattr(detection.bbox.size, axis) for axis in "xyz"])
    low, high = (as_matrix(detection.bbox.center) @ [*(sign * size / 2), 1.0] for sign in (-1, 1))
    np.testing.assert_allclose(low, one.T_camera_object @ [*BOXES["mug"][0], 1.0], atol=1e-12)
    np.testing.assert_allclose(high, one.T_camera_object @ [*BOXES["mug"][1], 1.0], atol=1e-12)


def test_alternatives_are_further_hypotheses_scored_by_weight():
    pytest.importorskip("vision_msgs", reason="vision_msgs is not installed")
    others = tuple((estimate(seed=seed).T_camera_object, weight) for seed, weight in ((2, 0.3), (3, 0.2)))
    one = replace(estimate(seed=1), alternatives=others)
    (detection,) = publish.detections(HEADER, [one], BOXES).detections
    assert [r.pose.pose for r in detection.results] == [
        publish.pose(T) for T in (one.T_camera_object, others[0][0], others[1][0])
    ]
    scores = np.array([r.hypothesis.score for r in detection.results])
    assert scores[0] == one.score
    np.testing.assert_allclose(scores / scores[0], [1.0, 0.3 / 0.5, 0.2 / 0.5])
    assert {r.hypothesis.class_id for r in detection.results} == {"mug"}


def test_tracks_have_their_names_as_ids():
    pytest.importorskip("vision_msgs", reason="vision_msgs is not installed")
    found = [estimate(seed=1), estimate(seed=2)]
    array = publish.detections(HEADER, found, BOXES, ["mug_7", "mug_12"])
    assert [d.id for d in array.detections] == ["mug_7", "mug_12"]
    assert [d.results[0].pose.pose for d in array.detections] == [publish.pose(e.T_camera_object) for e in found]
    assert publish.detections(HEADER, [], BOXES, []).detections == []


def test_missing_messages_are_named():
    for name in ("tf2_msgs", "vision_msgs"):
        assert (importlib.util.find_spec(name) is None) == (name in publish.MISSING)


def test_diagnostics_are_text():
    message = publish.diagnostics(Time(sec=1), "/pose_node", b"\x01", "why", {"ms": 1.23456, "n": 3, "what": "x"})
    (status,) = message.status
    assert (status.level, status.name, status.message) == (b"\x01", "/pose_node", "why")
    assert {pair.key: pair.value for pair in status.values} == {"ms": "1.235", "n": "3", "what": "x"}
