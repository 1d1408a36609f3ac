"""Labelled ROS 2 bags: depth with camera info, a mask image, the labels as poses, and the camera's motion where it moves.

    python -m benchmarks.labelled_bag demo OUT        the demo's real frames
    python -m benchmarks.labelled_bag rendered OUT    three objects on a table, rendered from a camera on an arc, with /tf

OUT becomes a folder with an mcap file. Masks contain the objects' BOP ids; labels are on /labels/<id>/pose. Stamps are five a
second, because neither kind has its own. To evaluate one:

    pose_node evaluate OUT --objects mustard_bottle --labels 5=mustard_bottle
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer

from pose_node.arrays import Array
from pose_node.evaluation.runs import ros_messages
from pose_node.evaluation.runs.depth_rendering import render_depth
from pose_node.evaluation.runs.ros_messages import STORE, make
from pose_node.geometry import se3
from pose_node.objects.card import load_card
from pose_node.objects.mesh_file import read_ply
from pose_node.ros.demo import recording

FRAME, MOUNT, WORLD = "camera_depth_optical_frame", "camera_link", "world"
STEP_NS = 200_000_000
START_NS = 1_500_000_000_000_000_000
T_MOUNT_CAMERA = se3.transform(np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]]), np.array([0.01, 0.02, 0.0]))  # REP 103
K = np.array([[570.3, 0.0, 319.5], [0.0, 570.3, 239.5], [0.0, 0.0, 1.0]])
SHAPE = (480, 640)
ON_TABLE = {"mustard_bottle": (0.0, 0.08), "potted_meat_can": (0.12, -0.05), "mug": (-0.12, -0.04)}  # x, y in metres


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """depth_m [H, W] float32 (0: no reading), K [3, 3], mask [H, W] of BOP ids, labels ((id, T_camera_object), ...)."""

    depth_m: np.ndarray
    K: Array
    mask: np.ndarray
    labels: tuple[tuple[int, Array], ...]
    T_world_camera: Array | None = None


def demo_frames(scene: str) -> list[LabelledFrame]:
    """The real frames of one of the demo's scenes."""
    frames = []
    for frame in recording.read(scene):
        mask = np.zeros(frame.depth_m.shape, np.uint8)
        for label, (bop_id, _) in enumerate(frame.labels):
            mask[frame.mask(label)] = bop_id
        frames.append(LabelledFrame(frame.depth_m, frame.K, mask, frame.labels))
    return frames


def rendered_frames(models: Path, count: int, seed: int) -> list[LabelledFrame]:
    """Objects that stand on a table while the camera moves on an arc of 60 degrees, 0.7 m away.

    Depth has noise of 1 mm at a metre that grows with its square, and whole millimetres.
    """
    rng = np.random.default_rng(seed)
    things = []
    for name, (x, y) in ON_TABLE.items():
        card = load_card(models / name)
        vertices, faces = read_ply(card.mesh_path)
        turn = se3.exp_so3(np.array([0.0, 0.0, rng.uniform(0.0, 2.0 * np.pi)]))
        T_world_object = se3.transform(turn, np.array([x, y, -vertices[:, 2].min()]))
        things.append((int(card.bop_id or 0), vertices, faces, T_world_object))
    return [_rendered(things, angle, rng) for angle in np.radians(np.linspace(-30.0, 30.0, count))]


def _rendered(things: list[Any], angle: float, rng: np.random.Generator) -> LabelledFrame:
    target = np.array([0.0, 0.0, 0.06])
    viewpoint = target + 0.7 * np.array([np.sin(angle) * 0.75, -np.cos(angle) * 0.75, 0.66])
    T_world_camera = se3.look_at(viewpoint, target, np.array([0.0, 0.0, 1.0]))
    T_camera_world = se3.invert(T_world_camera)
    depth = _table(T_world_camera)
    mask = np.zeros(SHAPE, np.uint8)
    for bop_id, vertices, faces, T_world_object in things:
        own = render_depth(vertices, faces, T_camera_world @ T_world_object, K, SHAPE)
        nearer = (own > 0) & (own < depth)
        depth[nearer], mask[nearer] = own[nearer], bop_id
    depth += rng.normal(size=SHAPE) * 0.001 * depth**2
    labels = tuple((bop_id, T_camera_world @ T_world_object) for bop_id, *_, T_world_object in things)
    return LabelledFrame((np.round(1000.0 * depth) / 1000.0).astype(np.float32), K, mask, labels, T_world_camera)


