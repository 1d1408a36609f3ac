"""Records: what older runs lack, and refusals counted over frames."""

from __future__ import annotations

import numpy as np

from pose_node.evaluation.records import FrameRecord, TrackRecord, refusals


def test_a_track_of_an_older_run_has_one_text_for_reason_and_note():
    new = TrackRecord(3, "mug", "confirmed", np.eye(4), np.eye(6), True).to_json()
    old = {key: value for key, value in new.items() if key not in ("score", "reason", "note")}
    seen = TrackRecord.from_json({**old, "told": "found again"})
    assert (seen.score, seen.reason, seen.note) == (None, "", "found again")
    unseen = TrackRecord.from_json({**old, "seen": False, "told": "not_seen: no frame showed it."})
    assert (unseen.reason, unseen.note) == ("not_seen: no frame showed it.", "")


def test_refusals_are_counted_over_the_frames_with_the_first_sentence_of_each():
    def frame(rejected, reasons=None) -> FrameRecord:
        return FrameRecord("000000", "000001", 7, None, {}, 0.2, rejected, reasons=reasons or {})

    frames = [
        frame({"no_votes": 2}, {"no_votes": "mug: first."}),
        frame({"no_votes": 1, "encoding": 1}, {"no_votes": "later.", "encoding": "mask: x."}),
        frame({"old": 5}),
    ]
    assert [str(x) for x in refusals(frames)] == [
        "5 times old",
        "3 times no_votes: mug: first.",
        "once encoding: mask: x.",
    ]
