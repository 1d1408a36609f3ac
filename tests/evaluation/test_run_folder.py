"""The run folder: written records are read back, also after a run was killed within a line."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from pose_node.errors import InputError
from pose_node.evaluation.records import Errors, EstimateRecord, FrameRecord, LabelRecord, TrackRecord
from pose_node.evaluation.run_folder import RunInfo, RunWriter, read_run
from pose_node.geometry import se3

T = se3.transform(se3.exp_so3(np.array([0.1, 0.2, -0.3])), np.array([0.1, -0.2, 0.7]))
INFO = RunInfo(
    "set", "bop", {"mug": {"diameter_m": 0.12, "bop_id": 14}}, "mask", {"judge": {"accept": 0.5}}, "0.1", "CPU"
)


def a_frame(name: str = "000001") -> FrameRecord:
    estimate = EstimateRecord("mug", T, 0.8, np.eye(6), ((T @ T, 0.25),))
    return FrameRecord("000000", name, 7, T, {"infer": 0.1}, 0.2, {"low_score": 2}, 1, (estimate,))


def a_label(**changes) -> LabelRecord:
    values = {"estimate": 0, "score": 0.8, "errors": Errors((0.1, 0.0), 0.02, float("inf")), "recall": {"mssd": 0.9}}
    return LabelRecord("000000", "000001", "mug", 1, T, 0.7, **{**values, **changes})


def test_what_is_written_reads_the_same(tmp_path):
    with RunWriter(tmp_path / "run", INFO) as writer:
        writer.frame(a_frame())
        writer.label(a_label())
        writer.label(a_label(estimate=None, score=None, errors=Errors(), recall={}))
        writer.summary({"all": {"labels": 2, "figures": {}}})
    run = read_run(tmp_path / "run")
    assert run.info == INFO or run.info.to_json() == INFO.to_json()
    assert run.frames[0].to_json() == a_frame().to_json()
    assert (run.frames[0].estimates[0].T_camera_object == T).all()
    assert run.labels[0].errors.vsd == (0.1, 0.0)
    assert run.labels[0].errors.mspd_px is None  # infinite: no number in JSON, and no success
    assert run.labels[0].recall == {"mssd": 0.9}
    assert run.labels[1].estimate is None
    assert run.summary["all"]["labels"] == 2


def test_a_track_reads_the_same(tmp_path):
    track = TrackRecord(3, "mug", "lost", T, np.eye(6), False, 0.7, "hidden: mug: behind something.", "found again")
    with RunWriter(tmp_path, INFO) as writer:
        writer.frame(replace(a_frame(), tracks=(track,)))
    (read,) = read_run(tmp_path).frames[0].tracks
    assert read.to_json() == track.to_json() and (read.T_fixed_object == T).all()


def test_a_killed_run_keeps_its_complete_lines(tmp_path):
    with RunWriter(tmp_path, INFO) as writer:
        writer.frame(a_frame("000001"))
        writer.frame(a_frame("000002"))
    path = tmp_path / "frames.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    run = read_run(tmp_path)
    assert [f.frame for f in run.frames] == ["000001"]
    assert run.summary == {} and run.labels == ()


def test_a_second_run_replaces_the_first(tmp_path):
    for _ in range(2):
        with RunWriter(tmp_path, INFO) as writer:
            writer.frame(a_frame())
            assert not (tmp_path / "labels.jsonl").exists()
            writer.label(a_label())
    assert len(read_run(tmp_path).frames) == len(read_run(tmp_path).labels) == 1


def test_files_of_an_earlier_run_are_moved_away(tmp_path):
    with RunWriter(tmp_path, INFO) as writer:
        writer.label(a_label())
    (tmp_path / "report.html").write_text("of the first")
    (tmp_path / "previous_run").mkdir()
    (tmp_path / "previous_run" / "sightings.jsonl").write_text("of a run before that")
    RunWriter(tmp_path, INFO).close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["frames.jsonl", "previous_run", "run.json"]
    before = tmp_path / "previous_run"
    assert len(read_run(before).labels) == 1 and not (before / "sightings.jsonl").exists()
    assert (before / "report.html").read_text() == "of the first"


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"found no run\.json"):
        read_run(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"source": 1}'])
def test_an_invalid_run_file_is_refused(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match="invalid record"):
        read_run(tmp_path)


def test_an_invalid_line_is_refused(tmp_path):
    RunWriter(tmp_path, INFO).close()
    (tmp_path / "frames.jsonl").write_text(json.dumps({"scene": "a"}) + "\n")
    with pytest.raises(InputError, match="invalid record"):
        read_run(tmp_path)


def test_a_folder_that_cannot_be_created_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="expected a folder to write a run to"):
        RunWriter(tmp_path / "file", INFO)


def test_a_run_of_an_earlier_version_reads(tmp_path):
    """Its run.json calls the reference "whose", and lacks notes, refusals and whether labels are complete."""
    values = replace(INFO, reference="card").to_json()
    assert values["whose"] == "card" and "reference" not in values
    for key in ("notes", "refused", "complete"):
        del values[key]
    (tmp_path / "run.json").write_text(json.dumps(values))
    info = read_run(tmp_path).info
    assert (info.reference, info.notes, info.refused, info.labels_complete) == ("card", (), (), True)
