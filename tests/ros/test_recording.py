"""What ``pose_node evaluate`` says of a recording is what the node says when the recording is played to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("rosbags", reason="the evaluation side is not installed")

from rclpy.serialization import deserialize_message
from ros_testing import MODELS, OBJECT
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import CameraInfo, Image

from benchmarks.labelled_bag import demo_frames, write_labelled_bag
from pose_node.evaluation.run_folder import POSES_FILE
from pose_node.evaluation.runs.bag_run import evaluate_bag
from pose_node.evaluation.sources.recordings import Recording

ID = 5
TOPICS = {
    "/camera/mask": ("mask", Image),
    "/camera/depth/camera_info": ("depth/camera_info", CameraInfo),
    "/camera/depth/image_rect": ("depth/image_rect", Image),
}


def numbers(pose) -> list[float]:
    p, q = pose.position, pose.orientation
    return [p.x, p.y, p.z, q.x, q.y, q.z, q.w]


def test_the_node_and_evaluate_give_equal_bits(node, peer, tmp_path):
    frames = [replace(f, mask=np.where(f.mask == ID, f.mask, 0)) for f in demo_frames("000002")[:3]]
    bag = write_labelled_bag(tmp_path / "drive", frames)
    evaluate_bag(bag, tmp_path / "run", MODELS, names=[OBJECT])
    with Recording(tmp_path / "run" / POSES_FILE) as recording:
        offline = [m.message for m in recording.messages(["/pose_node/poses"])]

    online, sent = [], {}
    with AnyReader([bag]) as reader:
        for connection, _, data in reader.messages([c for c in reader.connections if c.topic in TOPICS]):
            topic, kind = TOPICS[connection.topic]
            sent.setdefault(topic, []).append((peer.publisher(topic, kind), deserialize_message(bytes(data), kind)))
    peer.settle(publisher for (publisher, _), *_ in sent.values())
    for parts in zip(*sent.values()):
        for publisher, message in parts:
            publisher.publish(message)
        online.append(peer.wait(parts[0][1].header.stamp))
    assert len(online) == len(offline) == 3 and all(len(message.poses) for message in offline)
    for said, written in zip(online, offline):
        assert said.header.frame_id == written.header.frame_id
        assert [numbers(pose) for pose in said.poses] == [numbers(pose) for pose in written.poses]
