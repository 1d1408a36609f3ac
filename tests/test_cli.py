"""The command line: its output and exit codes, and one sentence for each invalid input."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from pose_node import cli
from pose_node.cli import learn
from pose_node.cli.estimate import rejected_lines
from pose_node.geometry.se3 import transform
from pose_node.measurement.cloud import Cloud
from pose_node.types import Estimate, Evidence, Rejected, Result, Segment

Image = pytest.importorskip("PIL.Image")

K = [500.0, 0.0, 32.0, 0.0, 500.0, 24.0, 0.0, 0.0, 1.0]
SHAPE = (48, 64)


@pytest.fixture
def frame(tmp_path):
    """A depth image of 0.8 m at 0.1 mm a count, its camera and a mask, and an object that is only a name."""
    depth = np.full(SHAPE, 8000, np.uint16)
    depth[0, :] = 0
    Image.fromarray(depth).save(tmp_path / "depth.png")
    (tmp_path / "camera.json").write_text(json.dumps({"cam_K": K, "depth_scale": 0.1}))
    mask = np.zeros(SHAPE, np.uint8)
    mask[10:30, 20:40] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    for name in ("mug", "bowl"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "card.yaml").write_text("")
    return tmp_path


class FakePipeline:
    """Replaces the pipeline: records its arguments and returns ``result``."""

    provider = "cpu"
    result = Result((), (Rejected("too_few_points", "its mask holds 3 measured points.", "mug"),))
    asked: dict = {}  # noqa: RUF012 one at a time

    @classmethod
    def load(cls, folders, config=None):
        cls.asked = {"folders": [f.name for f in folders], "config": config}
        return cls()

    def estimate(self, cloud, masks=None, boxes=None, expected=()):
        self.asked.update(cloud=cloud, masks=masks, boxes=boxes)
        return self.result


@pytest.fixture
def fake(monkeypatch):
    import pose_node.pipeline

    monkeypatch.setattr(pose_node.pipeline, "Pipeline", FakePipeline)
    monkeypatch.setattr(FakePipeline, "result", FakePipeline.result)
    return FakePipeline


def run(frame, *arguments, depth="depth.png", camera="camera.json", name="mug"):
    words = ["estimate", str(frame / depth), "--camera", str(frame / camera), "--object", name]
    return cli.main([*words, "--models", str(frame / "models"), *map(str, arguments)])


def found(alternatives=()):
    T = transform(np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), np.array([0.1, -0.02, 0.8]))
    covariance = np.diag([1e-6, 1e-6, 4e-6, 1e-4, 1e-4, np.pi**2 / 3])
    evidence = Evidence(0.9, 0.0, 0.1, 0.95, 0.99, 0.0012)
    return Estimate("mug", T, 0.87, covariance, evidence, Segment(np.arange(3), "mask", "mug"), alternatives)


def refused(capsys, code, *words):
    """Exit code 2, and one sentence on stderr that contains the words."""
    message = capsys.readouterr().err
    assert code == 2
    assert message.startswith("pose_node: ") and message.count("\n") == 1
    for word in words:
        assert word in message


def test_nothing_found_is_exit_code_3_with_the_reason(frame, fake, capsys):
    assert run(frame) == 3
    out = capsys.readouterr().out
    assert "nothing found" in out and "rejected: mug: its mask holds 3 measured points." in out
    assert "measured: a median range of" in out and "--depth-scale" in out, "a wrong unit shows there"


def test_the_cloud_is_in_metres_and_the_mask_is_passed_on(frame, fake):
    run(frame, "--mask", frame / "mask.png", "--config", "some.yaml")
    asked = fake.asked
    assert asked["folders"] == ["mug"] and str(asked["config"]) == "some.yaml"
    assert isinstance(asked["cloud"], Cloud)
    np.testing.assert_allclose(asked["cloud"].points_m[:, 2], 0.8)
    assert len(asked["cloud"]) == 47 * 64
    (mask,) = asked["masks"]["mug"]
    assert mask.dtype == bool and mask.sum() == 400


def test_a_box_is_a_mask_of_its_pixels(frame, fake):
    run(frame, "--box", 10, 20, 4, 3)
    (box,) = fake.asked["boxes"]["mug"]
    assert box.shape == SHAPE and box.sum() == 12 and box[20:23, 10:14].all()
    assert fake.asked["masks"] is None


def test_the_scale_on_the_command_line_wins(frame, fake):
    run(frame, "--depth-scale", 0.05)
    np.testing.assert_allclose(fake.asked["cloud"].points_m[:, 2], 0.4)


def test_float_images_are_metres(frame, fake):
    Image.fromarray(np.full(SHAPE, 0.7, np.float32)).save(frame / "depth.tiff")
    run(frame, depth="depth.tiff")
    np.testing.assert_allclose(fake.asked["cloud"].points_m[:, 2], 0.7, rtol=1e-6)


def test_the_table(frame, fake, capsys):
    fake.result = Result((found([(np.eye(4), 0.25)]),), (), stage_s={"segment": 0.01})
    assert run(frame) == 0
    out = capsys.readouterr().out
    for words in (
        "mug",
        "0.87",
        "100.0",
        "-20.0",
        "800.0",
        "mm",
        "0.7071",
        "103.9",
        "90 %",
        "1.2 mm",
        "0.25",
        "segment 10",
    ):
        assert words in out


def test_json_is_one_object_a_line(frame, fake, capsys):
    fake.result = Result((found([(np.eye(4), 0.25)]), found()), (Rejected("code", "why.", None),))
    assert run(frame, "--json") == 0
    captured = capsys.readouterr()
    first, second = (json.loads(line) for line in captured.out.splitlines())
    assert first["object"] == "mug" and first["score"] == 0.87
    np.testing.assert_allclose(first["translation_m"], [0.1, -0.02, 0.8])
    np.testing.assert_allclose(first["quaternion_xyzw"], [0, 0, 0.5**0.5, 0.5**0.5], atol=1e-12)
    assert np.shape(first["T_camera_object"]) == (4, 4) and np.shape(first["covariance"]) == (6, 6)
    assert first["alternatives"] == [{"T_camera_object": np.eye(4).tolist(), "weight": 0.25}]
    assert first["evidence"]["explained"] == 0.9
    assert second["alternatives"] == []
    assert "rejected: why." in captured.err


def test_many_rejections_are_cut_short():
    result = Result((), tuple(Rejected("code", f"reason {i}.") for i in range(14)))
    lines = rejected_lines(result)
    assert len(lines) == 11 and lines[-1] == "rejected: and 4 more"


def test_equal_rejections_are_one_line():
    twice = [Rejected("code", "mug: too few.", "mug")] * 2
    lines = rejected_lines(Result((), (Rejected("code", "why.", "bowl"), *twice)))
    assert lines == ["rejected: mug: too few. (2 times)", "rejected: bowl: why."]


def test_a_picture_is_drawn(frame, fake, block, monkeypatch, capsys):
    fake.result = Result((found(),), ())
    monkeypatch.setattr(fake, "cards", {"mug": block.card}, raising=False)
    assert run(frame, "--picture", frame / "out.png") == 0
    assert Image.open(frame / "out.png").size == (64, 48)
    assert "drawn in" in capsys.readouterr().out
    refused_code = run(frame, "--picture", frame / "nowhere" / "out.png")
    assert refused_code == 2 and "cannot be written" in capsys.readouterr().err


def image(frame, name, values):
    Image.fromarray(values).save(frame / name)
    return frame / name


def test_invalid_depth_images_are_refused(frame, capsys):
    refused(capsys, run(frame, depth="no.png"), "no.png: no such file, expected a depth image")
    image(frame, "grey.png", np.zeros(SHAPE, np.uint8))
    refused(capsys, run(frame, depth="grey.png"), "found a 8-bit image", "16-bit counts or floats in metres")
    image(frame, "colour.png", np.zeros((*SHAPE, 3), np.uint8))
    refused(capsys, run(frame, depth="colour.png"), "with 3 channels")
    (frame / "text.png").write_text("no picture")
    refused(capsys, run(frame, depth="text.png"), "is not an image")
    (frame / "cut.png").write_bytes((frame / "depth.png").read_bytes()[:60])
    refused(capsys, run(frame, depth="cut.png"), "cut.png")
    refused(capsys, run(frame, depth="models"), "cannot be read")


def test_invalid_depth_scales_are_refused(frame, fake, capsys):
    refused(capsys, run(frame, "--depth-scale", 0), "depth scale: found 0", "above 0")
    refused(capsys, run(frame, "--depth-scale", "nan"), "depth scale: found nan")
    refused(capsys, run(frame, "--depth-scale", 1000), "median range of 8000 m", "millimetres?")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "found [], expected cam_K"),
        ("7 x", "nor nine numbers, expected cam_K"),
        ("{}", "found no keys, expected cam_K"),
        ("{}", 'as in {"cam_K": [600, 0, 320, 0, 600, 240, 0, 0, 1]'),
        ('{"K": 1}', "found K 1, expected cam_K"),
        (json.dumps({"1": {"cam_K": K}, "2": {"cam_K": [2 * k for k in K[:8]] + [1]}}), "found 2 different cameras"),
        ('{"cam_K": [1, 2]}', "found cam_K [1, 2], expected cam_K with nine numbers"),
        ('{"cam_K": "none"}', "found cam_K none, expected"),
        (json.dumps({"cam_K": [0.0] * 8 + [1.0]}), "expected positive focal lengths"),
        (json.dumps({"cam_K": K, "depth_scale": "mm"}), "found invalid numbers"),
        (json.dumps({"cam_K": np.reshape(K, (3, 3)).T.ravel().tolist()}), "expected [0, fy, cy] and [0, 0, 1]"),
    ],
)
def test_invalid_cameras_are_refused(frame, capsys, text, words):
    (frame / "bad.json").write_text(text)
    refused(capsys, run(frame, camera="bad.json"), words)


def test_a_missing_camera(frame, capsys):
    refused(capsys, run(frame, camera="no.json"), "no.json: cannot be read (No such file or directory)")


def test_invalid_masks_and_boxes_are_refused(frame, capsys):
    small = image(frame, "small.png", np.ones((10, 20), np.uint8))
    refused(capsys, run(frame, "--mask", small), "a mask of 20 x 10 pixels, expected the depth image's 64 x 48")
    empty = image(frame, "empty.png", np.zeros(SHAPE, np.uint8))
    refused(capsys, run(frame, "--mask", empty), "the mask is empty")
    refused(capsys, run(frame, "--mask", frame / "no.png"), "no such file, expected a mask")
    refused(capsys, run(frame, "--box", 0, 0, 0, 5), "found 0 x 5 pixels")
    refused(capsys, run(frame, "--box", 64, 0, 5, 5), "expected a box inside the image of 64 x 48 pixels")
    refused(capsys, run(frame, "--object", "bowl", "--mask", frame / "mask.png"), "found 2 objects")


def test_a_mask_of_the_whole_image_is_refused(frame, capsys):
    white = image(frame, "white.png", np.full(SHAPE, 255, np.uint8))
    refused(capsys, run(frame, "--mask", white), "covers all 64 x 48 pixels", "expected some background")


def test_a_cut_out_is_a_mask(frame, fake):
    cut_out = np.full((*SHAPE, 4), 255, np.uint8)
    cut_out[..., 3] = np.asarray(Image.open(frame / "mask.png"))
    run(frame, "--mask", image(frame, "cut_out.png", cut_out))
    (mask,) = fake.asked["masks"]["mug"]
    assert mask.sum() == 400


def test_the_largest_count_is_no_reading(frame, fake):
    depth = np.full(SHAPE, 8000, np.uint16)
    depth[:, 10:] = 65535
    run(frame, depth=image(frame, "far.png", depth).name)
    assert len(fake.asked["cloud"]) == 480


def test_a_camera_of_images_of_another_size(frame, capsys):
    (frame / "half.json").write_text(json.dumps({"cam_K": K, "width": 32, "height": 24}))
    refused(capsys, run(frame, camera="half.json"), "depth.png: found 64 x 48 pixels, expected 32 x 24, the size that")


def test_assumptions_about_a_camera_are_printed(frame, fake, capsys):
    P = [*K[:3], 0.0, *K[3:6], 0.0, *K[6:], 0.0]
    values = {"camera_matrix": {"data": K}, "distortion_coefficients": {"data": [0.1, 0, 0, 0, 0]}}
    (frame / "lens.yaml").write_text(json.dumps({**values, "projection_matrix": {"data": P}}))
    assert run(frame, "--depth-scale", 0.1, camera="lens.yaml") == 3
    assert "note:" in capsys.readouterr().err


def test_an_unknown_object_names_the_nearest(frame, capsys):
    refused(capsys, run(frame, name="mugg"), "'mugg' (did you mean 'mug'?)", "bowl")


def test_a_broken_object_is_refused(frame, capsys):
    refused(capsys, run(frame), "card.yaml", "expected a mapping")


def test_models_are_looked_for_in_the_current_folder(frame, fake, monkeypatch):
    monkeypatch.chdir(frame)
    words = ["estimate", "depth.png", "--camera", "camera.json", "--object", "bowl"]
    assert cli.main(words) == 3
    assert fake.asked["folders"] == ["bowl"]


def test_models_elsewhere(frame, capsys):
    refused(capsys, run(frame, "--models", frame / "nowhere"), "nowhere")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["estimate"],
        ["estimate", "d.png", "--camera", "c.json"],
        ["estimate", "d.png", "--camera", "c.json", "--object", "a", "--mask", "m.png", "--box", "1", "2", "3", "4"],
        ["add-object", "part.stl", "--name", "part", "--units", "inch"],
    ],
)
def test_bad_usage_is_exit_code_2(words, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 2


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["estimate", "--help"], ["train-backbone", "--help"]])
def test_help_is_exit_code_0(words, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 0
    assert "pose_node" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["train", "export"])
def test_commands_of_earlier_versions_say_what_replaces_them(command, capsys):
    assert cli.main([command, "models/mug"]) == 2
    assert "pose_node add-object" in capsys.readouterr().err


def test_add_object_passes_its_options(monkeypatch, capsys, block):
    import types

    calls = []
    onboard = types.ModuleType("onboard")
    onboard.PICTURE_FILE = "onboarding.png"
    text = types.ModuleType("similarity_text")
    text.symmetry_texts, text.confusion_texts = lambda _: ["a half-turn"], lambda _: []
    onboard.add_object = lambda *words: (
        calls.append(words) or types.SimpleNamespace(card=block.card, similarity=None, notes=("units: none given",))
    )
    monkeypatch.setitem(sys.modules, "pose_node.learning.onboard", onboard)
    monkeypatch.setitem(sys.modules, "pose_node.learning.similarity_text", text)
    assert cli.main(["add-object", "part.stl", "--name", "part", "--units", "mm", "--bop-id", "4"]) == 0
    (call,) = calls
    assert [str(w) for w in call] == ["part.stl", "part", "models", "mm", "4", "auto", "False"]
    out = capsys.readouterr().out
    for words in ("note: units: none given", "symmetry: a half-turn", "confused with: nothing found", "onboarding.png"):
        assert words in out


@pytest.mark.parametrize("lines", [1, 20_000])
def test_a_reader_that_ends_early_ends_the_command_silently(lines):
    """Any command's output, whether it leaves the buffer while the command runs or when it ends."""
    code = f"""
import sys
from pose_node import cli
cli.learn._train_backbone = lambda options: [print("a line of the output") for _ in range({lines})] and 0
sys.exit(cli.main(["train-backbone", "models/backbone"]))
"""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (cli.READER_LEFT, "")


