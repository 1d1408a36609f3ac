"""``pose_node evaluate BAG``: the same poses as the pipeline's own, a run folder, and a sentence where there is nothing."""

from __future__ import annotations

import html

import numpy as np
import pytest
from bag_writing import depth_recording, label, write_bag

from benchmarks.labelled_bag import demo_frames, write_labelled_bag
from benchmarks.long_bag import without_times
from pose_node.cli import main
from pose_node.evaluation.run_folder import read_run
from pose_node.measurement.cloud import Cloud
from pose_node.objects.folders import object_folders
from pose_node.pipeline import Pipeline
from pose_node.ros.demo import recording

OBJECT, ID = "mustard_bottle", 5


@pytest.fixture(scope="session")
def demo_bag(tmp_path_factory):
    return write_labelled_bag(tmp_path_factory.mktemp("demo") / "demo", demo_frames("000002")[:2])


def blind(messages):
    """The same recording with a second image without readings."""
    images = [m for topic, _, m in messages if topic == "/depth/image_rect"]
    images[1].data = np.zeros_like(images[1].data)
    return messages


def evaluate(*words) -> int:
    return main(["evaluate", *map(str, words)])


def test_poses_are_the_pipelines_own_to_the_byte(models, demo_bag, tmp_path):
    out = tmp_path / "run"
    words = ("--objects", OBJECT, "--labels", f"{ID}={OBJECT}", "--models", models, "--out", out)
    assert evaluate(demo_bag, *words) == 0
    run = read_run(out)
    assert len(run.frames) == 2 and run.info.kind == "bag" and run.info.crops == "mask"
    assert run.info.notes == ("labels: 10 of 7, 9, 10, 16, 18 left out, as these objects are not looked for.",)
    pipeline = Pipeline.load(object_folders(models, [OBJECT]))
    for record, frame in zip(run.frames, recording.read("000002")):
        label = next(i for i, (bop_id, _) in enumerate(frame.labels) if bop_id == ID)
        result = pipeline.estimate(Cloud.from_depth(frame.depth_m, frame.K), masks={OBJECT: [frame.mask(label)]})
        assert len(record.estimates) == len(result.estimates) == 1
        assert record.estimates[0].T_camera_object.tobytes() == result.estimates[0].T_camera_object.tobytes()
    assert {p.name for p in out.iterdir()} >= {"poses.mcap", "results.csv", "summary.json", "report.html"}
    rows = (out / "results.csv").read_text().splitlines()
    assert rows[0] == "scene_id,im_id,obj_id,score,R,t,time" and rows[1].startswith(f"1,0,{ID},")


def test_a_cluster_that_is_not_there_leaves_nothing_behind(models, demo_bag, tmp_path, capsys):
    out = tmp_path / "run"
    assert evaluate(demo_bag, "--objects", OBJECT, "--models", models, "--out", out, "--ray", "127.0.0.1:1") == 2
    assert "found no cluster there" in capsys.readouterr().err
    assert not out.exists()


def test_labels_inside_are_scored_as_those_of_a_folder(models, demo_bag, tmp_path, capsys):
    """The demo's frames as a bag and as a BOP folder without models: the same poses, the same errors."""
    bag, folder = tmp_path / "bag", tmp_path / "folder"
    words = ("--objects", OBJECT, "--models", models)
    assert evaluate(demo_bag, *words, "--labels", f"{ID}={OBJECT}", "--out", bag) == 0
    told = capsys.readouterr().out
    assert "own AR" in told and "2 labels in 1 placement" in told
    assert evaluate(recording.SCENES.parent, *words, "--out", folder) == 0
    a, b = read_run(bag), read_run(folder)
    assert a.info.reference == b.info.reference == "card" and len(a.labels) == 2
    for x, y in zip(a.labels, [one for one in b.labels if one.scene == "000002"]):
        np.testing.assert_allclose(x.T_camera_object, y.T_camera_object, atol=1e-9)
        # The bag's depth is float32, the folder's whole millimetres.
        assert x.errors.mssd_rel == pytest.approx(y.errors.mssd_rel, abs=3e-3)
        assert x.errors.rotation_deg == pytest.approx(y.errors.rotation_deg, abs=1.0)
        assert x.recall == pytest.approx(y.recall, abs=0.02) and set(x.recall) == {"vsd", "mssd", "mspd"}
    assert (bag / "report.html").read_text().count("data:image/jpeg") == 1  # one placement, drawn over the bag's depth