def _table(T_world_camera: Array) -> Array:
    """Depth [H, W] of the plane z = 0 of the world, which the whole image looks down on."""
    v, u = np.indices(SHAPE)
    rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones(SHAPE)], axis=-1)
    return -T_world_camera[2, 3] / (rays @ T_world_camera[2, :3])


def write_labelled_bag(path: Path, frames: list[LabelledFrame], stamps_ns: Iterable[int] | None = None) -> Path:
    """Write the frames into a new folder ``path`` and return it; raises rosbags' WriterError where there is one already."""
    return write_messages(path, labelled_messages(frames, stamps_ns))


def labelled_messages(
    frames: Iterable[LabelledFrame], stamps_ns: Iterable[int] | None = None
) -> Iterator[tuple[str, int, Any]]:
    """(topic, when in nanoseconds, message) of all frames. stamps_ns: one a frame, by default five a second."""
    for frame, stamp_ns in zip(frames, stamps_ns or count(START_NS, STEP_NS)):
        for topic, message in _messages(frame, stamp_ns):
            yield topic, stamp_ns, message


def write_messages(path: Path, timed: Iterable[tuple[str, int, Any]]) -> Path:
    """Write messages into a new folder ``path`` and return it; raises rosbags' WriterError where there is one already."""
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections: dict[str, Any] = {}
        for topic, when_ns, message in timed:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, message.__msgtype__, typestore=STORE)
            data = STORE.serialize_cdr(message, message.__msgtype__)
            writer.write(connections[topic], when_ns, data)
    return path


def _messages(frame: LabelledFrame, stamp_ns: int) -> list[tuple[str, Any]]:
    header = ros_messages.header(stamp_ns, FRAME)
    return [
        ("/camera/depth/camera_info", _info(frame, header)),
        ("/camera/depth/image_rect", image_message(frame.depth_m, "32FC1", header)),
        ("/camera/mask", image_message(frame.mask, "mono8", header)),
        *((f"/labels/{bop_id}/pose", _label(T, header)) for bop_id, T in frame.labels),
        *_motion(frame, stamp_ns),
    ]


def _motion(frame: LabelledFrame, stamp_ns: int) -> list[tuple[str, Any]]:
    """Where the camera's mount is in the world, and the camera on its mount."""
    if frame.T_world_camera is None:
        return []
    T_world_mount = frame.T_world_camera @ se3.invert(T_MOUNT_CAMERA)
    return [
        ("/tf_static", _transform(stamp_ns, MOUNT, FRAME, T_MOUNT_CAMERA)),
        ("/tf", _transform(stamp_ns, WORLD, MOUNT, T_world_mount)),
    ]


def _transform(stamp_ns: int, parent: str, child: str, T: Array) -> Any:
    return make("tf2_msgs/msg/TFMessage", transforms=[ros_messages.transform_stamped(stamp_ns, parent, child, T)])


def _label(T: Array, header: Any) -> Any:
    return make("geometry_msgs/msg/PoseStamped", header=header, pose=ros_messages.pose(T))


def image_message(values: np.ndarray, encoding: str, header: Any) -> Any:
    """sensor_msgs/Image of one channel [H, W]."""
    height, width = values.shape
    return make(
        "sensor_msgs/msg/Image",
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        step=width * values.itemsize,
        data=np.frombuffer(values.tobytes(), np.uint8),
    )


def _info(frame: LabelledFrame, header: Any) -> Any:
    height, width = frame.depth_m.shape
    P = np.concatenate([frame.K, np.zeros((3, 1))], axis=1)
    return make(
        "sensor_msgs/msg/CameraInfo",
        header=header,
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=frame.K.ravel(),
        r=np.eye(3).ravel(),
        p=P.ravel(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=("demo", "rendered"))
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--frames", type=int, default=30, metavar="N", help="of the rendered bag (default: 30)")
    parser.add_argument("--seed", type=int, default=0, help="of the rendered bag (default: 0)")
    parser.add_argument("--models", type=Path, default=Path("models"), metavar="DIR")
    options = parser.parse_args()
    if options.kind == "demo":
        frames = [frame for scene in recording.scenes() for frame in demo_frames(scene)]
    else:
        frames = rendered_frames(options.models, options.frames, options.seed)
    print(f"written: {write_labelled_bag(options.out, frames)} ({len(frames)} frames)")


if __name__ == "__main__":
    main()
