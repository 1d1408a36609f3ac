"""Evaluation of data sets, with a stand-in for the pipeline and with the real one on a frame of the demo."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bop_writing import CORNERS_M, FACES, SHAPE, pose, write_models, write_ply, write_scene
from PIL import Image

from pose_node import cli
from pose_node.cli.exit_codes import DONE
from pose_node.config import PipelineConfig
from pose_node.errors import InputError
from pose_node.evaluation import command
from pose_node.evaluation.records import Refusal
from pose_node.evaluation.report.pictures import false_alarms
from pose_node.evaluation.report.report import write_report
from pose_node.evaluation.report.terminal import print_run
from pose_node.evaluation.run_folder import read_run
from pose_node.evaluation.runs import set_run
from pose_node.evaluation.runs.set_run import evaluate_folder
from pose_node.geometry.symmetry import Symmetry
from pose_node.types import Rejected, Result

DIAMETER_M = float(np.linalg.norm([0.10, 0.06, 0.04]))


class Knowing:
    """Returns for each mask a pose at its centre, and records its arguments."""

    provider = "CPUExecutionProvider"
    config = PipelineConfig()
    asked: list

    def estimate(self, cloud, masks=None, boxes=None):
        self.asked.append((masks, boxes))
        estimates = []
        for name, each in (masks or boxes or {"box": [None]}).items():
            for mask in each:
                x = 0.0 if mask is None else np.median(cloud.points_m[mask.ravel()[cloud.source_index]][:, 0])
                T = min((pose(p) for p in (-0.08, 0.0, 0.08)), key=lambda T: abs(T[0, 3] - x))
                estimates.append(
                    SimpleNamespace(
                        object_name=name, T_camera_object=T, score=0.9, covariance=np.eye(6), alternatives=()
                    )
                )
        return Result(tuple(estimates), (Rejected("low_score", "."),), stage_s={"infer": 0.01})


@pytest.fixture
def knowing(monkeypatch):
    """The pipeline and the cards replaced by ones that need no network."""
    pipeline = Knowing()
    pipeline.asked = []
    cards = {
        name: SimpleNamespace(name=name, folder=Path(name), diameter_m=d, bop_id=i)
        for name, d, i in (("box", DIAMETER_M, 1), ("other", DIAMETER_M, 2))
    }
    monkeypatch.setattr(set_run, "object_folders", lambda models, names: [Path(n) for n in names or cards])
    monkeypatch.setattr(set_run, "load_card", lambda path: cards[path.name])
    monkeypatch.setattr(set_run.Pipeline, "load", lambda folders, config: pipeline)
    return pipeline


@pytest.fixture
def folder(tmp_path):
    write_scene(tmp_path / "set" / "scenes" / "000002", {3: [pose(0.0)], 11: [pose(-0.08), pose(0.08)]})
    write_models(tmp_path / "set" / "models")
    return tmp_path / "set"


@pytest.mark.parametrize("crops", ["mask", "box"])
def test_a_set_becomes_a_run(folder, tmp_path, knowing, crops):
    summary = evaluate_folder(folder, tmp_path / "run", crops)
    assert summary["all"]["labels"] == 3
    assert summary["all"]["figures"]["ar"]["value"] == 1.0
    assert [len((masks or boxes)["box"]) for masks, boxes in knowing.asked] == [1, 2]
    assert all((masks is None) == (crops == "box") for masks, boxes in knowing.asked)
    done = read_run(tmp_path / "run")
    assert done.info.reference == "set" and done.info.crops == crops
    assert done.info.objects["box"] == {"diameter_m": pytest.approx(DIAMETER_M), "bop_id": 1}
    assert [x.estimate for x in done.labels] == [0, 0, 1]
    assert done.frames[0].rejected == {"low_score": 1}
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == json.loads(json.dumps(summary))


def test_a_set_named_itodd_has_its_own_delta(folder, tmp_path, knowing, monkeypatch):
    deltas = []
    made = set_run.reference_of_set
    monkeypatch.setattr(set_run, "reference_of_set", lambda *words: (deltas.append(words[-1]), made(*words))[1])
    evaluate_folder(folder, tmp_path / "run")
    folder.rename(tmp_path / "itodd")
    evaluate_folder(tmp_path / "itodd", tmp_path / "run")
    evaluate_folder(tmp_path / "itodd" / "scenes" / "000002", tmp_path / "run")
    assert deltas == [0.015, 0.005, 0.005]


def test_a_box_holds_the_mask(folder, tmp_path, knowing):
    evaluate_folder(folder, tmp_path / "masks", "mask")
    evaluate_folder(folder, tmp_path / "boxes", "box")
    (mask,), (box,) = knowing.asked[0][0]["box"], knowing.asked[2][1]["box"]
    rows, columns = np.nonzero(mask)
    assert box.sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1) and (box & mask).sum() == mask.sum()


def test_without_crops_every_frame_is_asked_once(folder, tmp_path, knowing):
    summary = evaluate_folder(folder, tmp_path / "run", "none")
    assert knowing.asked == [(None, None)] * 2
    # In the second frame it stands between the two boxes, more than half a diameter from each.
    assert summary["all"]["figures"]["false_alarms"]["value"] == 0.5


def found_at(x, score=0.9):
    return SimpleNamespace(
        object_name="box", T_camera_object=pose(x), score=score, covariance=np.eye(6), alternatives=()
    )


def printed(capsys, run_folder) -> str:
    print_run(run_folder)
    return capsys.readouterr().out


def test_a_further_instance_of_a_labelled_object_is_a_false_alarm(folder, tmp_path, knowing, monkeypatch, capsys):
    """Found where it is and again beside it, the wrong one surer."""
    monkeypatch.setattr(Knowing, "estimate", lambda *_, **__: Result((found_at(0.3), found_at(0.0, 0.6)), ()))
    (folder / "test_targets_bop19.json").write_text('[{"scene_id": 2, "im_id": 3, "obj_id": 1, "inst_count": 1}]')
    summary = evaluate_folder(folder, tmp_path / "run", "none")
    assert summary["all"]["figures"]["false_alarms"]["value"] == 1.0
    done = read_run(tmp_path / "run")
    assert done.frames[0].unmatched == (0,) and [x.estimate.score for x in false_alarms(done)] == [0.9]
    summary = evaluate_folder(folder, tmp_path / "open", "none", labels_complete=False)
    assert "false_alarms" not in summary["all"]["figures"] and false_alarms(read_run(tmp_path / "open")) == []
    assert "incomplete" in printed(capsys, tmp_path / "open")


def test_an_instance_that_is_no_target_is_no_false_alarm(folder, tmp_path, knowing, monkeypatch):
    """Of the two boxes of frame 11 the one is counted, and the pipeline finds the other."""
    monkeypatch.setattr(Knowing, "estimate", lambda *_, **__: Result((found_at(0.08),), ()))
    (folder / "test_targets_bop19.json").write_text('[{"scene_id": 2, "im_id": 11, "obj_id": 1, "inst_count": 1}]')
    summary = evaluate_folder(folder, tmp_path / "run", "none")
    assert summary["all"]["labels"] == 1 and summary["all"]["figures"]["false_alarms"]["value"] == 0.0


def test_bops_csv(folder, tmp_path, knowing):
    evaluate_folder(folder, tmp_path / "run")
    rows = list(csv.DictReader((tmp_path / "run" / "results.csv").open()))
    assert [(r["scene_id"], r["im_id"], r["obj_id"]) for r in rows] == [
        ("2", "3", "1"),
        ("2", "11", "1"),
        ("2", "11", "1"),
    ]
    assert list(rows[0]) == ["scene_id", "im_id", "obj_id", "score", "R", "t", "time"]
    T = pose(0.0)
    assert [float(v) for v in rows[0]["R"].split()] == T[:3, :3].ravel().tolist()
    np.testing.assert_allclose([float(v) for v in rows[0]["t"].split()], 1000 * T[:3, 3])
    assert rows[1]["time"] == rows[2]["time"]


def test_labels_without_a_card_are_noted(folder, tmp_path, knowing):
    write_scene(folder / "scenes" / "000003", {1: [pose(0.0)]}, object_id=7)
    evaluate_folder(folder, tmp_path / "run")
    assert read_run(tmp_path / "run").info.notes == (
        "object 7: 1 labels left out: it is not one of the objects looked for.",
    )


def test_names_decide_where_a_set_has_some(folder, tmp_path, knowing):
    (folder / "models" / "names.json").write_text('{"1": "005_other"}')
    evaluate_folder(folder, tmp_path / "run")
    assert list(read_run(tmp_path / "run").info.objects) == ["other"]
    (folder / "models" / "names.json").write_text('{"1": "lamp"}')
    with pytest.raises(InputError, match="found labels of lamp, expected one of the objects box, other"):
        evaluate_folder(folder, tmp_path / "run")


def test_another_object_of_the_same_number_is_not_taken_for_ours(folder, tmp_path, knowing):
    info = json.loads((folder / "models" / "models_info.json").read_text())
    info["1"]["diameter"] *= 1.5
    (folder / "models" / "models_info.json").write_text(json.dumps(info))
    with pytest.raises(InputError, match="found labels of 1"):
        evaluate_folder(folder, tmp_path / "run")


def test_an_object_that_is_not_in_the_set_can_be_looked_for(folder, tmp_path, knowing):
    summary = evaluate_folder(folder, tmp_path / "run", "none", names=["other"])
    assert summary["all"]["labels"] == 0
    assert summary["all"]["figures"]["false_alarms"]["value"] == 1.0


def test_a_lost_image_costs_its_frame_alone(folder, tmp_path, knowing, capsys):
    (folder / "scenes" / "000002" / "depth" / "000003.png").unlink()
    summary = evaluate_folder(folder, tmp_path / "run")
    done = read_run(tmp_path / "run")
    assert [(f.frame, dict(f.rejected)) for f in done.frames] == [
        ("000003", {"depth_unreadable": 1}),
        ("000011", {"low_score": 1}),
    ]
    assert [x.estimate for x in done.labels] == [None, 0, 1]
    assert summary["all"]["figures"]["answered"]["value"] == pytest.approx(2 / 3)
    sentence = "scenes/000002/depth/000003.png: no such file, expected a depth image."
    assert Refusal("depth_unreadable", 1, sentence) in done.info.refused
    assert f"refused: once depth_unreadable: {sentence}" in printed(capsys, tmp_path / "run")
    write_report(tmp_path / "run")
    assert sentence in (tmp_path / "run" / "report.html").read_text().replace("<wbr>", "")


def test_an_empty_mask_is_refused(folder, tmp_path, knowing, capsys):
    path = folder / "scenes" / "000002" / "mask_visib" / "000011_000001.png"
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save(path)
    evaluate_folder(folder, tmp_path / "run")
    assert "refused: once mask_empty: box: the mask of label 1 is empty." in printed(capsys, tmp_path / "run")


def test_a_set_without_ground_truth_is_run_on_its_targets(folder, tmp_path, knowing, monkeypatch):
    for name in ("scene_gt.json", "scene_gt_info.json"):
        (folder / "scenes" / "000002" / name).unlink()
    (folder / "test_targets_bop19.json").write_text('[{"scene_id": 2, "im_id": 11, "obj_id": 1, "inst_count": 1}]')
    card = SimpleNamespace(diameter_m=DIAMETER_M, centre_m=np.zeros(3), symmetry=Symmetry(np.eye(4)[None]))
    knowing.cards = {"box": card}
    summary = evaluate_folder(folder, tmp_path / "run")
    assert knowing.asked == [(None, None)] and summary["all"]["labels"] == 0
    assert summary["all"]["figures"]["found"]["value"] == 1.0
    done = read_run(tmp_path / "run")
    assert (done.info.crops, done.info.reference) == ("none", "") and "there is no score" in done.info.notes[0]
    (row,) = csv.DictReader((tmp_path / "run" / "results.csv").open())
    assert (row["scene_id"], row["im_id"], row["obj_id"]) == ("2", "11", "1")
    write_report(tmp_path / "run")


def test_a_set_without_masks_leaves_no_folder(folder, tmp_path, knowing):
    shutil.rmtree(folder / "scenes" / "000002" / "mask_visib")
    with pytest.raises(InputError, match="--crops none"):
        evaluate_folder(folder, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert evaluate_folder(folder, tmp_path / "run", "none")["all"]["labels"] == 3


def test_range_scans_become_a_run(folder, tmp_path, knowing):
    scans = tmp_path / "scans"
    (scans / "scenes").mkdir(parents=True)
    write_ply(scans / "scenes" / "a.ply", 1000 * (CORNERS_M @ pose(0.0)[:3, :3].T + pose(0.0)[:3, 3]), FACES)
    T = pose(0.0)
    T[:3, 3] *= 1000
    (scans / "gt.json").write_text(json.dumps({"a.ply": {"obj_id": 1, "T_cloud_object": T.ravel().tolist()}}))
    write_models(scans / "models")
    summary = evaluate_folder(scans, tmp_path / "run")
    (mask,) = knowing.asked[0][0]["box"]
    assert mask.all()  # a scan holds nothing but its object
    figures = summary["all"]["figures"]
    assert figures["ar_mssd"]["value"] == figures["recall_add_10"]["value"] == 1.0
    assert not {"ar", "ar_vsd", "ar_mspd"} & set(figures)  # bare points form no image
    assert (tmp_path / "run" / "results.csv").read_text().count("\n") == 1  # nor have they BOP's numbers


def evaluated(*words):
    return cli.main(["evaluate", *map(str, words)])


@pytest.mark.parametrize("failure", ["no source", "no masks", "no models", "in the middle"])
def test_a_run_that_fails_leaves_no_older_report(folder, tmp_path, knowing, monkeypatch, failure, capsys):
    out, source = tmp_path / "run", folder
    knowing.cards = {}
    assert evaluated(folder, "--out", out, "--objects", "box") == DONE
    older = {path.name: path.read_bytes() for path in out.iterdir()}
    assert {"report.html", "run.json", "summary.json", "results.csv"} <= set(older)
    (out / "mine.txt").write_text("mine")

    def fail(*_, **__):
        raise InputError("models: found none, expected some.")

    if failure == "no source":
        source = folder.parent / "nowhere"
    elif failure == "no masks":
        shutil.rmtree(folder / "scenes" / "000002" / "mask_visib")
    elif failure == "no models":
        monkeypatch.setattr(set_run, "object_folders", fail)
    else:
        monkeypatch.setattr(Knowing, "estimate", fail)
    assert evaluated(source, "--out", out, "--objects", "box") == cli.BAD_INPUT
    left = {path.name for path in out.iterdir()}
    assert (out / "mine.txt").read_text() == "mine"
    assert {p.name: p.read_bytes() for p in (out / "previous_run").iterdir()} == older
    if failure == "in the middle":
        assert "The run failed: models: found none" in (out / "report.html").read_text()
        output = printed(capsys, out)
        assert "The run was interrupted" in output and "The run failed" in output
    else:
        assert left == {"mine.txt", "previous_run"}
    # A further failure keeps what was set aside as long as there is nothing newer.
    assert evaluated(folder.parent / "nowhere", "--out", out) == cli.BAD_INPUT
    assert (out / "previous_run" / "report.html").is_file() and not (out / "report.html").exists()


@pytest.fixture
def demo(tmp_path, repository):
    """One frame of the demo recording, which brings no models of its own."""
    scene, source = tmp_path / "demo" / "scenes" / "000002", repository / "pose_node/ros/demo/ycbv_demo/scenes/000002"
    scene.mkdir(parents=True)
    for name in ("scene_camera.json", "scene_gt.json"):
        values = json.loads((source / name).read_text())
        (scene / name).write_text(json.dumps({"1": values["1"]}))
    for name in ("depth", "mask_visib"):
        (scene / name).mkdir()
        for path in (source / name).glob("000001*"):
            shutil.copy(path, scene / name)
    return tmp_path / "demo"


def test_the_command_on_a_real_frame(demo, tmp_path, repository, capsys):
    words = ["evaluate", str(demo), "--out", str(tmp_path / "run"), "--objects", "mustard_bottle"]
    assert cli.main([*words, "--models", str(repository / "models")]) == DONE
    done = read_run(tmp_path / "run")
    assert done.info.reference == "card" and done.info.objects["mustard_bottle"]["bop_id"] == 5
    assert done.labels[0].errors.mssd_rel < 0.1
    assert done.labels[0].recall["vsd"] > 0.9
    assert (tmp_path / "run" / "report.html").is_file() and (tmp_path / "run" / "results.csv").is_file()
    assert "written" in capsys.readouterr().out


def test_two_processes_find_the_same(demo, tmp_path, repository):
    for jobs in (1, 2):
        evaluate_folder(demo, tmp_path / str(jobs), models=repository / "models", names=["mustard_bottle"], jobs=jobs)
    one, two = (read_run(tmp_path / str(jobs)) for jobs in (1, 2))
    assert (tmp_path / "1/labels.jsonl").read_bytes() == (tmp_path / "2/labels.jsonl").read_bytes()
    assert [e.to_json() for e in one.frames[0].estimates] == [e.to_json() for e in two.frames[0].estimates]
    assert one.info.to_json() == two.info.to_json()


@pytest.mark.parametrize(
    "words, sentence",
    [
        ([], "expected one of them"),
        (["{}/none"], "found nothing there"),
        (["{}"], "found no scene"),
        (["{}", "--compare", "a", "b"], "expected one of them"),
    ],
)
def test_bad_usage_is_one_sentence(tmp_path, monkeypatch, capsys, words, sentence):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["evaluate", *(word.format(tmp_path) for word in words)]) == cli.BAD_INPUT
    assert sentence in capsys.readouterr().err


def test_a_bag_beside_the_scenes_does_not_make_a_set_a_recording(folder, tmp_path):
    (folder / "drive.bag").write_bytes(b"#ROSBAG V2.0")
    (tmp_path / "bags").mkdir()
    (tmp_path / "bags" / "drive_0.mcap").write_bytes(b"")
    assert not command._is_bag(folder)
    assert command._is_bag(tmp_path / "bags") and command._is_bag(folder / "drive.bag")
