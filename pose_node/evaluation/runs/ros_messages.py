"""ROS messages for the recordings that we write, made without ROS by rosbags' type store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from scipy.spatial.transform import Rotation

from pose_node.arrays import Array

STORE = get_typestore(Stores.LATEST)
for _file in sorted(Path(__file__).parents[2].glob("ros/interfaces/vision_msgs/*.msg")):  # rosbags has no vision_msgs
    STORE.register(get_types_from_msg(_file.read_text(encoding="utf-8"), f"vision_msgs/msg/{_file.stem}"))


def make(name: str, /, **fields: Any) -> Any:
    """A message of a type such as ``geometry_msgs/msg/Pose``; fields that are not given are zero or empty."""
    defaults = {field: _zero(*kind) for field, kind in STORE.fielddefs[name][1] if field not in fields}
    return STORE.types[name](**defaults, **fields)


def stamp(stamp_ns: int) -> Any:
    """A Time."""
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    return make("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)


def header(stamp_ns: int, frame_id: str) -> Any:
    """A Header."""
    return make("std_msgs/msg/Header", stamp=stamp(stamp_ns), frame_id=frame_id)


def xyz(name: str, values: Array) -> Any:
    """A Point or a Vector3 of three numbers."""
    return make(f"geometry_msgs/msg/{name}", **{axis: float(value) for axis, value in zip("xyz", values)})


def quaternion(T: Array) -> Any:
    """The Quaternion of a pose [4, 4], equal to the node's to the byte."""
    found = Rotation.from_matrix(T[:3, :3]).as_quat()
    return make("geometry_msgs/msg/Quaternion", **dict(zip("xyzw", map(float, found / np.linalg.norm(found)))))


def pose(T: Array) -> Any:
    """A Pose of [4, 4]."""
    return make("geometry_msgs/msg/Pose", position=xyz("Point", T[:3, 3]), orientation=quaternion(T))


def pose_with_covariance(T: Array, covariance: Array) -> Any:
    """A PoseWithCovariance of [4, 4] and [6, 6]."""
    return make("geometry_msgs/msg/PoseWithCovariance", pose=pose(T), covariance=np.asarray(covariance, float).ravel())


def transform_stamped(stamp_ns: int, parent: str, child: str, T_parent_child: Array) -> Any:
    """A TransformStamped."""
    translation = xyz("Vector3", T_parent_child[:3, 3])
    transform = make("geometry_msgs/msg/Transform", translation=translation, rotation=quaternion(T_parent_child))
    where = header(stamp_ns, parent)
    return make("geometry_msgs/msg/TransformStamped", header=where, child_frame_id=child, transform=transform)


def _zero(kind: Any, detail: Any) -> Any:
    """The zero of a field by its definition: a plain value, a message, or an array of either."""
    if kind.name == "NAME":
        return make(detail)
    if kind.name == "BASE":
        return {"string": "", "bool": False}.get(detail[0], 0.0 if detail[0].startswith("float") else 0)
    (inner, of), length = detail
    if inner.name == "BASE" and of[0] != "string":
        return np.zeros(length if kind.name == "ARRAY" else 0, {"octet": "uint8", "char": "uint8"}.get(of[0], of[0]))
    return [_zero(inner, of) for _ in range(length)] if kind.name == "ARRAY" else []
