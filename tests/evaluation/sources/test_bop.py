"""BOP folders: contents and units, and one sentence for each invalid file."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from bop_writing import CORNERS_M, SHAPE, K, pose, write_models, write_scene
from PIL import Image

from pose_node.errors import InputError
from pose_node.evaluation.sources.bop import BopFolder
from pose_node.evaluation.sources.bop_files import models_folder, plain_name


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
    depth_m, found = BopFolder(folder, "none").depth("000002", "000011")
    assert depth_m.shape == SHAPE and (found == K).all()
    with pytest.raises(InputError, match="found no frame 000012"):
        BopFolder(folder).depth("000002", "000012")


def test_targets_name_the_frames_and_how_many_instances(folder):
    targets = [{"scene_id": 2, "im_id": 11, "obj_id": 1, "inst_count": 1}]
    (folder / "test_targets_bop19.json").write_text(json.dumps(targets))
    (frame,) = BopFolder(folder).frames()
    assert frame.frame == "000011"
    assert [x.instance for x in frame.labels] == [0]  # the more visible of the two


def test_models_eval_is_preferred(folder):
    write_models(folder / "models_eval")
    assert models_folder(folder) == folder / "models_eval"
    assert plain_name("006_mustard_bottle") == "mustard_bottle"


def test_an_invalid_file_is_refused(folder):
    edit(folder / "test" / "000002" / "scene_gt.json", lambda v: v.update({"x": []}))
    with pytest.raises(InputError, match="expected BOP's frame numbers"):
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
def test_an_invalid_label_is_refused(folder, entry):
    edit(folder / "test" / "000002" / "scene_gt.json", lambda v: v.update({"3": [entry]}))
    with pytest.raises(InputError, match=r"scene_gt\.json"):
        BopFolder(folder)


@pytest.mark.parametrize("name", ["depth/000003.png", "mask_visib/000003_000000.png"])
@pytest.mark.parametrize("data", [None, b"", b"\x89PNG\r\n"])
def test_only_a_frame_with_an_invalid_image_is_refused(folder, name, data):
    path = folder / "test" / "000002" / name
    path.unlink() if data is None else path.write_bytes(data)
    bad, good = BopFolder(folder).frames()
    assert bad.cloud is None and len(bad.labels) == 1 and good.cloud is not None and good.refused is None
    assert bad.refused.code == ("depth_unreadable" if "depth" in name else "mask_unreadable")
    assert bad.refused.reason.startswith(f"test/000002/{name}: ")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v.pop("3"), "scene_camera.json: found no frame 3"),
        (lambda v: v["3"].pop("cam_K"), "no valid cam_K"),
        (lambda v: v["3"].update(depth_scale=1000.0), "median range"),
        (lambda v: v["3"].update(depth_scale=0.0001), "m, nearer than any depth camera sees"),
        (lambda v: v["3"].update(cam_R_w2c=[0] * 9), "not a rotation"),
    ],
)
def test_only_a_frame_with_an_invalid_camera_is_refused(folder, change, words):
    edit(folder / "test" / "000002" / "scene_camera.json", change)
    bad, good = BopFolder(folder).frames()
    assert bad.cloud is None and words in bad.refused.reason and good.cloud is not None


def without_masks(folder):
    shutil.rmtree(folder / "test" / "000002" / "mask_visib")
    return folder


def test_a_set_without_masks_names_the_option(folder):
    without_masks(folder)
    for crops in ("mask", "box"):
        with pytest.raises(
            InputError, match=r"found no folder mask_visib, .* pass --crops none to look .* without masks\.$"
        ):
            BopFolder(folder, crops)
    assert [x.mask for frame in BopFolder(folder, "none").frames() for x in frame.labels] == [None] * 3


def test_boxes_come_from_the_facts_on_the_labels_where_there_are_no_masks(folder):
    masks = [x.mask for frame in BopFolder(folder).frames() for x in frame.labels]
    boxes = [[int(v) for v in (*np.argwhere(m).min(0)[::-1], *np.ptp(np.argwhere(m), axis=0)[::-1])] for m in masks]
    flat = iter(boxes)
    edit(
        folder / "test" / "000002" / "scene_gt_info.json",
        lambda v: [x.update(bbox_visib=next(flat)) for frame in v.values() for x in frame],
    )
    with pytest.raises(InputError, match=r"or --crops box for the boxes of scene_gt_info\.json"):
        BopFolder(without_masks(folder))
    found = [x.mask for frame in BopFolder(folder, "box").frames() for x in frame.labels]
    for (x, y, w, h), mask in zip(boxes, found):
        assert mask.sum() == (w + 1) * (h + 1) and mask[y, x] and mask[y + h, x + w]


def renamed(scene, camera_type):
    for name in ("depth", "mask_visib", "scene_camera.json", "scene_gt.json", "scene_gt_info.json"):
        stem, dot, end = name.partition(".")
        (scene / name).rename(scene / f"{stem}_{camera_type}{dot}{end}")


def test_files_may_carry_the_name_of_a_camera(folder):
    plain = list(BopFolder(folder).frames())
    renamed(folder / "test" / "000002", "cam1")
    source = BopFolder(folder)
    assert source.notes == [] and source.labelled == {1: 3}
    for one, other in zip(plain, source.frames()):
        assert (one.scene, one.frame) == (other.scene, other.frame)
        assert np.array_equal(one.cloud.points_m, other.cloud.points_m)
        assert all(np.array_equal(x.mask, y.mask) for x, y in zip(one.labels, other.labels))
    assert source.depth("000002", "000003")[0].shape == SHAPE


def test_each_camera_with_depth_is_a_scene(folder):
    scene = folder / "test" / "000002"
    renamed(scene, "cam1")
    write_scene(folder / "other", {5: [pose(0.0)]})
    for path in (folder / "other").iterdir():
        path.rename(scene / f"{path.stem}_cam2{path.suffix}")
    (scene / "scene_camera_rgb.json").write_text("{}")  # of a camera without depth
    source = BopFolder(folder)
    assert [(x.scene, x.frame) for x in source.frames()] == [
        ("000002_cam1", "000003"),
        ("000002_cam1", "000011"),
        ("000002_cam2", "000005"),
    ]
    assert "found cameras cam1, cam2" in source.notes[0]


def private(folder):
    for name in ("scene_gt.json", "scene_gt_info.json", "mask_visib"):
        path = folder / "test" / "000002" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


@pytest.mark.parametrize("with_objects", [True, False])
def test_without_ground_truth_the_targets_are_the_frames(folder, with_objects):
    one = {"obj_id": 1, "inst_count": 2} if with_objects else {}
    name = "test_targets_bop19.json" if with_objects else "test_targets_bop24.json"
    (folder / name).write_text(json.dumps([{"scene_id": 2, "im_id": 11, **one}, {"scene_id": 9, "im_id": 1, **one}]))
    source = BopFolder(private(folder))
    assert not source.has_truth and source.labelled == {1: 2 if with_objects else 0}
    (frame,) = source.frames()
    assert frame.frame == "000011" and frame.cloud is not None and frame.labels == ()
    assert "found no scene_gt.json, so there is no score" in source.notes[0]


def test_without_ground_truth_and_targets_every_frame_is_one(folder):
    source = BopFolder(private(folder))
    assert len(source) == 2 and source.labelled == {1: 0}
    shutil.rmtree(folder / "models")
    assert BopFolder(folder).labelled == {}


def test_a_scene_without_labels_among_others_is_left_out_and_named(folder):
    write_scene(folder / "test" / "000007", {1: [pose(0.0)]})
    (folder / "test" / "000007" / "scene_gt.json").unlink()
    source = BopFolder(folder)
    assert len(source) == 2 and source.notes == ["000007: found no scene_gt.json; left out."]


def test_a_set_without_depth_is_refused(folder):
    shutil.rmtree(folder / "test" / "000002" / "depth")
    with pytest.raises(InputError, match="found no folder depth in its scenes, expected depth images"):
        BopFolder(folder)


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


def test_a_folder_without_scenes_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match="expected"):
            BopFolder(path)


def test_the_box_of_the_tests_is_a_box():
    assert CORNERS_M.shape == (8, 3) and CORNERS_M.max(axis=0) == pytest.approx([0.05, 0.03, 0.02])
