"""The benchmark on real frames: errors of known poses, and the comparison with peers, without any network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import data, real
from pose_node.arrays import Array
from pose_node.geometry import se3
from pose_node.measurement.cloud import Cloud
from pose_node.types import Estimate, Evidence, Rejected, Result, Segment

OBJECTS = ["potted_meat_can", "bowl"]


@pytest.fixture(scope="module")
def frames(data_folder: Path) -> list[data.Frame]:
    if not (data_folder / "ycbv").is_dir():
        pytest.skip("no ycbv among the recordings")
    return [f for f in data.frames("ycbv") if f.scene == "000049"][:2]


def estimate(name: str, T: Array, alternatives: tuple[tuple[Array, float], ...] = ()) -> Estimate:
    evidence = Evidence(1.0, 0.0, 0.0, 1.0, 1.0, 0.0)
    return Estimate(name, T, 0.9, np.eye(6), evidence, Segment(np.arange(3), "mask", name), alternatives)


def moved(T: Array, metres: float) -> Array:
    return se3.transform(np.eye(3), np.array([metres, 0.0, 0.0])) @ T


@dataclass
class Knowing:
    """A pipeline that knows the labels: right for the can, a metre off for the bowl with the truth as alternative."""

    frames: list[data.Frame]
    silent: bool = False

    def estimate(self, cloud: Cloud, masks: Any = None) -> Result:
        frame = next(f for f in self.frames if (f.depth_m > 0).sum() == len(cloud))
        if self.silent:
            return Result((), (Rejected("low_score", "bowl: score 0.10, expected at least 0.50.", "bowl"),))
        found = []
        for label in frame.labels:
            if label.name == "potted_meat_can":
                found.append(estimate(label.name, label.T_camera_object))
            if label.name == "bowl":
                found.append(estimate(label.name, moved(label.T_camera_object, 1.0), ((label.T_camera_object, 0.4),)))
        if masks is None:
            found.append(estimate("mug", np.eye(4)))
        return Result(tuple(e for e in found if masks is None or e.object_name in masks), ())


def test_recall_counts_labels_and_alternatives(frames: list[data.Frame]) -> None:
    trials = real.run_masked(Knowing(frames), frames, OBJECTS)
    figures = real.figures_of(trials, "masked")
    assert figures["masked_labels"] == 4
    assert figures["masked_mssd_depth"] == 0.5
    assert figures["masked_mssd_depth_potted_meat_can"] == 1.0 and figures["masked_mssd_depth_bowl"] == 0.0
    assert figures["masked_in_alternatives"] == 1.0
    assert figures["masked_add_s"] == 0.5
    assert figures["masked_mssd_depth_original"] == 0.5
    assert figures["masked_translation_mm"] == pytest.approx(500.0, abs=1.0)  # the median of 0 and 1000
    assert figures["masked_answered"] == 1.0


def test_without_masks_strangers_are_false_alarms(frames: list[data.Frame]) -> None:
    trials, false_alarms = real.run_unmasked(Knowing(frames), frames, OBJECTS)
    assert [(key.split("/")[-1], score) for key, score in false_alarms] == [("mug", 0.9)] * 2
    assert real.figures_of(trials, "unmasked")["unmasked_mssd_depth"] == 0.5


def test_silence_is_a_miss_with_its_reason(frames: list[data.Frame]) -> None:
    trials = real.run_masked(Knowing(frames, silent=True), frames, ["bowl"])
    assert real.figures_of(trials, "masked")["masked_mssd_depth"] == 0.0
    assert np.isnan(real.figures_of(trials, "masked")["masked_rotation_deg"])
    assert trials[0].reason == "bowl: score 0.10, expected at least 0.50."


def test_failures_are_drawn(frames: list[data.Frame], tmp_path: Path) -> None:
    trials = real.run_masked(Knowing(frames[:1]), frames[:1], OBJECTS)
    assert real.failures(trials, tmp_path / "sheet.png", pixels=60) == 1
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    assert real.failures(trials[:1], tmp_path / "sheet.png") == 0
    assert not (tmp_path / "sheet.png").exists()  # no picture of failures from another run stays behind


def test_half_turns_that_depth_cannot_tell_are_right(frames: list[data.Frame]) -> None:
    label = next(x for x in frames[0].labels if x.name == "potted_meat_can")
    model = data.model("ycbv", label.object_id)
    for motion in model.symmetries_depth:
        found = real.errors(model, [label.T_camera_object @ motion], label.T_camera_object)
        assert found.mssd_depth < 1e-6 and found.rotation_deg < 1e-3 and found.translation_mm < 1e-3
    strict = real.errors(model, [label.T_camera_object @ model.symmetries_depth[-2]], label.T_camera_object)
    assert strict.mssd > 0.1


def test_peers_are_beaten_by_more_hits_and_by_object(frames: list[data.Frame]) -> None:
    trials = real.run_masked(Knowing(frames), frames, OBJECTS)
    hit, miss = (dict.fromkeys((*real.RECALLS, *real.MEDIANS), value) for value in (0.0, None))
    none = {t.key: [miss] for t in trials}
    every = {t.key: [hit] for t in trials}
    half = {t.key: [hit, miss] for t in trials}
    found = {"ppf7_first": {"": none}, "ppf7_best_fit": {"": every}, "ransac_first": {"": half}}
    figures = real.peer_figures(found, trials)
    assert figures["ppf_mssd_depth"] == 1.0 and figures["ransac_mssd_depth"] == 0.5
    assert figures["ppf7_first_mssd_depth"] == 0.0
    assert figures["peers_compared"] == 2 and figures["peers_beaten"] == 0  # 0.5 is not above 0.5
    assert figures["objects_more_than_one_label_below_a_peer"] == 0  # two labels an object are too few to count