def test_a_labelled_frame_without_a_reading_is_a_miss(models, tmp_path):
    messages = [(f"/labels/{OBJECT}/pose", when, label(when)) for t, when, _ in depth_recording(3) if "image" in t]
    path = write_bag(tmp_path / "few", sorted([*blind(depth_recording(3)), *messages], key=lambda m: m[1]))
    assert evaluate(path, "--objects", OBJECT, "--models", models, "--out", tmp_path / "run") == 3
    run = read_run(tmp_path / "run")
    assert [x.estimate for x in run.labels] == [None] * 3
    assert run.summary["all"]["figures"]["own_answered"]["value"] == 0.0


def test_a_truncated_recording_gives_a_note(models, demo_bag, tmp_path, capsys):
    (file,) = demo_bag.glob("*.mcap")
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(file.read_bytes()[: int(0.7 * file.stat().st_size)])
    assert evaluate(cut, "--objects", OBJECT, "--models", models, "--out", tmp_path / "run") in (0, 3)
    run = read_run(tmp_path / "run")
    assert len(run.frames) == 1 and any("cut.mcap" in note for note in run.info.notes)
    assert "cut.mcap: found" in "".join(capsys.readouterr())


def test_invalid_input_is_exit_code_2_and_one_sentence(models, tmp_path, capsys):
    (tmp_path / "empty.mcap").write_bytes(b"")
    no_info = write_bag(tmp_path / "no_info", [m for m in depth_recording(2) if "info" not in m[0]])
    for path in (tmp_path / "empty.mcap", no_info, tmp_path / "nothing.mcap"):
        assert evaluate(path, "--objects", OBJECT, "--models", models, "--out", tmp_path / "run") == 2
        error = capsys.readouterr().err
        assert error.startswith("pose_node: ") and "expected" in error and error.count("\n") == 1


def test_frames_that_cannot_be_used_are_rows_with_their_reason(models, tmp_path, capsys):
    messages = [m for m in depth_recording(2) if m[0] != "/depth/camera_info"]
    infos = [m for m in depth_recording(2) if m[0] == "/depth/camera_info"]
    for _, _, message in infos:
        message.k = np.zeros(9)
        message.p = np.zeros(12)
    path = write_bag(tmp_path / "uncalibrated", sorted([*messages, *infos], key=lambda m: m[1]))
    assert evaluate(path, "--objects", OBJECT, "--models", models, "--out", tmp_path / "run") == 3
    run = read_run(tmp_path / "run")
    assert [dict(f.rejected) for f in run.frames] == [{"no_intrinsics": 1}] * 2
    (refusal,) = run.info.refused
    assert str(refusal).startswith("2 times no_intrinsics: camera matrix K: found fx=0")
    assert f"refused: {refusal}" in capsys.readouterr().out
    assert refusal.reason in html.unescape((tmp_path / "run" / "report.html").read_text().replace("<wbr>", ""))


@pytest.mark.parametrize("words", [("--jobs", 2), ("--ray", "local", "--jobs", 2)], ids=["processes", "ray"])
def test_results_are_the_same_for_any_number_of_workers(models, demo_bag, tmp_path, words):
    if "--ray" in words:
        pytest.importorskip("ray")
    shared = ("--objects", OBJECT, "--labels", f"{ID}={OBJECT}", "--models", models)
    assert evaluate(demo_bag, *shared, "--out", tmp_path / "one") == 0
    assert evaluate(demo_bag, *shared, "--out", tmp_path / "many", *words) == 0
    assert without_times(tmp_path / "one") == without_times(tmp_path / "many")


