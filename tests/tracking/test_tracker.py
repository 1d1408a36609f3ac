"""Identities over time, single wrong estimates, late detections, and lost tracks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_node.config import TrackConfig
from pose_node.geometry import se3
from pose_node.tracking.observation import Camera
from pose_node.tracking.tracker import Tracker
from pose_node.types import Estimate, Evidence, Rejected, Segment

SECOND = 1_000_000_000
STILL = np.eye(4)
EVIDENCE = Evidence(0.9, 0.0, 0.0, 0.9, 0.9, 0.001)
SEGMENT = Segment(np.arange(100), "mask", "block")
SHARP = np.diag([0.001] * 3 + [0.01] * 3) ** 2
HALF_TURN = se3.transform(np.diag([-1.0, -1.0, 1.0]), np.zeros(3))
HERE = se3.transform(se3.exp_so3(np.array([0.2, 0.4, -0.3])), np.array([0.0, 0.1, 0.8]))
CONFIG = TrackConfig()


def estimate(T=HERE, score=0.8, covariance=SHARP, alternatives=()):
    return Estimate("block", T, score, covariance, EVIDENCE, SEGMENT, tuple(alternatives))


def at(seconds, T=STILL):
    return Camera(T, np.zeros(3), int(seconds * SECOND))


def tracker_of(block, config=CONFIG, symmetry=None):
    card = block.card if symmetry is None else replace(block.card, symmetry=symmetry)
    return Tracker({"block": card}, config)


def detect(tracker, seconds, *estimates, T=STILL):
    tracker.expected(at(seconds, T))
    tracker.detected(estimates, at(seconds, T), int(seconds * SECOND))
    return tracker.tracks(int(seconds * SECOND))


def follow(tracker, seconds, outcome, T=STILL):
    expected = tracker.expected(at(seconds, T))
    tracker.followed({e.track_id: outcome for e in expected}, at(seconds, T))
    return tracker.tracks(int(seconds * SECOND))


def test_another_tracker_goes_on_with_the_tracks_of_some_objects(block):
    tracker = tracker_of(block)
    detect(tracker, 0.0, estimate())
    (track,) = follow(tracker, 0.1, estimate())
    same, none = tracker_of(block), tracker_of(block)
    same.take_over(tracker, ["block"])
    none.take_over(tracker, [])
    (after,) = follow(same, 0.2, estimate())
    assert (after.track_id, after.state) == (track.track_id, "confirmed")
    assert not none.following
    assert detect(none, 0.2, estimate())[0].track_id == 2, "an identity is not used again"


def test_a_track_is_confirmed_when_it_was_seen_again_and_keeps_its_identity(block):
    tracker = tracker_of(block)
    (first,) = detect(tracker, 0.0, estimate())
    (second,) = follow(tracker, 0.1, estimate())
    assert (first.state, second.state) == ("tentative", "confirmed")
    assert first.track_id == second.track_id
    assert np.allclose(second.T_fixed_object, HERE)


def test_several_instances_keep_their_identities_in_any_order(block):
    other = HERE.copy()
    other[:3, 3] += [0.3, 0.0, 0.0]
    tracker = tracker_of(block)
    detect(tracker, 0.0, estimate(), estimate(other))
    tracks = detect(tracker, 0.1, estimate(other), estimate())
    assert [t.track_id for t in tracks] == [1, 2]
    assert np.allclose(tracks[0].T_fixed_object[:3, 3], HERE[:3, 3])
    assert np.allclose(tracks[1].T_fixed_object[:3, 3], other[:3, 3])


def test_the_track_stays_while_the_camera_moves(block):
    tracker = tracker_of(block)
    for i in range(8):
        T_fixed_camera = se3.transform(se3.exp_so3(np.array([0.0, 0.1 * i, 0.0])), np.array([0.1 * i, 0.0, 0.0]))
        seen = estimate(se3.invert(T_fixed_camera) @ HERE)
        (track,) = detect(tracker, 0.1 * i, seen, T=T_fixed_camera)
    assert np.allclose(track.T_fixed_object, HERE, atol=1e-9)
    assert track.track_id == 1


def test_an_unseen_track_is_lost_with_the_reason_and_found_again_with_its_identity(block):
    tracker = tracker_of(block)
    detect(tracker, 0.0, estimate())
    follow(tracker, 0.1, estimate())
    hidden = Rejected("hidden", "block: something nearer hides the place where it is expected.", "block")
    for i in range(2, 10):
        tracks = follow(tracker, 0.1 * i, hidden)
    assert tracks[0].state == "lost"
    assert tracks[0].reason.startswith("hidden: ")
    assert tracks[0].estimate is None
    (track,) = follow(tracker, 2.0, estimate())
    assert (track.track_id, track.state, track.note) == (1, "confirmed", "found again")
    assert not track.reason


def test_a_detection_finds_a_lost_track_at_its_place_but_not_elsewhere(block):
    tracker = tracker_of(block)
    detect(tracker, 0.0, estimate())
    detect(tracker, 0.1, estimate())
    detect(tracker, 1.0)
    elsewhere = HERE.copy()
    elsewhere[:3, 3] += [0.4, 0.0, 0.0]
    tracks = detect(tracker, 1.1, estimate(elsewhere))
    assert [(t.track_id, t.state) for t in tracks] == [(1, "lost"), (2, "tentative")]
    tracks = detect(tracker, 1.2, estimate(), estimate(elsewhere))
    assert [(t.track_id, t.state) for t in tracks] == [(1, "confirmed"), (2, "confirmed")]


def test_a_track_lost_for_long_is_forgotten_and_its_identity_not_used_again(block):
    tracker = tracker_of(block, replace(CONFIG, forget_after_s=5.0))
    detect(tracker, 0.0, estimate())
    detect(tracker, 0.1, estimate())
    assert detect(tracker, 1.0)[0].state == "lost"
    assert detect(tracker, 10.0) == ()
    assert detect(tracker, 10.1, estimate())[0].track_id == 2


def test_a_tentative_track_that_is_not_seen_again_is_dropped_silently(block):
    tracker = tracker_of(block)
    detect(tracker, 0.0, estimate())
    assert detect(tracker, 1.0) == ()


def test_a_late_detection_counts_for_the_frame_it_was_made_of(block):
    tracker = tracker_of(block)
    detect(tracker, 0.0, estimate())
    for i in range(1, 6):
        (track,) = follow(tracker, 0.1 * i, estimate())
    tracker.detected([estimate()], at(0.2), int(0.5 * SECOND))
    (after,) = tracker.tracks(int(0.5 * SECOND))
    assert after.seen_ns == track.seen_ns
    assert np.allclose(after.T_fixed_object, track.T_fixed_object)


LAGS_S = (0.3, 0.5, 1.0, 3.0)
RATES_HZ = (1.0, 5.0, 10.0, 30.0)
ELSEWHERE = se3.transform(HERE[:3, :3], HERE[:3, 3] + [0.3, 0.0, 0.0])


def jittered(rate_hz, seed=0):
    """Stamps in seconds at a rate, with a millisecond of jitter."""
    rng = np.random.default_rng(seed)
    return [i / rate_hz + 0.001 * rng.normal() for i in range(round(rate_hz * max(LAGS_S)) + 5)]


def late(tracker, taken_s, now_s, *estimates):
    """Update with a detection of an older frame."""
    tracker.detected(estimates, at(taken_s), int(now_s * SECOND))
    return tracker.tracks(int(now_s * SECOND))


@pytest.mark.parametrize("lag_s", LAGS_S)
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_second_object_is_tracked_however_late_its_detection_is(block, rate_hz, lag_s):
    tracker = tracker_of(block)
    seconds = jittered(rate_hz)
    detect(tracker, seconds[0], estimate())
    due = next(i for i, s in enumerate(seconds) if s >= seconds[1] + lag_s)
    for s in seconds[1 : due + 1]:
        follow(tracker, s, estimate())
    tracks = late(tracker, seconds[1], seconds[due], estimate(), estimate(ELSEWHERE))
    assert [(t.track_id, t.state) for t in tracks] == [(1, "confirmed"), (2, "tentative")]
    assert tracks[1].seen_ns == int(seconds[1] * SECOND) and tracks[1].estimate is None, (
        "this frame has not shown it yet"
    )
    where = {1: estimate(), 2: estimate(ELSEWHERE)}
    tracker.followed(
        {e.track_id: where[e.track_id] for e in tracker.expected(at(seconds[due + 1]))}, at(seconds[due + 1])
    )
    tracks = tracker.tracks(int(seconds[due + 1] * SECOND))
    assert [(t.track_id, t.state) for t in tracks] == [(1, "confirmed"), (2, "confirmed")]
    assert all(t.estimate is not None for t in tracks)


@pytest.mark.parametrize("lag_s", LAGS_S)
def test_a_track_of_a_late_detection_that_no_frame_shows_is_dropped(block, lag_s):
    tracker = tracker_of(block)
    late(tracker, 10.0 - lag_s, 10.0, estimate())
    gone = Rejected("gone", "block: the sensor sees free space where it was.", "block")
    states = [[t.state for t in follow(tracker, 10.0 + 0.1 * i, gone)] for i in range(1, 8)]
    assert states[:4] == [["tentative"]] * 4 and states[-1] == []


@pytest.mark.parametrize("lag_s", LAGS_S)
def test_a_late_detection_finds_a_lost_track_again_unless_older_than_when_it_was_last_seen(block, lag_s):
    hidden = Rejected("hidden", "block: something nearer hides the place where it is expected.", "block")
    for taken_s, found in ((5.0, True), (0.9, False), (1.0, False)):
        tracker = tracker_of(block)
        for i in range(11):
            detect(tracker, 0.1 * i, estimate())
        for i in range(11, 20):
            follow(tracker, 0.1 * i, hidden)
        (track,) = late(tracker, taken_s, 5.0 + lag_s, estimate())
        assert (track.state, track.note) == (("confirmed", "found again") if found else ("lost", ""))
        if found:
            (track,) = follow(tracker, 5.1 + lag_s, estimate())
            assert (track.track_id, track.state) == (1, "confirmed")


def detect_late(tracker, seconds, *estimates, lag_s=0.5):
    """Update, ``lag_s`` later, with a detection of the frame that was followed last."""
    tracker.detected(estimates, at(seconds), int((seconds + lag_s) * SECOND), tracker.visible())
    return tracker.tracks(int((seconds + lag_s) * SECOND))


def test_following_alone_does_not_confirm_a_track_with_a_low_score(block):
    """Following a wrong pose finds it again and again."""
    tracker = tracker_of(block)
    detect(tracker, 0.0, estimate(score=0.73))
    states = {follow(tracker, 0.1 * i, estimate(score=0.54))[0].state for i in range(1, 100)}
    assert states == {"tentative"}
    for _ in range(5):
        (track,) = detect_late(tracker, 9.9, estimate(score=0.73))
    assert track.state == "tentative", "the same measurement again, as of a recording in a loop, is no further evidence"
    for off_m in (1e-4, 2e-4):
        (track,) = detect_late(tracker, 9.9, estimate(se3.retract(HERE, np.full(6, off_m)), score=0.73))
    assert track.state == "confirmed", "further detections are further evidence"


def test_a_visible_track_that_detections_do_not_confirm_is_dropped_with_a_reason(block):
    tracker = tracker_of(block)
    detect(tracker, 0.0, estimate(score=0.73))
    counts = []
    for i in range(1, 6):
        follow(tracker, i, estimate(score=0.54))
        counts.append(len(detect_late(tracker, i, estimate(ELSEWHERE))))
        if counts[-1] == 1:
            break
    assert 2 <= i <= 3
    (dropped,) = tracker.dropped
    assert dropped.code == "unlikely_track" and dropped.reason.startswith("block_1: found a likelihood of ")
    (track,) = tracker.tracks(int(10.0 * SECOND))
    assert np.allclose(track.T_fixed_object, ELSEWHERE)


def test_a_confirmed_track_becomes_tentative_before_it_is_dropped(block):
    tracker = tracker_of(block)
    detect(tracker, 0.0, estimate())
    states = []
    for i in range(1, 12):
        follow(tracker, i, estimate(score=0.6))
        tracks = detect_late(tracker, i, *([estimate(se3.retract(HERE, np.full(6, 1e-4 * i)))] if i < 4 else []))
        states += [tracks[0].state if tracks else "gone"]
    assert states[:4] == ["confirmed"] * 4, "one miss is little evidence after many hits"
    assert list(dict.fromkeys(states)) == ["confirmed", "tentative", "gone"]


def test_a_detection_does_not_count_against_tracks_hidden_in_its_frame(block):
    hidden = Rejected("hidden", "block: something nearer hides the place where it is expected.", "block")
    behind = replace(estimate(score=0.6), evidence=replace(EVIDENCE, occluded=1.0))
    for outcome in (hidden, behind):
        tracker = tracker_of(block, replace(CONFIG, lost_after_s=30.0))
        detect(tracker, 0.0, estimate(score=0.6))
        for i in range(1, 10):
            follow(tracker, i, outcome)
            (track,) = detect_late(tracker, i)
        assert track.track_id == 1


def test_after_a_reset_identities_are_new(block):
    tracker = tracker_of(block)
    detect(tracker, 0.0, estimate())
    tracker.reset()
    assert not tracker.following
    assert detect(tracker, 0.1, estimate())[0].track_id == 2


def test_a_moving_object_is_expected_along_its_velocity(block):
    tracker = tracker_of(block, replace(CONFIG, motion="moving"))
    for i in range(20):
        T = HERE.copy()
        T[0, 3] += 0.02 * i
        detect(tracker, 0.1 * i, estimate(T))
    (expected,) = tracker.expected(at(2.0))
    assert expected.T_camera_object[0, 3] == pytest.approx(HERE[0, 3] + 0.4, abs=0.01)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_motion_of_the_fixed_frame_moves_tracks_with_it(block, seed):
    rng = np.random.default_rng(seed)
    M = se3.transform(se3.exp_so3(rng.normal(size=3)), rng.normal(size=3))
    still, moved = tracker_of(block), tracker_of(block)
    for i in range(5):
        seen = estimate(se3.retract(HERE, 0.002 * rng.normal(size=6)))
        T_fixed_camera = se3.transform(se3.exp_so3(0.3 * rng.normal(size=3)), rng.normal(size=3))
        a = detect(still, 0.1 * i, seen, T=T_fixed_camera)
        b = detect(moved, 0.1 * i, seen, T=M @ T_fixed_camera)
    assert [t.track_id for t in a] == [t.track_id for t in b]
    for one, other in zip(a, b):
        assert np.allclose(M @ one.T_fixed_object, other.T_fixed_object, atol=1e-8)
        assert np.allclose(se3.rotate_covariance(M[:3, :3], one.covariance), other.covariance, atol=1e-10)


def test_a_mask_or_box_is_evidence_by_itself(block):
    """Then repetitions of one frame are enough to confirm a track."""
    for source, state in (("mask", "confirmed"), ("cluster", "tentative")):
        tracker = Tracker({"block": block.card}, TrackConfig())
        found = estimate(score=0.65)
        found = replace(found, segment=replace(found.segment, source=source))
        for t in range(3):
            (track,) = detect(tracker, float(t), found)
        assert track.state == state
