"""Figures of runs that are computed by hand, and intervals over independent clusters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_node.evaluation.figures.summarise import FIGURES, figure_meaning, summarise
from pose_node.evaluation.records import Errors, EstimateRecord, FrameRecord, LabelRecord
from pose_node.evaluation.run_folder import RunInfo

INFO = RunInfo("set", "bop", {"mug": {"diameter_m": 0.2, "bop_id": 14}}, "mask", {}, "0.1", "CPU", reference="set")


def label(scene: str, frame: str, mssd: float | None, **errors) -> LabelRecord:
    recall = {"vsd": 0.5, "mssd": 1.0 if mssd == 0 else 0.0, "mspd": 0.0}
    if mssd is None:
        return LabelRecord(scene, frame, "mug", 0, np.eye(4), recall=dict.fromkeys(recall, 0.0))
    values = {"add_rel": mssd, "adds_rel": mssd / 2, "add_s_rel": mssd, "rotation_deg": 3.0, "translation_mm": 4.0}
    return LabelRecord(scene, frame, "mug", 0, np.eye(4), None, 0, 0.9, Errors(None, mssd, 1.0, **values), recall)


def frame(scene: str, name: str, *objects: str, unmatched: tuple[int, ...] | None = None) -> FrameRecord:
    estimates = tuple(EstimateRecord(o, np.eye(4), 0.9, np.eye(6)) for o in objects)
    return FrameRecord(scene, name, 0, None, {}, 0.5, {}, 0, estimates, unmatched=unmatched)


def values(entry):
    return {key: figure["value"] for key, figure in entry["figures"].items()}


def test_figures_by_hand():
    labels = [label("a", "1", 0.0), label("a", "2", 0.25), label("b", "1", None)]
    frames = [frame("a", "1", "mug"), frame("a", "2", "mug"), frame("b", "1")]
    summary = summarise(INFO, frames, labels)
    found = values(summary["all"])
    assert found["ar_vsd"] == pytest.approx(1 / 3)
    assert found["ar_mssd"] == pytest.approx(1 / 3)
    assert found["ar"] == pytest.approx((1 / 3 + 1 / 3 + 0) / 3)
    assert found["recall_mssd_10"] == found["recall_add_10"] == pytest.approx(1 / 3)
    # 0.25 of 0.2 m is 5 cm, half of the 10 cm of the AUC; what was not found adds nothing
    assert found["auc_add"] == pytest.approx((1.0 + 0.5 + 0.0) / 3)
    assert found["answered"] == pytest.approx(2 / 3)
    assert (found["rotation_deg"], found["translation_mm"], found["time_s"]) == (3.0, 4.0, 0.5)
    assert summary["objects"]["mug"]["labels"] == 3
    assert summary["scenes"]["b"]["labels"] == 1 and "rotation_deg" not in values(summary["scenes"]["b"])
    assert set(found) <= set(FIGURES)


def test_a_frame_more_of_the_same_placement_is_no_more_evidence():
    few = [label(s, "1", 0.0 if s < "e" else 0.5) for s in "abcdefgh"]
    many = [label(x.scene, str(n), x.errors.mssd_rel) for x in few for n in range(30)]
    width = []
    for labels in (few, many):
        figure = summarise(INFO, [], labels)["all"]["figures"]["recall_mssd_10"]
        assert figure["value"] == 0.5 and figure["low"] < 0.5 < figure["high"]
        width.append(figure["high"] - figure["low"])
    assert width[0] == pytest.approx(width[1])


def test_two_placements_give_no_interval():
    figures = summarise(INFO, [], [label("a", "1", 0.0), label("b", "1", 0.2)])["all"]["figures"]
    assert {(f["low"], f["high"]) for f in figures.values()} == {(None, None)}


def test_the_same_seed_gives_the_same_interval():
    labels = [label(s, "1", 0.01 * i) for i, s in enumerate("abcdef")]
    assert summarise(INFO, [], labels, seed=1) == summarise(INFO, [], labels, seed=1)
    assert summarise(INFO, [], labels, seed=1) != summarise(INFO, [], labels, seed=2)


@pytest.mark.parametrize("reference", ["card", "depth"])
def test_figures_that_are_not_bops_do_not_bear_its_names(reference):
    info = RunInfo("set", "bop", INFO.objects, "mask", {}, "0.1", "CPU", reference=reference)
    summary = summarise(info, [frame("a", "1", "mug")], [label("a", "1", 0.0)])
    assert {key for key in summary["all"]["figures"] if not key.startswith("own_")} == {"time_s"}
    assert "own models or symmetries" in figure_meaning("own_ar")


ALARMS = RunInfo("set", "bop", {**INFO.objects, "bowl": {"diameter_m": 0.1, "bop_id": 13}}, "none", {}, "0.1", "CPU")


def test_false_alarms_are_the_estimates_without_a_label_of_frames_that_tell():
    frames = [
        frame("a", "1", "mug", "bowl", "mug", unmatched=(1, 2)),
        frame("a", "2", unmatched=()),
        frame("a", "3", "mug"),
    ]
    summary = summarise(ALARMS, frames, [label("a", "1", 0.0)])
    assert values(summary["all"])["false_alarms"] == 1.0
    assert values(summary["objects"]["mug"])["false_alarms"] == 0.5
    assert values(summary["objects"]["bowl"])["false_alarms"] == 0.5


@pytest.mark.parametrize("change", [{"labels_complete": False}, {"crops": "mask"}])
def test_false_alarms_are_not_counted_without_complete_labels_or_with_masks(change):
    frames = [frame("a", "1", "mug", "bowl", unmatched=(1,))]
    summary = summarise(replace(ALARMS, **change), frames, [label("a", "1", 0.0)])
    assert "false_alarms" not in values(summary["all"])


def test_no_label_at_all_is_no_error():
    assert summarise(INFO, [], [])["all"] == {"labels": 0, "figures": {}}
