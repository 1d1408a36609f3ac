"""``pose_node view --live``: a process of its own that listens to the real node, and writes what a viewer would show."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("rerun", reason="the viewing side is not installed")
pytest.importorskip("tf2_msgs", reason="neither a ROS installation nor script/setup has made tf2_msgs")

from ros_testing import MODELS, OBJECT, node_arguments

sys.path.insert(0, str(Path(__file__).parents[1] / "viewing"))
from reading import column, entities

from pose_node.cli import main
from pose_node.messages import convert


@pytest.mark.parametrize("tracking", [True, False])
def test_a_running_node_is_drawn(start, shipped, peer, camera, tmp_path, tracking):
    fixed = {"fixed_frame": "camera"} if tracking else {}
    node = start("pose_node.ros.node", *node_arguments(**fixed))
    node.wait_for("active")
    path = tmp_path / "live.rrd"
    known = OBJECT if tracking else "mug"  # the node may load further objects while it runs
    view = start("pose_node", "view", "--live", "--objects", known, "--models", str(MODELS), "--save", str(path))
    view.wait_for("drawing in the frame of the camera" if not tracking else "drawing in camera")
    peer.forget()
    for _ in range(6):
        stamp = camera.send(peer, mask=camera.mask())
        peer.wait(stamp)
        peer.spin(0.4)
    said = peer.wait(stamp, "pose")  # of a track, from when it is confirmed
    assert view.end() == 0, view.output()
    assert node.end() == 0, node.output()
    drawn = column(path, f"/fixed/objects/{OBJECT}_1", "Translation3D")
    at_ns = convert.stamp_ns(said)
    p = said.pose.position
    np.testing.assert_allclose(drawn[at_ns][0], [p.x, p.y, p.z], atol=1e-6)
    assert np.max(column(path, f"/fixed/objects/{OBJECT}_1/covariance", "HalfSize3D")[at_ns]) > 0.0
    assert len(next(iter(column(path, "/fixed/camera/cloud", "Position3D").values()))) > 1000
    assert ("/log" in entities(path)) == tracking, "messages about tracks"


def test_unknown_topics_are_refused(tmp_path, capsys):
    assert main(["view", "--live", "--topics", "video=/x", "--save", str(tmp_path / "a.rrd")]) == 2
    assert "--topics: found 'video', expected one of depth, info, points" in capsys.readouterr().err
