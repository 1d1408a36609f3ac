"""Small recordings for tests: a box on a wall seen by a moving camera, in every storage that is read."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from benchmarks.labelled_bag import image_message

SHAPE = (24, 32)
K = (30.0, 0.0, 15.5, 0.0, 30.0, 11.5, 0.0, 0.0, 1.0)
STORE = get_typestore(Stores.LATEST)
STORE1 = get_typestore(Stores.ROS1_NOETIC)
STORE1.register(get_types_from_msg("geometry_msgs/TransformStamped[] transforms", "tf2_msgs/msg/TFMessage"))
SECOND = 1_000_000_000
KINDS = {
    "mcap": (StoragePlugin.MCAP, None),
    "mcap_chunks": (StoragePlugin.MCAP, CompressionMode.STORAGE),
    "mcap_messages": (StoragePlugin.MCAP, CompressionMode.MESSAGE),
    "mcap_file": (StoragePlugin.MCAP, CompressionMode.FILE),
    "sqlite": (StoragePlugin.SQLITE3, None),
    "sqlite_messages": (StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
    "sqlite_file": (StoragePlugin.SQLITE3, CompressionMode.FILE),
}
ROS1_KINDS = {"bag": None, "bag_bz2": Writer1.CompressionFormat.BZ2, "bag_lz4": Writer1.CompressionFormat.LZ4}


def make(name: str, /, **fields: Any) -> Any:
    """A message by its type's short name, of fields in the order of ROS 2."""
    package = {"Time": "builtin_interfaces", "Header": "std_msgs"}
    geometry = ("Vector3", "Quaternion", "Transform", "TransformStamped", "Point", "Pose", "PoseStamped")
    where = "geometry_msgs" if name in geometry else "tf2_msgs" if name == "TFMessage" else "sensor_msgs"
    return STORE.types[f"{package.get(name, where)}/msg/{name}"](**fields)


def header(stamp_ns: int, frame_id: str = "camera") -> Any:
    seconds, nanoseconds = divmod(stamp_ns, SECOND)
    return make("Header", stamp=make("Time", sec=seconds, nanosec=nanoseconds), frame_id=frame_id)


def depth_mm(number: int) -> np.ndarray:
    """[H, W] uint16: a wall with something nearer on it that differs from frame to frame."""
    depth = np.full(SHAPE, 1000 + number, np.uint16)
    depth[8:16, 10:20] = 800
    depth[0, 0] = 0
    return depth


def image(stamp_ns: int, values: np.ndarray, encoding: str, frame_id: str = "camera") -> Any:
    return image_message(values, encoding, header(stamp_ns, frame_id))


def packed(stamp_ns: int, values: np.ndarray) -> Any:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    data = np.frombuffer(struct.pack("<iff", 0, 0.0, 0.0) + file.getvalue(), np.uint8)
    return make("CompressedImage", header=header(stamp_ns), format="16UC1; compressedDepth png", data=data)


