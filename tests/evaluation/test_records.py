"""The run folder: what is written reads the same, also when a run was killed in the middle of a line."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from pose_node.errors import InputError
from pose_node.evaluation.records import (
    Errors,
    EstimateRecord,
    FrameRecord,
    LabelRecord,
    RunInfo,
    RunWriter,
    TrackRecord,
    read_run,
    refusals,
)
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


def test_a_track_of_an_older_run_has_one_sentence_for_reason_and_note():
    new = TrackRecord(3, "mug", "confirmed", T, np.eye(6), True).to_json()
    old = {key: value for key, value in new.items() if key not in ("score", "reason", "note")}
    seen = TrackRecord.from_json({**old, "told": "found again"})
    assert (seen.score, seen.reason, seen.note) == (None, "", "found again")
    unseen = TrackRecord.from_json({**old, "seen": False, "told": "not_seen: no frame showed it."})
    assert (unseen.reason, unseen.note) == ("not_seen: no frame showed it.", "")


def test_refusals_are_counted_over_the_frames_with_the_first_sentence_of_each():
    frames = [
        replace(a_frame(), rejected={"no_votes": 2}, reasons={"no_votes": "mug: first."}),
        replace(
            a_frame(), rejected={"no_votes": 1, "encoding": 1}, reasons={"no_votes": "later.", "encoding": "mask: x."}
        ),
        replace(a_frame(), rejected={"old": 5}),
    ]
    assert [str(x) for x in refusals(frames)] == [
        "5 times old",
        "3 times no_votes: mug: first.",
        "once encoding: mask: x.",
    ]


def test_a_killed_run_keeps_its_whole_lines(tmp_path):
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


def test_what_a_run_before_left_is_set_aside(tmp_path):
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


def test_a_folder_without_a_run_says_so(tmp_path):
    with pytest.raises(InputError, match=r"found no run\.json"):
        read_run(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"source": 1}'])
def test_a_record_that_no_run_writes_says_so(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match="does not read"):
        read_run(tmp_path)


def test_a_line_that_is_no_record_says_so(tmp_path):
    RunWriter(tmp_path, INFO).close()
    (tmp_path / "frames.jsonl").write_text(json.dumps({"scene": "a"}) + "\n")
    with pytest.raises(InputError, match="does not read"):
        read_run(tmp_path)


def test_a_folder_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="expected a folder to write a run to"):
        RunWriter(tmp_path / "file", INFO)