def test_realtime_needs_a_single_worker(models, demo_bag, tmp_path, capsys):
    assert evaluate(demo_bag, "--models", models, "--out", tmp_path / "run", "--realtime", "--jobs", 2) == 2
    assert "--realtime: found --jobs or --ray" in capsys.readouterr().err


def test_several_sources_have_a_run_each_and_one_page(models, demo_bag, tmp_path, capsys):
    (tmp_path / "empty.mcap").write_bytes(b"")
    cut, out = tmp_path / demo_bag.name, tmp_path / "runs"
    cut.mkdir()
    (file,) = demo_bag.glob("*.mcap")
    (cut / "cut.mcap").write_bytes(file.read_bytes()[: int(0.7 * file.stat().st_size)])
    words = ("--objects", OBJECT, "--models", models, "--out", out)
    assert evaluate(tmp_path / "empty.mcap", demo_bag, cut, *words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"pose_node: {tmp_path / 'empty.mcap'}: ") and error.count("\n") == 1
    assert [len(read_run(out / name).frames) for name in (demo_bag.name, f"{demo_bag.name}_2")] == [2, 1]
    page = (out / "index.html").read_text()
    for name in (demo_bag.name, f"{demo_bag.name}_2"):
        assert f'href="{name}/report.html"' in page and (out / name / "report.html").is_file()
    assert "empty.mcap: found no topic" in page and "cut.mcap: found" in page and str(tmp_path) not in page
    assert evaluate(demo_bag, cut, *words[:-1], tmp_path) == 2
    assert "expected a folder without a source in it" in capsys.readouterr().err


def in_floats(messages, scale):
    """The same recording as 32FC1, of this many to a metre."""
    for topic, _, message in messages:
        if topic == "/depth/image_rect":
            counts = np.frombuffer(message.data, np.uint16).astype(np.float32)
            message.data = np.frombuffer((counts * np.float32(scale / 1000.0)).tobytes(), np.uint8)
            message.encoding, message.step = "32FC1", 2 * message.step
    return messages


@pytest.mark.parametrize(
    ("scale", "told"),
    [(1000.0, "found a median range of 1000 m"), (0.001, "found a median range of 0.001 m, nearer than")],
)
def test_floats_that_are_not_metres_are_refused_and_read_with_a_depth_scale(models, tmp_path, capsys, scale, told):
    bag = write_bag(tmp_path / "drive", in_floats(depth_recording(3), scale))
    out, words = tmp_path / "run", ("--objects", OBJECT, "--models", models)
    assert evaluate(bag, *words, "--out", out) == 3
    said = capsys.readouterr().out
    assert (
        f"refused: 3 times not_metres: depth image: {told}" in said and "; --depth-scale sets the millimetres" in said
    )
    assert told in (out / "run.json").read_text() and told in html.unescape((out / "report.html").read_text())
    assert evaluate(bag, *words, "--out", out, "--depth-scale", 1000.0 / scale) == 3
    run = read_run(out)
    assert not any("not_metres" in frame.rejected for frame in run.frames)
    assert run.info.config["bag"]["depth_scale_mm"] == 1000.0 / scale


def test_a_depth_scale_is_of_bags_alone(models, tmp_path, capsys):
    words = ("--objects", OBJECT, "--models", models, "--out", tmp_path / "run", "--depth-scale", 1)
    assert evaluate(recording.SCENES.parent, *words) == 2
    assert "--depth-scale: found" in capsys.readouterr().err
    assert evaluate(write_bag(tmp_path / "drive", depth_recording(1)), *words[:-1], -1) == 2
    assert "depth scale: found -1" in capsys.readouterr().err
