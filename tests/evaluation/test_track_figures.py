"""The figures of tracks: means and medians over those that were confirmed."""

from __future__ import annotations

import numpy as np
import pytest
from run_writing import tracks_of

from pose_node.evaluation.records import FrameRecord
from pose_node.evaluation.track_figures import track_figures, track_sentence


def frames(others=0, count=60):
    return [
        FrameRecord("bag", f"{f:06d}", f * 100_000_000, np.eye(4), {}, 0.1, tracks=tracks_of(f, others))
        for f in range(count)
    ]


def test_of_the_tracks_that_were_confirmed():
    figures = track_figures(frames())
    assert figures["track_losses"] == {"value": 0.5, "low": None, "high": None}  # two tracks: no interval
    assert figures["track_spread_deg"]["value"] == pytest.approx(2.0)  # of 0 and 4
    assert all(track_sentence(key) for key in figures)


def test_intervals_are_drawn_over_tracks():
    figure = track_figures(frames(others=4))["track_losses"]
    assert figure["value"] == pytest.approx(1.0 / 6.0) and figure["low"] == 0.0 < figure["high"] < 1.0


def test_nothing_where_no_track_was_confirmed():
    assert track_figures(frames(count=1)) == {}
    assert list(track_figures(frames(count=2))) == ["track_losses"]  # one frame has no spread