def info(stamp_ns: int, frame_id: str = "camera") -> Any:
    P = np.array([*K[:3], 0.0, *K[3:6], 0.0, *K[6:], 0.0])
    roi = make("RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return make(
        "CameraInfo",
        header=header(stamp_ns, frame_id),
        height=SHAPE[0],
        width=SHAPE[1],
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=np.array(K),
        r=np.eye(3).ravel(),
        p=P,
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def points(stamp_ns: int, xyz: np.ndarray) -> Any:
    fields = [make("PointField", name=n, offset=4 * i, datatype=7, count=1) for i, n in enumerate("xyz")]
    return make(
        "PointCloud2",
        header=header(stamp_ns),
        height=1,
        width=len(xyz),
        fields=fields,
        is_bigendian=False,
        point_step=12,
        row_step=12 * len(xyz),
        data=np.frombuffer(xyz.astype(np.float32).tobytes(), np.uint8),
        is_dense=True,
    )


def moved(stamp_ns: int, x: float, parent: str = "world", child: str = "camera") -> Any:
    """A TFMessage with the child at (x, 0, 0) in its parent."""
    transform = make(
        "Transform",
        translation=make("Vector3", x=float(x), y=0.0, z=0.0),
        rotation=make("Quaternion", x=0.0, y=0.0, z=0.0, w=1.0),
    )
    stamped = make("TransformStamped", header=header(stamp_ns, parent), child_frame_id=child, transform=transform)
    return make("TFMessage", transforms=[stamped])


def label(stamp_ns: int, x: float = 0.0, frame_id: str = "camera") -> Any:
    """A PoseStamped at (x, 0, 0.8) in the frame, without rotation."""
    turn = make("Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)
    pose = make("Pose", position=make("Point", x=float(x), y=0.0, z=0.8), orientation=turn)
    return make("PoseStamped", header=header(stamp_ns, frame_id), pose=pose)


def depth_recording(count: int = 5, start_ns: int = 100 * SECOND) -> list[tuple[str, int, Any]]:
    """(topic, when, message): depth, camera info and the camera's motion of 0.1 m a frame, five frames a second.

    A transform comes after each image, for a moment 0.1 s after it.
    """
    messages = []
    for number in range(count):
        stamp = start_ns + number * SECOND // 5
        if number == 0:
            messages.append(("/tf", stamp, moved(stamp - SECOND // 10, -0.05)))
        messages += [
            ("/depth/image_rect", stamp, image(stamp, depth_mm(number), "16UC1")),
            ("/depth/camera_info", stamp, info(stamp)),
            ("/tf", stamp + SECOND // 10, moved(stamp + SECOND // 10, 0.1 * number + 0.05)),
        ]
    return messages


def write_bag(path: Path, messages: list[tuple[str, int, Any]], kind: str = "mcap") -> Path:
    """Write (topic, when, message) in one of ``KINDS`` (a folder) or ``ROS1_KINDS`` (a file); returns the path."""
    if kind in ROS1_KINDS:
        return _write_ros1(path.with_suffix(".bag"), messages, kind)
    storage, compression = KINDS[kind]
    writer = Writer(path, version=9, storage_plugin=storage)
    if compression is not None:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    connections: dict[str, Any] = {}
    with writer:
        for topic, when_ns, message in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, message.__msgtype__, typestore=STORE)
            writer.write(connections[topic], when_ns, STORE.serialize_cdr(message, message.__msgtype__))
    return path


def _write_ros1(path: Path, messages: list[tuple[str, int, Any]], kind: str) -> Path:
    writer = Writer1(path)
    if ROS1_KINDS[kind] is not None:
        writer.set_compression(ROS1_KINDS[kind])
    connections: dict[str, Any] = {}
    with writer:
        for topic, when_ns, message in messages:
            message = as_ros1(message)
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, message.__msgtype__, typestore=STORE1)
            writer.write(connections[topic], when_ns, STORE1.serialize_ros1(message, message.__msgtype__))
    return path


def as_ros1(message: Any) -> Any:
    """The same message by the definitions of ROS 1: a header counts, and CameraInfo writes its matrices large."""
    if isinstance(message, list):
        return [as_ros1(part) for part in message]
    if not hasattr(message, "__msgtype__"):
        return message
    values = {name: as_ros1(getattr(message, name)) for name in message.__dataclass_fields__ if name != "__msgtype__"}
    if message.__msgtype__ == "std_msgs/msg/Header":
        values["seq"] = 0
    if message.__msgtype__ == "sensor_msgs/msg/CameraInfo":
        values = {name.upper() if name in "dkrp" else name: value for name, value in values.items()}
    return STORE1.types[message.__msgtype__](**values)


def mcap_bytes(messages: list[tuple[str, str, str, int, bytes]], profile: str) -> bytes:
    """An mcap file without chunks and index (mcap.dev/spec) of (topic, schema's name or "", encoding, when, data)."""

    def text(value: str) -> bytes:
        return struct.pack("<I", len(value.encode())) + value.encode()

    def record(kind: int, body: bytes) -> bytes:
        return struct.pack("<BQ", kind, len(body)) + body

    magic = b"\x89MCAP0\r\n"
    parts, channels = [magic, record(1, text(profile) + text("tests"))], {}
    for topic, schema, encoding, when_ns, data in messages:
        if topic not in channels:
            number = channels[topic] = len(channels) + 1
            if schema:
                parts.append(
                    record(3, struct.pack("<H", number) + text(schema) + text(encoding) + struct.pack("<I", 0))
                )
            channel = struct.pack("<HH", number, number if schema else 0)
            parts.append(record(4, channel + text(topic) + text(encoding) + struct.pack("<I", 0)))
        parts.append(record(5, struct.pack("<HIQQ", channels[topic], 0, when_ns, when_ns) + data))
    return b"".join([*parts, record(15, struct.pack("<I", 0)), record(2, struct.pack("<QQI", 0, 0, 0)), magic])
