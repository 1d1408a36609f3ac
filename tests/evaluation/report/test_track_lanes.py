"""The time line has a bar for each time in a state, and tells states by more than colour."""

from __future__ import annotations

import re

import numpy as np
from run_writing import tracks_of

from pose_node.evaluation.figures.tracks import track_paths
from pose_node.evaluation.records import FrameRecord
from pose_node.evaluation.report.track_lanes import time_line


def paths(held=range(60), others=0):
    made = []
    for f in range(60):
        tracks = tracks_of(f, others) if f in held else ()
        made.append(FrameRecord("bag", f"{f:06d}", f * 100_000_000, np.eye(4), {}, 0.1, tracks=tracks))
    return track_paths(made)


def bars(chart) -> list[str]:
    return re.findall(r"<rect[^>]*><title>([^<]*)</title>", chart)


def test_each_time_in_a_state_is_a_bar():
    chart = time_line(paths()[1:])
    assert bars(chart) == [
        "tentative, 0.0 to 0.1 s",
        "confirmed, 0.1 to 2.0 s",
        "lost, 2.0 to 3.0 s",
        "confirmed, 3.0 to 6.0 s",
        "tentative, 4.0 to 4.2 s",
    ]
    assert 'class="lost" x="33.33%"' in chart and 'width="16.67%"' in chart
    heights = {state: int(high) for state, high in re.findall(r'<rect class="(\w+)".*?height="(\d+)"', chart)}
    assert heights["tentative"] < heights["confirmed"] == heights["lost"]
    assert all(f'<li><i class="{state}"></i>{state}</li>' in chart for state in heights)


def test_frames_that_do_not_hold_the_track_are_left_empty():
    chart = time_line(paths([*range(10), *range(15, 20)])[:1])
    assert bars(chart) == ["tentative, 0.0 to 0.1 s", "confirmed, 0.1 to 1.0 s", "confirmed, 1.5 to 2.0 s"]


def test_a_single_frame_can_be_seen():
    assert bars(time_line(paths([0])[:1])) == ["tentative, 0.0 to 0.1 s"]


def test_of_many_tracks_it_says_which_are_shown():
    chart = time_line(paths(others=50))
    assert "the 40 of 53 tracks that were confirmed in the most frames" in chart
    assert "bowl 1<" in chart and "bowl 53<" in chart and "bowl 4<" not in chart
    assert "tracks that" not in time_line(paths())
