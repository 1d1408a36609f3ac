"""Estimates as an mcap file with the messages and topics of the node.

/pose_node/poses and /pose_node/detections with all instances, /pose_node/<object>/pose and pose_with_covariance with the best
one of each object, /pose_node/markers with boxes instead of meshes, which are files of one machine, and /tf of the camera where
its motion is known. Foxglove (with config/foxglove.json) and RViz display it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.evaluation.records import EstimateRecord, FrameRecord
from pose_node.evaluation.run_folder import POSES_FILE
from pose_node.evaluation.runs import ros_messages
from pose_node.evaluation.runs.ros_messages import STORE, make
from pose_node.geometry import se3
from pose_node.types import detection_id, scored_poses

_SCENE_GAP_NS = 1_000_000_000  # from the end of a scene to the next one, where their clocks overlap
_MARKER = "visualization_msgs/msg/Marker"
_CUBE, _TEXT, _DELETE_ALL = 1, 9, 3  # its constants
_TEXT_HEIGHT_M = 0.03


def write_poses(
    folder: Path,
    frames: Iterable[FrameRecord],
    boxes_m: Mapping[str, Array],
    camera_frame: str,
    fixed_frame: str | None = None,
) -> Path:
    """Write ``poses.mcap`` into a run folder and return its path; an earlier one is replaced.

    boxes_m: object name -> [2, 3] corners of its box in the object frame, ``Surface.box_m``. camera_frame: the frame of the
    measurements; fixed_frame: that of ``T_fixed_camera``, both without the leading slash of ROS 1. Messages are logged at their
    stamps; a scene that begins before the end of the one before is logged a second after that end, so that a player shows
    them one after the other. Raises InputError when the file cannot be written.
    """
    target = folder / POSES_FILE
    try:
        with TemporaryDirectory(dir=folder) as temporary:  # rosbags writes a folder with the file and its metadata
            bag = Path(temporary) / "poses"
            with Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
                _Topics(writer, boxes_m, camera_frame.lstrip("/"), (fixed_frame or "").lstrip("/")).write(frames)
            (bag / f"{bag.name}.mcap").replace(target)
    except OSError as error:
        raise InputError(f"{target}: found {error.strerror}, expected a file to write poses to.") from None
    return target


class _Topics:
    """The topics of one file, each added with its first message."""

    def __init__(self, writer: Writer, boxes_m: Mapping[str, Array], camera_frame: str, fixed_frame: str) -> None:
        self._writer, self._camera_frame, self._fixed_frame = writer, camera_frame, fixed_frame
        self._boxes = {name: _box(corners) for name, corners in boxes_m.items()}
        self._connections: dict[str, Any] = {}

    def write(self, frames: Iterable[FrameRecord]) -> None:
        for logged_ns, frame in _in_order(frames):
            header = ros_messages.header(frame.stamp_ns, self._camera_frame)
            names = _ids(frame)
            confirmed = [e for e, name in zip(frame.estimates, names) if "/" not in name]
            poses = [ros_messages.pose(e.T_camera_object) for e in confirmed]
            self._send("poses", logged_ns, make("geometry_msgs/msg/PoseArray", header=header, poses=poses))
            found, markers = [], [make(_MARKER, header=header, action=_DELETE_ALL, pose=ros_messages.pose(np.eye(4)))]
            for i, (estimate, name) in enumerate(zip(frame.estimates, names)):
                box = self._boxes[estimate.object_name]
                found.append(_detection(header, estimate, name, *box))
                markers += _markers(header, i, estimate, name, *box)
            detections = make("vision_msgs/msg/Detection3DArray", header=header, detections=found)
            self._send("detections", logged_ns, detections)
            self._send("markers", logged_ns, make("visualization_msgs/msg/MarkerArray", markers=markers))
            best: dict[str, EstimateRecord] = {}
            for estimate in confirmed:
                best.setdefault(estimate.object_name, estimate)
            for name, estimate in best.items():
                T, kind = estimate.T_camera_object, "geometry_msgs/msg/Pose"
                self._send(f"{name}/pose", logged_ns, make(f"{kind}Stamped", header=header, pose=ros_messages.pose(T)))
                pose = ros_messages.pose_with_covariance(T, estimate.covariance)
                message = make(f"{kind}WithCovarianceStamped", header=header, pose=pose)
                self._send(f"{name}/pose_with_covariance", logged_ns, message)
            if self._fixed_frame and frame.T_fixed_camera is not None:
                edge = ros_messages.transform_stamped(
                    frame.stamp_ns, self._fixed_frame, self._camera_frame, frame.T_fixed_camera
                )
                self._send("/tf", logged_ns, make("tf2_msgs/msg/TFMessage", transforms=[edge]))

    def _send(self, topic: str, logged_ns: int, message: Any) -> None:
        topic = topic if topic.startswith("/") else f"/pose_node/{topic}"
        kind = message.__msgtype__
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(topic, kind, typestore=STORE)
        self._writer.write(self._connections[topic], logged_ns, STORE.serialize_cdr(message, kind))


def _detection(header: Any, estimate: EstimateRecord, name: str, T_object_box: Array, size_m: Array) -> Any:
    results = []
    for T, score in scored_poses(estimate.T_camera_object, estimate.score, estimate.alternatives):
        hypothesis = make("vision_msgs/msg/ObjectHypothesis", class_id=estimate.object_name, score=score)
        pose = ros_messages.pose_with_covariance(T, estimate.covariance)
        results.append(make("vision_msgs/msg/ObjectHypothesisWithPose", hypothesis=hypothesis, pose=pose))
    centre, size = ros_messages.pose(estimate.T_camera_object @ T_object_box), ros_messages.xyz("Vector3", size_m)
    box = make("vision_msgs/msg/BoundingBox3D", center=centre, size=size)
    return make("vision_msgs/msg/Detection3D", header=header, results=results, bbox=box, id=name)


def _markers(
    header: Any, number: int, estimate: EstimateRecord, name: str, T_object_box: Array, size_m: Array
) -> list[Any]:
    """The box, greener with a higher score, and a text with name and score."""
    pose = ros_messages.pose(estimate.T_camera_object @ T_object_box)
    green, white = {"r": 1.0 - estimate.score, "g": 0.8, "b": 0.2, "a": 0.5}, {"r": 1.0, "g": 1.0, "b": 1.0, "a": 1.0}
    text = f"{name or estimate.object_name} {estimate.score:.2f}"
    appearances = ((_CUBE, size_m, green, ""), (_TEXT, (0.0, 0.0, _TEXT_HEIGHT_M), white, text))
    return [
        make(
            _MARKER,
            header=header,
            ns=estimate.object_name,
            id=2 * number + i,
            type=kind,
            pose=pose,
            scale=ros_messages.xyz("Vector3", size),
            color=make("std_msgs/msg/ColorRGBA", **colour),
            text=text,
        )
        for i, (kind, size, colour, text) in enumerate(appearances)
    ]


def _box(corners_m: Array) -> tuple[Array, Array]:
    """T_object_box [4, 4] at the centre of two corners [2, 3], and the lengths of the edges [3]."""
    return se3.transform(np.eye(3), corners_m.mean(axis=0)), corners_m[1] - corners_m[0]


def _ids(frame: FrameRecord) -> list[str]:
    """Detection ids of the estimates' tracks, in their order (``stream.visible_tracks``); empty where nothing is tracked."""
    observed = [track for track in frame.tracks if track.seen]
    if len(observed) != len(frame.estimates) or any(track.score is None for track in observed):
        return [""] * len(frame.estimates)
    return [
        detection_id(track.name, track.state) for track in sorted(observed, key=lambda track: -(track.score or 0.0))
    ]


def _in_order(frames: Iterable[FrameRecord]) -> Iterator[tuple[int, FrameRecord]]:
    """(time of logging, frame): scene after scene, each by its stamps."""
    scenes: dict[str, list[FrameRecord]] = {}
    for frame in frames:
        scenes.setdefault(frame.scene, []).append(frame)
    end_ns: int | None = None
    for scene in scenes.values():
        scene.sort(key=lambda frame: frame.stamp_ns)
        begin_ns = scene[0].stamp_ns
        late_ns = 0 if end_ns is None else max(end_ns + _SCENE_GAP_NS - begin_ns, 0)
        for frame in scene:
            yield frame.stamp_ns + late_ns, frame
        end_ns = scene[-1].stamp_ns + late_ns
