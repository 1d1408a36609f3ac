"""Thresholds and figures of false alarms by hand, and frames of a set without labels."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from bop_writing import pose, write_scene

from benchmarks import data
from benchmarks.false_alarms import LEAST, figures_of, frame_row, threshold
from pose_node.types import Rejected, Result


def row(*scores, refused=()):
    return {"scores": list(scores), "refused": list(refused), "ms": 5.0}


def test_the_threshold_lets_through_one_in_ten_frames():
    found = [row(0.9), row(0.734, 0.61), *[row() for _ in range(18)]]
    assert threshold(found) == pytest.approx(0.62)  # two of twenty frames: 0.9 and 0.734 may stay
    assert sum(s >= 0.62 for one in found for s in one["scores"]) == 2
    assert threshold(found[:10]) == pytest.approx(0.74)
    assert threshold(found[:5]) == pytest.approx(0.91)


def test_a_score_that_is_a_hundredth_itself_stays_below():
    assert threshold([row(0.6)]) == pytest.approx(0.61)


def test_without_a_candidate_the_least_score_that_is_looked_at_stands():
    assert threshold([row() for _ in range(10)]) == LEAST
    assert threshold([row(refused=(0.1, 0.2))]) == LEAST


def test_what_was_refused_for_its_score_counts_below_the_default():
    assert threshold([row(refused=(0.45,))]) == pytest.approx(0.46)


def test_figures_count_estimates_alone():
    found = figures_of("mug", [row(0.6, refused=(0.4,)), *[row() for _ in range(19)]])
    assert found["mug_a_frame"] == pytest.approx(0.05) and found["mug_highest"] == 0.6
    assert found["mug_a_frame_low"] <= 0.05 <= found["mug_a_frame_high"]
    assert np.isnan(figures_of("mug", [row()])["mug_highest"])


def test_frames_without_labels_are_read(tmp_path, monkeypatch):
    scene = tmp_path / "kitchen" / "scenes" / "000001"
    write_scene(scene, {2: [pose(0.0)], 10: [pose(0.05)]})
    (scene / "scene_gt.json").unlink()
    monkeypatch.setenv("POSE_NODE_DATA", str(tmp_path))
    assert data.bare_keys("kitchen") == ["000001/2", "000001/10"]
    frame = data.bare_frame("kitchen", "000001/10")
    assert frame.labels == () and frame.depth_m.max() == pytest.approx(0.6, abs=0.06)
    kept = Result((SimpleNamespace(score=0.7),), (Rejected("low_score", ".", score=0.4), Rejected("no_votes", ".")))
    made = frame_row(SimpleNamespace(estimate=lambda cloud: kept), frame)
    assert json.loads(json.dumps(made)) == {"scores": [0.7], "refused": [0.4], "ms": 0.0}
