"""Estimates as an mcap file of standard messages: what the node publishes, on the topics on which it does.

PoseArray on /pose_node/poses with all instances, PoseStamped on /pose_node/<object>/pose with the best of each, and /tf of
the camera where its motion is known: Foxglove and RViz show it as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from scipy.spatial.transform import Rotation

from pose_node.errors import InputError
from pose_node.evaluation.records import FrameRecord
from pose_node.types import Array

POSES_FILE = "poses.mcap"
_BETWEEN_NS = 1_000_000_000  # from the end of a scene to the next one, where their clocks overlap
_ARRAY, _STAMPED, _TF = "geometry_msgs/msg/PoseArray", "geometry_msgs/msg/PoseStamped", "tf2_msgs/msg/TFMessage"


def write_poses(folder: Path, frames: Iterable[FrameRecord], camera_frame: str, fixed_frame: str | None = None) -> Path:
    """Write ``poses.mcap`` into a run folder and return its path; an earlier one is replaced.

    camera_frame: the frame of the measurements; fixed_frame: that of ``T_fixed_camera``, both without the slash that ROS 1 wrote
    in front. Messages are logged at their stamps, in their order; a scene whose clock was set back is logged a second after the
    end of the one before, so that a player shows one after the other. Raises InputError when the file cannot be written.
    """
    target = folder / POSES_FILE
    try:
        with TemporaryDirectory(dir=folder) as place:  # rosbags writes a folder with the file and its metadata in it
            bag = Path(place) / "poses"
            with Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
                _Topics(writer, camera_frame.lstrip("/"), (fixed_frame or "").lstrip("/")).write(frames)
            (bag / f"{bag.name}.mcap").replace(target)
    except OSError as error:
        raise InputError(f"{target}: found {error.strerror}, expected a file to write poses to.") from None
    return target


class _Topics:
    """The topics of one file, each opened when its first message comes."""

    def __init__(self, writer: Writer, camera_frame: str, fixed_frame: str) -> None:
        self._writer, self._camera_frame, self._fixed_frame = writer, camera_frame, fixed_frame
        self._store = get_typestore(Stores.LATEST)
        self._connections: dict[str, Any] = {}

    def write(self, frames: Iterable[FrameRecord]) -> None:
        for logged_ns, frame in _in_order(frames):
            header = self._header(frame.stamp_ns, self._camera_frame)
            poses = [self._pose(e.T_camera_object) for e in frame.estimates]
            self._send("/pose_node/poses", _ARRAY, logged_ns, header=header, poses=poses)
            best: dict[str, Any] = {}
            for estimate, pose in zip(frame.estimates, poses):
                best.setdefault(estimate.object_name, pose)
            for name, pose in best.items():
                self._send(f"/pose_node/{name}/pose", _STAMPED, logged_ns, header=header, pose=pose)
            if self._fixed_frame and frame.T_fixed_camera is not None:
                self._send("/tf", _TF, logged_ns, transforms=[self._moved(frame.stamp_ns, frame.T_fixed_camera)])

    def _send(self, topic: str, msgtype: str, logged_ns: int, **fields: Any) -> None:
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(topic, msgtype, typestore=self._store)
        data = self._store.serialize_cdr(self._store.types[msgtype](**fields), msgtype)
        self._writer.write(self._connections[topic], logged_ns, data)

    def _make(self, name: str, **fields: Any) -> Any:
        return self._store.types[name](**fields)

    def _header(self, stamp_ns: int, frame_id: str) -> Any:
        seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
        stamp = self._make("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)
        return self._make("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)

    def _pose(self, T: Array) -> Any:
        position = self._make("geometry_msgs/msg/Point", **_xyz(T))
        return self._make("geometry_msgs/msg/Pose", position=position, orientation=self._quaternion(T))

    def _moved(self, stamp_ns: int, T_fixed_camera: Array) -> Any:
        translation = self._make("geometry_msgs/msg/Vector3", **_xyz(T_fixed_camera))
        rotation = self._quaternion(T_fixed_camera)
        return self._make(
            "geometry_msgs/msg/TransformStamped",
            header=self._header(stamp_ns, self._fixed_frame),
            child_frame_id=self._camera_frame,
            transform=self._make("geometry_msgs/msg/Transform", translation=translation, rotation=rotation),
        )

    def _quaternion(self, T: Array) -> Any:
        """As the node makes it, to the last bit."""
        quaternion = Rotation.from_matrix(T[:3, :3]).as_quat()
        values = (float(v) for v in quaternion / np.linalg.norm(quaternion))
        return self._make("geometry_msgs/msg/Quaternion", **dict(zip("xyzw", values)))


def _in_order(frames: Iterable[FrameRecord]) -> Iterator[tuple[int, FrameRecord]]:
    """(when it is logged, frame): scene after scene, each by its stamps."""
    scenes: dict[str, list[FrameRecord]] = {}
    for frame in frames:
        scenes.setdefault(frame.scene, []).append(frame)
    end_ns: int | None = None
    for scene in scenes.values():
        scene.sort(key=lambda frame: frame.stamp_ns)
        begin_ns = scene[0].stamp_ns
        late_ns = 0 if end_ns is None else max(end_ns + _BETWEEN_NS - begin_ns, 0)
        for frame in scene:
            yield frame.stamp_ns + late_ns, frame
        end_ns = scene[-1].stamp_ns + late_ns


def _xyz(T: Array) -> dict[str, float]:
    return {axis: float(value) for axis, value in zip("xyz", T[:3, 3])}
