"""What a run's tracks did, on tracks that were made to do it."""

from __future__ import annotations

import numpy as np
import pytest
from run_writing import HIDDEN, WHY_HIDDEN, tracks_of, write_tracked, write_unlabelled

from pose_node.evaluation.figures.tracks import most_confirmed, track_paths
from pose_node.evaluation.records import FrameRecord, TrackRecord
from pose_node.evaluation.run_folder import read_run
from pose_node.geometry import se3


def frame(number, tracks=(), scene="drive") -> FrameRecord:
    return FrameRecord(scene, f"{number:06d}", 10**18 + number * 100_000_000, np.eye(4), {}, 0.1, tracks=tuple(tracks))


@pytest.fixture(scope="module")
def paths():
    return track_paths([frame(number, tracks_of(number)) for number in range(60)])


def test_each_identity_is_one_path(paths):
    assert [path.name for path in paths] == ["bowl 1", "mug 2", "mug 3"]
    counts = [[int((path.states == state).sum()) for state in ("tentative", "confirmed", "lost")] for path in paths]
    assert counts == [[1, 59, 0], [1, 49, 10], [2, 0, 0]]
    assert [path.seen_s for path in paths] == [pytest.approx(s) for s in ((0.0, 5.9), (0.0, 5.9), (4.0, 4.0))]


def test_losing_and_finding_again_are_counted_once_each(paths):
    bowl, mug, _ = paths
    assert len(bowl.losses) == len(bowl.returns) == 0
    assert mug.losses.tolist() == [HIDDEN.start] and mug.returns.tolist() == [HIDDEN.stop]
    assert mug.records[mug.losses[0]].reason == WHY_HIDDEN
    assert mug.notes == [(pytest.approx(3.0), "found again")]


def test_spread_and_stated_uncertainty_have_the_right_size(paths):
    bowl, mug, alarm = paths
    assert bowl.spread() == pytest.approx((0.0, 0.0))
    # Of the two poses that it sways between, the middle is the one that it was confirmed in once more.
    assert mug.spread() == pytest.approx((2.0, 4.0))
    place, turn = mug.stated()
    assert place == pytest.approx([1.0, 3.0]) and turn == pytest.approx([0.5, 0.5])
    assert bowl.stated()[1] == pytest.approx([0.5, 100.0])
    assert np.isnan(alarm.spread()).all() and np.isnan(alarm.stated()).all()
    assert mug.sigma[0] == pytest.approx([1.0, 2.0, 3.0, 0.5, 0.5, 0.5])


def test_unconfirmed_frames_do_not_move_the_median():
    def at(mm, state):
        return TrackRecord(1, "can", state, se3.transform(np.eye(3), [0.001 * mm, 0.0, 0.0]), np.eye(6), True)

    (path,) = track_paths(
        [frame(n, [at(*how)]) for n, how in enumerate([(9, "tentative"), (9, "tentative"), (1, "confirmed")])]
    )
    assert path.deviation[:, 0] == pytest.approx([8.0, 8.0, 0.0])


def test_a_frame_without_the_track_ends_it_there(paths):
    tracks = tracks_of(1)[:1]
    (path,) = track_paths([frame(0, tracks), frame(1), frame(2), frame(3, tracks)])
    assert path.seconds == pytest.approx([0.0, 0.3]) and path.until == pytest.approx([0.1, 0.4])


def test_scenes_have_their_own_time_and_are_named(tmp_path):
    paths = track_paths(read_run(write_tracked(tmp_path / "run", scenes=("a", "b"))).frames)
    assert [path.name for path in paths][2:4] == ["mug 3, a", "bowl 1, b"]
    assert paths[3].seconds[0] == 0.0


def test_those_that_were_confirmed_most_stay_in_order(paths):
    assert [path.name for path in most_confirmed(paths[::-1], 2)] == ["mug 2", "bowl 1"]
    assert most_confirmed(paths, 9) == paths


def test_a_run_without_tracks_has_none(tmp_path):
    assert track_paths(read_run(write_unlabelled(tmp_path / "run")).frames) == []
