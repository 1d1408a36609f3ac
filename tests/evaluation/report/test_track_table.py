"""The table of tracks says what happened, and no more of it than can be read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from run_writing import WHY_HIDDEN, tracks_of

from pose_node.evaluation.figures.tracks import track_paths
from pose_node.evaluation.records import FrameRecord
from pose_node.evaluation.report.track_table import track_table


def rows(**changes) -> list[list[str]]:
    """The cells' words of each row."""
    frames = []
    for f in range(60):
        tracks = tuple(replace(track, **changes) for track in tracks_of(f))
        frames.append(FrameRecord("bag", f"{f:06d}", f * 100_000_000, np.eye(4), {}, 0.1, tracks=tracks))
    table = track_table(track_paths(frames))
    return [[" ".join(f"{cell.text} {cell.interval}".split()) for cell in row] for row in table.cells]


def test_a_row_for_each_track():
    bowl, mug, alarm = rows()
    assert bowl == [
        "bowl 1",
        "0.0 to 5.9",
        "1",
        "59",
        "0",
        "0",
        "0",
        "0.00 mm 0.00 °",
        "0.00 mm 0.00 °",
        "1.00 mm 0.50 to 100.00 °",
        "",
    ]
    assert mug[:6] == ["mug 2", "0.0 to 5.9", "1", "49", "10", "1 found again: 1"]
    assert mug[6] == "0" and mug[9:] == [
        "1.00 to 3.00 mm 0.50 °",
        f"Lost at 2.0 s: {WHY_HIDDEN} 3.0 s: found again.",
    ]
    assert alarm == ["mug 3", "4.0", "2", "0", "0", "0", "0", "– –", "– –", "– –", ""]


def test_of_many_notes_the_last_are_shown():
    notes = rows(note="turned by 90 degrees and moved by 1 mm")[0][-1]
    assert notes.startswith("60 notes, the last: 5.6 s: turned by 90 degrees and moved by 1 mm. 5.7 s:")
    assert notes.count("turned") == 4