def test_a_missing_package_is_named_with_its_extra(monkeypatch, capsys):
    def missing(_):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(learn, "_train_backbone", missing)
    assert cli.main(["train-backbone", "models/backbone"]) == 2
    assert "train-backbone needs the package 'torch'" in capsys.readouterr().err


def test_a_missing_module_of_ours_is_raised(monkeypatch):
    def missing(_):
        raise ModuleNotFoundError("No module named 'pose_node.gone'", name="pose_node.gone")

    monkeypatch.setattr(learn, "_train_backbone", missing)
    with pytest.raises(ModuleNotFoundError):
        cli.main(["train-backbone", "models/backbone"])


def test_ctrl_c_prints_no_traceback(monkeypatch, capsys):
    def stopped(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(learn, "_train_backbone", stopped)
    assert cli.main(["train-backbone", "models/backbone"]) == 130
    assert capsys.readouterr().err == "pose_node: stopped.\n"


@pytest.mark.parametrize("words", [["node"], ["node", "--ros-args"], ["--ros-args", "-p", "a:=1"]])
def test_ros_starts_the_node(monkeypatch, words):
    import types

    seen = []
    node = types.ModuleType("pose_node.ros.node")
    node.main = lambda arguments: seen.append(list(arguments)) or 0
    monkeypatch.setitem(sys.modules, "pose_node.ros.node", node)
    assert cli.main(words) == 0
    assert seen == [[w for w in words if w != "node"]]


def test_the_node_without_ros_is_refused(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "pose_node.ros.node", raising=False)
    monkeypatch.setitem(sys.modules, "rclpy", None)  # as if it were not installed
    assert cli.main(["node"]) == 2
    assert "needs ROS 2" in capsys.readouterr().err


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "pose_node", "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("pose_node 0.")


@pytest.mark.parametrize(("kept", "ending"), [(True, "because."), (False, "because; the folder is as it was.")])
def test_finetune_prints_its_table_and_what_became_of_the_folder(monkeypatch, capsys, tmp_path, kept, ending):
    pytest.importorskip("torch")
    pytest.importorskip("open3d")
    from pose_node.learning import finetune as learning
    from pose_node.learning.held_out_figures import Change

    def finetune(folder, recipe, crops, recording, **workers):
        assert (recipe.views, recipe.seed, crops, recording, workers) == (50, 3, [], "", {"workers": 1})
        changes = {"rendered": [Change("grade", 0.5, 0.6, 0.04, decides=True), Change("median", 3.0, 2.5)]}
        return learning.Finetuned(None, changes, {"rendered": 10}, kept, reason="because")

    monkeypatch.setattr(learning, "finetune", finetune)
    assert cli.main(["finetune", str(tmp_path), "--views", "50", "--seed", "3", "--workers", "1"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["rendered,", "10", "held-out", "views", "before", "after", "change", "+-"]
    assert out[1].split() == ["grade", "0.500", "0.600", "+0.100", "0.040", "*"]
    assert out[2].split() == ["median", "3.000", "2.500", "-0.500"] and out[-1].endswith(ending)
