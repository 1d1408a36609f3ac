from __future__ import annotations

import json

import numpy as np
import pytest
import yaml
from bag_writing import depth_recording, write_bag
from wall_clouds import SHAPE, K, wall

from pose_node import cli
from pose_node.config import PipelineConfig, from_mapping

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("rosbags")


@pytest.fixture
def folder(tmp_path):
    """A set of two slanted walls, in tenths of a millimetre."""
    scene = tmp_path / "walls" / "scenes" / "000000"
    (scene / "depth").mkdir(parents=True)
    for number, distance in enumerate((0.6, 1.2)):
        depth = np.zeros(SHAPE)
        cloud = wall(distance, number)
        depth.ravel()[cloud.source_index] = cloud.points_m[:, 2]
        Image.fromarray((1e4 * depth).round().astype(np.uint16)).save(scene / "depth" / f"{number:06d}.png")
    camera = {str(n): {"cam_K": K.ravel().tolist(), "depth_scale": 0.1} for n in range(2)}
    (scene / "scene_camera.json").write_text(json.dumps(camera))
    return tmp_path / "walls"


def test_the_printed_settings_can_be_pasted(folder, capsys):
    assert cli.main(["measure-sensor", str(folder)]) == 0
    settings = from_mapping(PipelineConfig, yaml.safe_load(capsys.readouterr().out)).sensor
    assert settings.noise_m + settings.noise_per_m2 == pytest.approx(0.0019, rel=0.15)
    assert settings.smoothing_rad == 0.0
    assert settings.bias_rel > 0.0


def test_what_is_missing_is_one_sentence(tmp_path, capsys):
    assert cli.main(["measure-sensor", str(tmp_path / "none.mcap")]) == 2
    message = capsys.readouterr().err
    assert "expected a bag or a folder" in message and message.count("\n") == 1


def test_a_bag_without_a_plane_is_one_sentence(tmp_path, capsys):
    bag = write_bag(tmp_path / "box.mcap", depth_recording())
    assert cli.main(["measure-sensor", str(bag)]) == 2
    message = capsys.readouterr().err
    assert "found a plane in 0 of 5 frames" in message and message.count("\n") == 1
