"""BOP folders: what is read, in which units, and a sentence for each thing that can be wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
from bop_writing import CORNERS_M, SHAPE, K, pose, write_models, write_scene
from PIL import Image

from pose_node.errors import InputError
from pose_node.evaluation.bop import BopFolder, models_folder, plain_name


@pytest.fixture
def folder(tmp_path):
    write_scene(tmp_path / "test" / "000002", {3: [pose(0.0)], 11: [pose(-0.08), pose(0.08)]})
    write_models(tmp_path / "models", "007_wooden-box")
    return tmp_path


def edit(path, change):
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def test_frames_in_metres_with_masks_and_camera_poses(folder):
    source = BopFolder(folder)
    assert source.names == {1: "wooden_box"} and source.labelled == {1: 3} and len(source) == 2
    first, second = source.frames()
    assert (first.scene, first.frame, second.frame) == ("000002", "000003", "000011")
    assert first.depth_m.shape == SHAPE and (first.cloud.K == K).all()
    assert np.median(first.cloud.points_m[:, 2]) == pytest.approx(0.59, abs=0.03)
    np.testing.assert_allclose(first.T_fixed_camera[:3, 3], [0, 0, -1])
    np.testing.assert_allclose(first.labels[0].T_camera_object, pose(0.0), atol=1e-12)
    assert [x.visible_share for x in second.labels] == [1.0, 0.75]
    assert (first.labels[0].mask == (first.depth_m > 0)).all()
    assert not (second.labels[0].mask & second.labels[1].mask).any()


def test_a_split_or_a_scene_may_be_given(folder):
    for path in (folder / "test", folder / "test" / "000002"):
        assert len(BopFolder(path)) == 2
        assert BopFolder(path).names == {1: "wooden_box"}
        assert models_folder(path) == folder / "models"


def test_depth_for_pictures(folder):
    depth_m, found = BopFolder(folder, masks=False).depth("000002", "000011")
    assert depth_m.shape == SHAPE and (found == K).all()
    with pytest.raises(InputError, match="found no frame 000012"):
        BopFolder(folder).depth("000002", "000012")


def test_targets_name_the_frames_and_how_many_instances(folder):
    targets = [{"scene_id": 2, "im_id": 11, "obj_id": 1, "inst_count": 1}]
    (folder / "test_targets_bop19.json").write_text(json.dumps(targets))
    (frame,) = BopFolder(folder).frames()
    assert frame.frame == "000011"
    assert [x.instance for x in frame.labels] == [0]  # the more visible of the two


def test_models_meant_for_evaluation_come_first(folder):
    write_models(folder / "models_eval")
    assert models_folder(folder) == folder / "models_eval"
    assert plain_name("006_mustard_bottle") == "mustard_bottle"


BAD = {
    "scene_gt.json": lambda v: v.update({"x": []}),
    "scene_camera.json": lambda v: v.pop("11"),
}


@pytest.mark.parametrize("name", BAD)
def test_files_that_do_not_fit_say_so(folder, name):
    edit(folder / "test" / "000002" / name, BAD[name])
    with pytest.raises(InputError, match="expected"):
        BopFolder(folder)


@pytest.mark.parametrize(
    "entry",
    [
        {"obj_id": 1},
        {"obj_id": 1, "cam_R_m2c": [1, 2], "cam_t_m2c": [0, 0, 1]},
        {"obj_id": 1, "cam_R_m2c": [1, 0, 0, 0, 1, 0, 0, 0, -1], "cam_t_m2c": [0, 0, 1]},
        {"obj_id": 1, "cam_R_m2c": [1, 0, 0, 0, 1, 0, 0, 0, "x"], "cam_t_m2c": [0, 0, 1]},
        7,
    ],
)
def test_a_label_that_is_no_pose_says_so(folder, entry):
    edit(folder / "test" / "000002" / "scene_gt.json", lambda v: v.update({"3": [entry]}))
    with pytest.raises(InputError, match=r"scene_gt\.json"):
        BopFolder(folder)


@pytest.mark.parametrize("name", ["depth/000003.png", "mask_visib/000003_000000.png"])
@pytest.mark.parametrize("data", [None, b"", b"\x89PNG\r\n"])
def test_an_image_that_does_not_read_says_so(folder, name, data):
    path = folder / "test" / "000002" / name
    path.unlink() if data is None else path.write_bytes(data)
    with pytest.raises(InputError, match=r"cannot be read|no such file|is not an image"):
        list(BopFolder(folder).frames())


def test_an_opaque_colour_mask_is_the_same_mask(folder):
    grey = [x.mask for frame in BopFolder(folder).frames() for x in frame.labels]
    for path in (folder / "test" / "000002" / "mask_visib").iterdir():
        Image.open(path).convert("RGBA").save(path)
    for one, other in zip(grey, (x.mask for frame in BopFolder(folder).frames() for x in frame.labels)):
        assert np.array_equal(one, other) and not one.all()


def test_the_largest_count_is_no_reading(folder):
    path = folder / "test" / "000002" / "depth" / "000003.png"
    counts = np.asarray(Image.open(path)).copy()
    seen = np.count_nonzero(counts)
    counts[counts == 0] = 65535
    Image.fromarray(counts).save(path)
    assert len(next(BopFolder(folder).frames()).cloud) == seen


def test_a_folder_without_scenes_says_so(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match="expected"):
            BopFolder(path)


def test_the_box_of_the_tests_is_a_box():
    assert CORNERS_M.shape == (8, 3) and CORNERS_M.max(axis=0) == pytest.approx([0.05, 0.03, 0.02])
