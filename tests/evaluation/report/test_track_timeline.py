"""The timeline has a bar for each time in a state."""

from __future__ import annotations

import numpy as np
import pytest
from run_writing import tracks_of

from pose_node.evaluation.figures.tracks import track_paths
from pose_node.evaluation.records import FrameRecord
from pose_node.evaluation.report.track_timeline import timeline


def paths(held=range(60), others=0):
    made = []
    for f in range(60):
        tracks = tracks_of(f, others) if f in held else ()
        made.append(FrameRecord("bag", f"{f:06d}", f * 100_000_000, np.eye(4), {}, 0.1, tracks=tracks))
    return track_paths(made)


def bars(chart) -> list[str]:
    return [bar.tooltip for lane in chart.lanes.values() for bar in lane]


def test_each_time_in_a_state_is_a_bar():
    chart = timeline(paths()[1:])
    assert bars(chart) == [
        "tentative, 0.0 to 0.1 s",
        "confirmed, 0.1 to 2.0 s",
        "lost, 2.0 to 3.0 s",
        "confirmed, 3.0 to 6.0 s",
        "tentative, 4.0 to 4.2 s",
    ]
    lost = chart.lanes["mug 2"][2]
    assert lost.state == "lost" and (lost.left, lost.width) == pytest.approx((100 / 3, 50 / 3))
    assert chart.ticks[0] == ("0", 0.0) and chart.ticks[-1] == ("6", pytest.approx(100.0))


def test_frames_without_the_track_are_left_empty():
    chart = timeline(paths([*range(10), *range(15, 20)])[:1])
    assert bars(chart) == ["tentative, 0.0 to 0.1 s", "confirmed, 0.1 to 1.0 s", "confirmed, 1.5 to 2.0 s"]


def test_a_single_frame_can_be_seen():
    assert bars(timeline(paths([0])[:1])) == ["tentative, 0.0 to 0.1 s"]


def test_of_many_tracks_it_says_which_are_shown():
    chart = timeline(paths(others=50))
    assert "the 40 of 53 tracks that were confirmed in the most frames" in chart.note
    assert "bowl 1" in chart.lanes and "bowl 53" in chart.lanes and "bowl 4" not in chart.lanes
    assert "tracks that" not in timeline(paths()).note
