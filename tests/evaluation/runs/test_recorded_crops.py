"""Crops of a recording: by labels and masks, by a bag's labels, and a sentence where the object is not in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bag_writing import depth_recording, label, write_bag
from bop_writing import pose as box_pose
from bop_writing import write_models, write_scene

from pose_node.errors import InputError
from pose_node.evaluation.runs.recorded_crops import bag_crops, bop_crops
from pose_node.objects.card import save_card


@pytest.fixture
def folder(block, tmp_path):
    """The block, as object 1 of data sets."""
    import shutil

    folder = tmp_path / "models" / "block"
    shutil.copytree(block.card.folder.parent, folder.parent)
    save_card(replace(block.card, folder=folder, bop_id=1))
    return folder


def test_labels_of_a_set_are_cropped_to_their_masks(folder, tmp_path):
    write_models(tmp_path / "set" / "models")
    poses = {number: [box_pose(0.01 * number)] for number in range(4)}
    for scene in ("000001", "000002"):
        write_scene(tmp_path / "set" / "test" / scene, poses)
    crops = bop_crops(tmp_path / "set", folder)
    assert len(crops) == 8 and len({crop.group for crop in crops}) == 8  # few scenes: their frames are told apart
    np.testing.assert_allclose(crops[1].T_camera_object, poses[1][0], atol=1e-6)
    assert len(crops[1].points_m) > 100
    assert np.linalg.norm(crops[1].points_m - poses[1][0][:3, 3], axis=1).max() < 0.07


def test_a_set_without_the_object_is_refused(folder, tmp_path, block):
    write_models(tmp_path / "set" / "models")
    write_scene(tmp_path / "set" / "test" / "000001", {0: [box_pose(0.0)]}, object_id=2)
    with pytest.raises(InputError, match=r"found no label of object 1 \(block\)"):
        bop_crops(tmp_path / "set", folder)
    save_card(replace(block.card, folder=folder))
    with pytest.raises(InputError, match="found no bop_id on the card"):
        bop_crops(tmp_path / "set", folder)


def test_labels_of_a_bag_say_which_points_are_the_objects(folder, tmp_path):
    messages = depth_recording(3)
    images = [(when, message) for topic, when, message in messages if topic == "/depth/image_rect"]
    messages += [("/labels/block/pose", when + 1000, label(when)) for when, _ in images]
    messages.sort(key=lambda entry: entry[1])
    crops = bag_crops(write_bag(tmp_path / "bag", messages), folder)
    assert [crop.group[-1] for crop in crops] == ["0", "4", "8"]
    for crop in crops:
        assert 0 < len(crop.points_m) < 300 and crop.points_m[:, 2].max() < 0.9  # the wall is at 1 m


def test_a_bag_without_labels_and_without_the_object_is_refused(folder, tmp_path):
    with pytest.raises(
        InputError, match="found no crop of block in 3 frames, expected block in it: neither labels nor"
    ):
        bag_crops(write_bag(tmp_path / "bag", depth_recording(3)), folder)
