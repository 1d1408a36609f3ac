"""The charts of a track: a band around each line, gaps where it was lost, and a scale on which both can be seen."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from run_writing import tracks_of

from pose_node.evaluation.figures.tracks import track_paths
from pose_node.evaluation.records import FrameRecord
from pose_node.evaluation.report.track_charts import MOST, track_charts


def charts(others=0, **changes):
    frames = []
    for f in range(60):
        tracks = tuple(replace(track, **changes) for track in tracks_of(f, others))
        frames.append(FrameRecord("bag", f"{f:06d}", f * 100_000_000, np.eye(4), {}, 0.1, tracks=tracks))
    made = track_charts(track_paths(frames))
    return {chart.caption: chart.body for chart in made}


def ticks(chart) -> list[float]:
    """The numbers of the upright axis, which end at one place."""
    return [float(t) for t in re.findall(r"text-anchor: end[^>]*>([-\d.]+)<", chart)]


def lines(chart) -> int:
    """How many unbroken lines there are."""
    thin = re.findall(r'd="([^"]*)" style="fill: none; stroke: var\(--c\d\); stroke-width: 1.2', chart)
    return sum(path.count("M") for path in thin)


@pytest.mark.usefixtures("blank_charts")
def test_each_track_has_three_charts():
    assert list(charts())[:6] == [
        *(f"bowl 1: {what}" for what in ("position", "rotation", "score")),
        *(f"mug 2: {what}" for what in ("position", "rotation", "score")),
    ]
    assert list(charts(score=None))[:2] == ["bowl 1: position", "bowl 1: rotation"] and "mug 2: score" not in charts(
        score=None
    )


def test_a_time_of_being_lost_is_a_gap():
    made = charts()
    bands = [made[f"{name}: position"].count("fill-opacity: 0.18") for name in ("mug 2", "bowl 1")]
    assert bands == [lines(made[f"{name}: position"]) for name in ("mug 2", "bowl 1")] == [6, 3]
    assert lines(made["mug 2: score"]) == 2


def test_the_scale_shows_the_band_but_for_what_is_unknown():
    made = charts()
    # 3 mm stated along z: the band ends at 6 mm.
    assert 5.0 <= max(ticks(made["mug 2: position"])) < 10.0
    # Nothing is known about z: its band of 200 degrees would leave no room for the others, of 1 degree.
    assert max(ticks(made["bowl 1: rotation"])) == 1.0


@pytest.mark.usefixtures("blank_charts")
def test_of_many_tracks_the_most_confirmed_are_drawn():
    made = charts(others=20)
    assert len(made) == 3 * MOST
    assert "bowl 23: rotation" in made and "bowl 4: rotation" not in made
