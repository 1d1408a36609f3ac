"""The demo's labelled recording as a ROS 2 bag: depth with camera info, a mask image, and the labels as poses.

    python -m benchmarks.demo_bag OUT

OUT becomes a folder with an mcap file. Masks hold the objects' BOP ids, labels stand on /labels/<id>/pose. The frames are
taken as five a second, as the data set has no stamps of its own. Evaluate it with, for example,

    pose_node evaluate OUT --objects mustard_bottle --labels 5=mustard_bottle
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from scipy.spatial.transform import Rotation

from pose_node.demo import recording
from pose_node.demo.recording import Recorded
from pose_node.types import Array

FRAME = "camera_depth_optical_frame"
STEP_NS = 200_000_000
START_NS = 1_500_000_000_000_000_000
_STORE = get_typestore(Stores.LATEST)


def write_demo_bag(path: Path, frames: list[Recorded]) -> Path:
    """Write the frames into a new folder ``path`` and return it; raises rosbags' WriterError where there is one already."""
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections: dict[str, Any] = {}
        for index, frame in enumerate(frames):
            stamp_ns = START_NS + index * STEP_NS
            for topic, message in _messages(frame, stamp_ns):
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, message.__msgtype__, typestore=_STORE)
                data = _STORE.serialize_cdr(message, message.__msgtype__)
                writer.write(connections[topic], stamp_ns, data)
    return path


def _messages(frame: Recorded, stamp_ns: int) -> list[tuple[str, Any]]:
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    stamp = _make("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)
    header = _make("std_msgs/msg/Header", stamp=stamp, frame_id=FRAME)
    mask = np.zeros(frame.depth_m.shape, np.uint8)
    for label, (bop_id, _) in enumerate(frame.labels):
        mask[frame.mask(label)] = bop_id
    return [
        ("/camera/depth/camera_info", _info(frame, header)),
        ("/camera/depth/image_rect", _image(frame.depth_m, "32FC1", header)),
        ("/camera/mask", _image(mask, "mono8", header)),
        *((f"/labels/{bop_id}/pose", _pose(T, header)) for bop_id, T in frame.labels),
    ]


def _make(name: str, /, **fields: Any) -> Any:
    return _STORE.types[name](**fields)


def _image(values: np.ndarray, encoding: str, header: Any) -> Any:
    height, width = values.shape
    return _make(
        "sensor_msgs/msg/Image",
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=width * values.itemsize,
        data=np.frombuffer(values.tobytes(), np.uint8),
    )


def _info(frame: Recorded, header: Any) -> Any:
    height, width = frame.depth_m.shape
    P = np.concatenate([frame.K, np.zeros((3, 1))], axis=1)
    roi = _make("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return _make(
        "sensor_msgs/msg/CameraInfo",
        header=header,
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=frame.K.ravel(),
        r=np.eye(3).ravel(),
        p=P.ravel(),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def _pose(T: Array, header: Any) -> Any:
    quaternion = Rotation.from_matrix(T[:3, :3]).as_quat()
    position = _make("geometry_msgs/msg/Point", **{a: float(v) for a, v in zip("xyz", T[:3, 3])})
    orientation = _make("geometry_msgs/msg/Quaternion", **{a: float(v) for a, v in zip("xyzw", quaternion)})
    pose = _make("geometry_msgs/msg/Pose", position=position, orientation=orientation)
    return _make("geometry_msgs/msg/PoseStamped", header=header, pose=pose)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT")
    out = parser.parse_args().out
    frames = [frame for scene in recording.scenes() for frame in recording.read(scene)]
    print(f"written: {write_demo_bag(out, frames)} ({len(frames)} frames)")


if __name__ == "__main__":
    main()
