"""``pose_node view BAG --save FILE``: the tracks of ``evaluate --track``, drawn."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rerun", reason="the viewing side is not installed")
pytest.importorskip("rosbags", reason="the evaluation side is not installed")

from reading import column, entities

from benchmarks.labelled_bag import rendered_frames, write_labelled_bag
from pose_node.cli import main
from pose_node.evaluation.run_folder import read_run

OBJECT, ID = "mustard_bottle", 5


@pytest.fixture(scope="module")
def models(repository):
    """The models folder, where the network of the recording's object is."""
    if not (repository / "models" / OBJECT / "bank.npz").is_file():
        pytest.skip(f"models/{OBJECT} has no bank.npz yet")
    return repository / "models"


@pytest.fixture(scope="module")
def bag(models, tmp_path_factory):
    return write_labelled_bag(tmp_path_factory.mktemp("bag") / "drive", rendered_frames(models, 3, 0))


def test_a_recording_is_drawn_as_evaluate_tracks_it(models, bag, tmp_path, capsys):
    words = ["--objects", OBJECT, "--labels", f"{ID}={OBJECT}", "--models", str(models)]
    path = tmp_path / "drive.rrd"
    assert main(["view", str(bag), *words, "--save", str(path)]) == 0
    assert f"rerun {path}" in capsys.readouterr().out
    assert main(["evaluate", str(bag), *words, "--track", "--out", str(tmp_path / "run")]) == 0
    drawn = column(path, f"/fixed/objects/{OBJECT}_1", "Translation3D")
    cameras = column(path, "/fixed/camera", "Translation3D")
    frames = read_run(tmp_path / "run").frames
    assert len(drawn) == len(frames) == 3
    for frame in frames:
        (track,) = frame.tracks
        np.testing.assert_allclose(drawn[frame.stamp_ns][0], track.T_fixed_object[:3, 3], atol=1e-6)
        np.testing.assert_allclose(cameras[frame.stamp_ns][0], frame.T_fixed_camera[:3, 3], atol=1e-6)
    assert {f"/score/{OBJECT}_1", "/fixed/camera/cloud", "/log"} <= entities(path)


def test_refusals_are_printed_in_the_terminal_too(models, bag, tmp_path, capsys):
    words = ["--objects", OBJECT, "--models", str(models), "--depth-scale", "1000000"]
    assert main(["view", str(bag), *words, "--save", str(tmp_path / "drive.rrd")]) == 3
    assert "refused: 3 times not_metres: depth image: found a median range of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "neither or both of a bag and --live"),
        (["BAG", "--live"], "neither or both of a bag and --live"),
        (["nowhere.mcap", "--save", "a.rrd"], "nowhere.mcap: no such file or folder"),
        (
            ["--live", "--fixed-frame", "world"],
            "--live: found --labels, --fixed-frame, --config",
        ),
        (["BAG", "--labels", "five=mug"], "a whole number, a value of the mask"),
    ],
)
def test_invalid_options_are_refused_in_one_sentence(bag, words, sentence, capsys):
    assert main(["view", *(str(bag) if word == "BAG" else word for word in words)]) == 2
    assert sentence in capsys.readouterr().err
