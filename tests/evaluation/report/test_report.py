"""The report of a run: complete and self-contained."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from page_checking import page_of
from run_writing import (
    estimate_of,
    info,
    label_of,
    picture_inputs,
    write_false_alarms,
    write_labelled,
    write_tracked,
    write_unlabelled,
)

from pose_node.errors import InputError
from pose_node.evaluation.records import FrameRecord
from pose_node.evaluation.report.pictures import PictureInputs, draw_label, false_alarms, worst
from pose_node.evaluation.report.report import write_report
from pose_node.evaluation.report.terminal import print_run
from pose_node.evaluation.run_folder import Run, RunWriter, read_run
from pose_node.geometry import se3
from pose_node.geometry.symmetry import Symmetry


@pytest.fixture
def inputs():
    return picture_inputs()


def printed(capsys, run) -> str:
    print_run(run)
    return capsys.readouterr().out


def test_a_labelled_run(tmp_path, inputs):
    run = write_labelled(tmp_path / "run")
    page = page_of(write_report(run, inputs))
    words = " ".join(page.texts)
    figures = json.loads((run / "summary.json").read_text())["all"]["figures"]
    ar = figures["ar"]
    assert f"{100 * ar['value']:.1f} %" in words
    assert f"[{100 * ar['low']:.1f}, {100 * ar['high']:.1f}]" in words
    for heading in ("By object", "By scene", "The worst frames", "Time by stage", "Refusals"):
        assert heading in page.texts
    assert "low_score" in "".join(page.texts) and "refine" in page.texts
    pictures = [link for link in page.links if link.startswith("data:image/jpeg")]
    assert len(pictures) == len(worst(read_run(run).labels)) > 0
    from PIL import Image

    assert Image.open(io.BytesIO(base64.b64decode(pictures[0].split(",")[1]))).width == 604


def test_the_same_run_gives_the_same_bytes(tmp_path):
    run = write_tracked(tmp_path / "run")
    assert write_report(run).read_bytes() == write_report(run).read_bytes()


@pytest.mark.parametrize("moving", [True, False])
def test_a_run_without_labels(tmp_path, moving):
    page = page_of(write_report(write_unlabelled(tmp_path / "run", moving=moving)))
    words = " ".join(page.texts)
    assert "bowl: position" in words and "mug: rotation" in words and "30 frames dropped" in words
    assert ("fixed frame" in words) == moving
    assert ("camera frame" in words) == (not moving)


@pytest.mark.parametrize("labelled", [True, False])
def test_a_run_with_tracks(tmp_path, capsys, labelled):
    run = write_tracked(tmp_path / "run", labelled)
    page = page_of(write_report(run))
    words = " ".join(page.texts)
    assert "Tracks" in page.texts and "Over time" not in page.texts  # the same poses, once
    assert "States over time" in page.texts and "mug 2: position" in page.texts
    assert "3 tracks, 2 confirmed; lost 1 time, found again 1; flipped 0 times" in page.texts
    assert "Lost at 2.0 s: hidden: mug:" in words and "A track is one object over time" in words
    output = printed(capsys, run)
    assert re.search(r"largest deviation of a track +\S+ mm\s*\n", output)
    assert "largest deviation of a track" in page.texts and "flips per track" in page.texts
    assert "spread of tracks" in page.texts and "median over tracks" in words
    assert "Charts of the" not in words
    assert "losses per track" in output and "3 tracks, 2 confirmed" in output


@pytest.mark.usefixtures("blank_charts")
def test_of_many_tracks_the_page_says_which_are_drawn(tmp_path):
    words = " ".join(page_of(write_report(write_tracked(tmp_path / "run", others=15))).texts)
    assert "Charts of the 12 of 18 tracks that were confirmed in the most frames:" in words
    assert words.count(": position") == 12


@pytest.mark.parametrize("write", [write_unlabelled, write_tracked])
@pytest.mark.usefixtures("blank_charts")
def test_one_frame_has_no_charts_over_time(tmp_path, write):
    run = write(tmp_path / "run", frames=1)
    texts = page_of(write_report(run)).texts
    assert "Over time" not in texts and "States over time" not in texts
    assert not any(text.endswith((": position", ": rotation", ": score")) for text in texts)
    assert ("Tracks" in texts) == (write is write_tracked)


RED = (230, 40, 40)  # of the x axis


def red_x(tmp_path, inputs, turn_rad):
    """Where the x axis is drawn in both pictures of a label and its turned estimate."""
    label = label_of("mug", 0.5)
    turned = label.T_camera_object @ se3.transform(se3.exp_so3(np.array([0.0, 0.0, turn_rad])), np.zeros(3))
    frame = FrameRecord("000001", "000000", 0, None, {}, 0.1, estimates=(estimate_of("mug", 0.9, turned),))
    picture = np.asarray(draw_label(Run(tmp_path, info(), (frame,), (label,), {}), label, inputs))
    return [(half == RED).all(axis=2)[60:] for half in (picture[:, :300], picture[:, 304:])]  # below the titles


def test_a_quarter_turn_of_a_thing_that_looks_the_same_is_seen_by_its_axes(tmp_path, inputs):
    left, right = red_x(tmp_path, inputs, np.pi / 2)
    assert left.sum() > 100 < right.sum() and (left & right).sum() < 0.5 * left.sum()
    quarter = np.stack(
        [se3.transform(se3.exp_so3(np.array([0.0, 0.0, -k * np.pi / 2])), np.zeros(3)) for k in range(2)]
    )
    left, right = red_x(tmp_path, replace(inputs, symmetry=lambda name: Symmetry(quarter)), np.pi / 2)
    assert (left & right).sum() > 0.9 * left.sum()  # declared equal: drawn as the label is


@pytest.mark.usefixtures("blank_charts")
def test_a_run_without_tracks_does_not_mention_them(tmp_path):
    words = " ".join(page_of(write_report(write_unlabelled(tmp_path / "run"))).texts)
    assert "Over time" in words and "track" not in words


@pytest.mark.usefixtures("blank_charts")
def test_a_figure_without_an_interval_says_why(tmp_path):
    words = " ".join(page_of(write_report(write_labelled(tmp_path / "run", scenes=1))).texts)
    assert "[–]: no interval: it needs at least three placements" in words


@pytest.mark.usefixtures("blank_charts")
def test_names_are_text_and_not_markup(tmp_path):
    page = page_of(write_report(write_labelled(tmp_path / "run", source='a/<b>&"c"', notes=("lost: <i>much</i>",))))
    assert '<b>&"c"' in page.texts and "lost: <i>much</i>" in page.texts


@pytest.mark.usefixtures("blank_charts")
def test_columns_are_in_order_where_the_first_row_has_few_figures(tmp_path, capsys):
    run = write_labelled(tmp_path / "run", objects=("bowl", "mug"))
    summary = json.loads((run / "summary.json").read_text())
    summary["objects"]["bowl"] = {"labels": 0, "figures": {"false_alarms": {"value": 0.0, "low": 0.0, "high": 0.0}}}
    (run / "summary.json").write_text(json.dumps(summary))
    heads = page_of(write_report(run)).texts
    assert heads.index("AR, %") < heads.index("estimated, %") < heads.index("false alarms, per frame")
    (row,) = [line for line in printed(capsys, run).splitlines() if line.startswith("object  labels")]
    assert "AR, %" in row


@pytest.mark.usefixtures("blank_charts")
def test_figures_by_our_own_symmetries_are_called_own(tmp_path):
    run = write_labelled(tmp_path / "run", reference="card")
    words = " ".join(page_of(write_report(run)).texts)
    assert words.count("own AR") == words.count("own ") - words.count("our own") > 0
    assert "rotation" in words and "not comparable with BOP's figures" in words


@pytest.mark.usefixtures("blank_charts")
def test_a_killed_run_shows_what_it_had(tmp_path, capsys):
    run = write_labelled(tmp_path / "run")
    (run / "summary.json").unlink()
    with (run / "frames.jsonl").open("a") as file:
        file.write('{"scene": "0000')
    words = " ".join(page_of(write_report(run)).texts)
    assert "The run was interrupted" in words and "Recall: MSSD / diameter" in words
    assert "interrupted" in printed(capsys, run)


@pytest.mark.usefixtures("blank_charts")
def test_a_run_that_saw_nothing(tmp_path, capsys):
    with RunWriter(tmp_path / "run", info()):
        pass
    page_of(write_report(tmp_path / "run"))
    page_of(write_report(write_labelled(tmp_path / "none", spoilt=3.1)))  # no label has an estimate
    assert printed(capsys, tmp_path / "none")


def test_sightings_come_back(tmp_path):
    seen = read_run(write_unlabelled(tmp_path / "run")).sightings
    assert {s.object_name for s in seen} == {"bowl", "mug"} and "spread_mm" in seen[0].values


def test_no_run_is_an_error(tmp_path):
    for make in (write_report, print_run):
        with pytest.raises(InputError, match=r"found no run\.json"):
            make(tmp_path)


def test_worst_are_the_wrong_by_score_then_the_missed():
    labels = [
        label_of("mug", 0.01, "1"),
        label_of("mug", 0.5, "2", score=0.5),
        label_of("mug", 0.4, "3", score=0.9),
        label_of("mug", 0.6, "3", frame="000001", score=0.95),
        label_of("mug", None, "4"),
    ]
    assert [(x.scene, x.frame) for x in worst(labels)] == [("3", "000001"), ("2", "000000"), ("4", "000000")]
    assert [x.scene for x in worst(labels, most=2)] == ["3", "4"]
    assert [x.scene for x in worst(labels[:1])] == ["1"]
    assert worst([]) == []


@pytest.mark.usefixtures("blank_charts")
def test_false_alarms_are_drawn_and_marked(tmp_path, inputs):
    run = write_false_alarms(tmp_path / "run")
    alarms = [(x.frame.scene, x.frame.frame, x.estimate.object_name) for x in false_alarms(read_run(run))]
    assert alarms == [("1", "000001", "bowl"), ("2", "000000", "bowl"), ("1", "000000", "mug"), ("2", "000000", "mug")]
    page = page_of(write_report(run, inputs))
    words = "".join(page.texts)
    assert "no estimate is wrong, so these are the largest errors" in words
    assert (
        "False alarm: bowl, scene 1, frame 000001" in words
        and "score 0.70: no label of this object in this frame" in words
    )
    assert "score 0.30: does not match the object's label in this frame" in words
    pictures = [link for link in page.links if link.startswith("data:image/jpeg")]
    assert len(pictures) == len(worst(read_run(run).labels)) + len(alarms)
    assert "False alarm: bowl" in "".join(page_of(write_report(run)).texts)  # and in words where nothing can be drawn


@pytest.mark.usefixtures("blank_charts")
def test_a_frame_that_cannot_be_read_has_no_picture(tmp_path, inputs):
    run = read_run(write_labelled(tmp_path / "run"))

    def gone(scene, frame):
        raise InputError("gone")

    assert draw_label(run, run.labels[0], PictureInputs(gone, inputs.surface, inputs.symmetry)) is None
    page_of(write_report(tmp_path / "run", PictureInputs(gone, inputs.surface, inputs.symmetry)))


def test_the_terminal_shows_each_figure_and_row(tmp_path, capsys):
    lines = [line.rstrip() for line in printed(capsys, write_labelled(tmp_path / "run")).splitlines()]
    assert any(re.match(r"AR +\d+\.\d %  \[\d+\.\d, \d+\.\d\]$", line) for line in lines)
    for name in ("bowl", "mug", "000001", "000004"):
        assert any(line.startswith(name) for line in lines)
    assert max(map(len, lines)) <= 120
