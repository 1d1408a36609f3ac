"""The demo as a newcomer runs it: three processes, and a picture at the end."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from PIL import Image
from ros_testing import MODELS, OBJECT
from sensor_msgs.msg import CameraInfo
from sensor_msgs.msg import Image as Depth

from pose_node.messages import convert
from pose_node.messages.camera_info import camera_from_info
from pose_node.ros.demo import processes, recording


def test_the_demo_shows_poses_and_leaves_a_picture(shipped, start, tmp_path):
    arguments = [
        "--seconds",
        "3",
        "--objects",
        OBJECT,
        "--models",
        str(MODELS),
        "--at-most",
        "90",
        "--picture",
        "out.png",
    ]
    process = start("pose_node.ros.demo", *arguments, cwd=tmp_path)
    assert process.popen.wait(150.0) == 0, process.output()
    output = process.output()
    assert f"{OBJECT} (" in output
    assert str(tmp_path / "out.png") in output
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size in ((640, 480), (640 + 4 + 640, 480))


def test_an_unknown_object_is_named(start):
    process = start("pose_node.ros.demo", "--objects", "no_such_thing", "--models", str(MODELS))
    assert process.popen.wait(60.0) == 2
    assert "'no_such_thing'" in process.output()


def test_the_player_loops_in_real_time_with_growing_stamps(peer, start):
    depths, infos = [], []
    first = peer.node.create_subscription(Depth, "depth/image_rect", depths.append, 50)
    second = peer.node.create_subscription(CameraInfo, "depth/camera_info", infos.append, 50)
    process = start("pose_node.ros.demo.player", "--rate", "20", "--scene-seconds", "0.5")
    peer.until(lambda: len(depths) >= 25 and len(infos) >= 25)
    assert process.end() == 0, process.output()
    peer.node.destroy_subscription(first)
    peer.node.destroy_subscription(second)
    stamps = [convert.stamp_ns(message) for message in depths]
    assert (np.diff(stamps) > 0).all()
    seconds = (stamps[-1] - stamps[0]) / 1e9
    assert 0.7 * len(stamps) / 20 < seconds < 2.0 * len(stamps) / 20
    shown = {line["stamp_ns"]: line for line in map(json.loads, process.output().splitlines())}
    frames = {(f.scene, f.number): f for scene in recording.scenes() for f in recording.read(scene)}
    assert {shown[stamp]["scene"] for stamp in stamps} == set(recording.scenes())
    # The first of either kind may pass before its subscription is found.
    both = [(m, stamp) for m, stamp in zip(depths, stamps) if any(i.header == m.header for i in infos)]
    assert len(both) >= 20
    for message, stamp in both[::5]:
        frame = frames[shown[stamp]["scene"], shown[stamp]["number"]]
        depth = convert.depth_from_image(message)
        np.testing.assert_array_equal(np.nan_to_num(depth), frame.depth_m)  # to the bit
        info = next(i for i in infos if i.header == message.header)
        np.testing.assert_array_equal(camera_from_info(info).K, frame.K)


def test_a_child_that_ignores_sigterm_is_killed(tmp_path, monkeypatch):
    (tmp_path / "stubborn.py").write_text(
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(60)\n"
    )
    monkeypatch.setattr(processes, "_KILL_AFTER_S", 0.3)
    env = {**processes.environment(), "PYTHONPATH": str(tmp_path)}
    with processes.Child("stubborn", [], env, read=True) as child:
        assert child.process.stdout.readline() == "up\n"
        assert child.running()
    assert child.process.returncode == -9
