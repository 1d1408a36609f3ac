"""The figures of tracks: means and medians over those that were confirmed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from run_writing import tracks_of

from pose_node.evaluation.figures.track_figures import track_figures, track_meaning
from pose_node.evaluation.records import FrameRecord


def frames(others=0, count=60):
    return [
        FrameRecord("bag", f"{f:06d}", f * 100_000_000, np.eye(4), {}, 0.1, tracks=tracks_of(f, others))
        for f in range(count)
    ]


def test_of_the_tracks_that_were_confirmed():
    figures = track_figures(frames())
    assert figures["track_losses"] == {"value": 0.5, "low": None, "high": None}  # two tracks: no interval
    assert figures["track_spread_deg"]["value"] == pytest.approx(2.0)  # of 0 and 4
    assert all(track_meaning(key) for key in figures)


def test_intervals_are_drawn_over_tracks():
    figure = track_figures(frames(others=4))["track_losses"]
    assert figure["value"] == pytest.approx(1.0 / 6.0) and figure["low"] == 0.0 < figure["high"] < 1.0


def test_nothing_where_no_track_was_confirmed():
    assert track_figures(frames(count=1)) == {}
    assert list(track_figures(frames(count=2))) == ["track_losses", "track_flips"]  # one frame has no spread


def test_a_track_that_flipped_is_seen_among_steady_ones():
    steady = frames(others=4)
    assert track_figures(steady)["track_flips"]["value"] == 0.0
    half_turn = np.diag([-1.0, -1.0, 1.0, 1.0])
    flipped = [
        replace(f, tracks=(replace(f.tracks[0], T_fixed_object=f.tracks[0].T_fixed_object @ half_turn), *f.tracks[1:]))
        if i in (30, 31)
        else f
        for i, f in enumerate(steady)
    ]
    figures = track_figures(flipped)
    assert figures["track_flips"]["value"] == pytest.approx(2 / 6)  # there and back, of six tracks
    assert figures["track_spread_deg"]["value"] == track_figures(steady)["track_spread_deg"]["value"]
    assert figures["track_farthest_deg"]["value"] == pytest.approx(180.0)
    assert figures["track_farthest_mm"]["value"] == pytest.approx(2.0)
