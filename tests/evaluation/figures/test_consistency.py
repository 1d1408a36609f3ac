"""Figures without labels, on poses whose behaviour is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pose_node.evaluation.figures.consistency import consistency_meaning, consistency_summary
from pose_node.evaluation.figures.sightings import instances, sightings
from pose_node.evaluation.records import EstimateRecord, FrameRecord
from pose_node.geometry import se3
from pose_node.geometry.symmetry import Axis, Symmetry

NONE = Symmetry(np.eye(4)[None])
ROUND = Symmetry(np.eye(4)[None], (Axis(np.array([0.0, 0.0, 1.0]), np.zeros(3)),))


def card(symmetry=NONE, centre=(0.0, 0.0, 0.0)):
    return SimpleNamespace(diameter_m=0.1, centre_m=np.array(centre), symmetry=symmetry)


def turned(degrees, axis=(0.0, 0.0, 1.0), at=(0.0, 0.0, 1.0)) -> np.ndarray:
    return se3.transform(se3.exp_so3(np.radians(degrees) * np.asarray(axis)), np.asarray(at, float))


def frame(number, poses, T_fixed_camera=None, scene="drive", **more) -> FrameRecord:
    """poses: [(object name, T_camera_object)]."""
    estimates = tuple(EstimateRecord(name, T, 0.8, np.eye(6)) for name, T in poses)
    stages = more.pop("stage_s", {"infer": 0.1})
    return FrameRecord(scene, f"{number:06d}", number, T_fixed_camera, stages, 0.25, estimates=estimates, **more)


def figures(frames, cards, seed=0):
    return consistency_summary(frames, sightings(frames, cards), list(cards), seed)


def value(summary, key, of="all") -> float:
    return summary[of]["figures"][key]["value"]


def test_a_static_object_has_no_spread_while_the_camera_moves(rng):
    """Seen from ever other places: in the fixed frame it does not move."""
    T_fixed_object = turned(40.0, at=(0.3, 0.2, 0.1))
    frames = []
    for number in range(10):
        T_fixed_camera = se3.transform(se3.exp_so3(rng.normal(size=3)), rng.normal(size=3))
        frames.append(frame(number, [("can", se3.invert(T_fixed_camera) @ T_fixed_object)], T_fixed_camera))
    summary = figures(frames, {"can": card()})
    for key in ("spread_mm", "spread_deg", "jitter_mm", "jitter_deg", "flips", "lost"):
        assert value(summary, key) == pytest.approx(0.0, abs=1e-5), key
    assert value(summary, "found") == 1.0 and value(summary, "score") == pytest.approx(0.8)


def test_spread_and_jitter_have_their_size(rng):
    """Back and forth by 2 mm and 4 degrees: 1 mm and 2 degrees from the middle, 2 mm and 4 degrees from sighting to sighting."""
    poses = [turned(4.0 * (n % 2), at=(0.002 * (n % 2), 0.0, 1.0)) for n in range(20)]
    frames = [frame(n, [("can", T)], np.eye(4)) for n, T in enumerate(poses)]
    summary = figures(frames, {"can": card()})
    assert value(summary, "jitter_mm") == pytest.approx(2.0)
    assert value(summary, "jitter_deg") == pytest.approx(4.0)
    assert value(summary, "spread_mm") == pytest.approx(1.0)
    assert value(summary, "spread_deg") == pytest.approx(2.0)


def test_without_the_cameras_motion_there_is_no_spread():
    frames = [frame(n, [("can", turned(0.0))]) for n in range(4)]
    summary = figures(frames, {"can": card()})
    assert "spread_mm" not in summary["all"]["figures"] and value(summary, "jitter_mm") == 0.0


def test_a_flip_is_counted_apart_and_symmetry_is_none(rng):
    half_turns = [turned(180.0 * (n % 2), axis=(1.0, 0.0, 0.0)) for n in range(5)]
    frames = [frame(n, [("can", T)]) for n, T in enumerate(half_turns)]
    summary = figures(frames, {"can": card()})
    assert value(summary, "flips") == 1.0 and "jitter_deg" not in summary["all"]["figures"]
    spinning = [turned(70.0 * n) for n in range(5)]
    frames = [frame(n, [("can", T)]) for n, T in enumerate(spinning)]
    assert value(figures(frames, {"can": card()}), "flips") == 1.0
    summary = figures(frames, {"can": card(ROUND)})
    assert value(summary, "flips") == 0.0 and value(summary, "jitter_deg") == pytest.approx(0.0, abs=1e-4)


def test_the_objects_centre_is_followed_not_its_origin():
    """A rotation about the centre is no distance, also if the object's origin is elsewhere."""
    centre = np.array([0.2, 0.0, 0.0])
    poses = []
    for number in range(4):
        R = se3.exp_so3(np.radians([0.0, 0.0, 10.0 * number]))
        poses.append(se3.transform(R, np.array([0.0, 0.0, 1.0]) - R @ centre))
    frames = [frame(n, [("can", T)]) for n, T in enumerate(poses)]
    summary = figures(frames, {"can": card(centre=centre)})
    assert value(summary, "jitter_mm") == pytest.approx(0.0, abs=1e-9)
    assert value(summary, "jitter_deg") == pytest.approx(10.0)


def test_lost_and_found():
    """Seen in frames 0, 1, 3 of 5: lost twice of three sightings, found again once."""
    frames = [frame(n, [("can", turned(0.0))] if n in (0, 1, 3) else []) for n in range(5)]
    summary = figures(frames, {"can": card()})
    assert value(summary, "found") == pytest.approx(0.6)
    assert value(summary, "lost") == pytest.approx(2 / 3)
    assert value(summary, "found_again") == pytest.approx(0.5)


def test_two_of_a_kind_are_two_instances_however_they_are_ordered():
    left, right = turned(0.0), turned(0.0, at=(0.3, 0.0, 1.0))
    frames = [frame(n, [("can", T) for T in ((left, right) if n % 2 else (right, left))]) for n in range(6)]
    found = instances(frames, {"can": card()})
    assert [len(i.frames) for i in found] == [6, 6]
    assert value(figures(frames, {"can": card()}), "jitter_mm") == 0.0


def test_scenes_and_objects_have_their_own_entries():
    frames = [
        frame(0, [("can", turned(0.0))], scene="a", rejected={"low_score": 2}),
        frame(0, [("box", turned(0.0))], scene="b"),
    ]
    summary = figures(frames, {"can": card(), "box": card()})
    assert list(summary["objects"]) == ["can", "box"] and list(summary["scenes"]) == ["a", "b"]
    assert summary["objects"]["can"]["figures"]["found"]["value"] == 0.5
    assert value(summary, "rejected_low_score") == 1.0 and value(summary, "stage_infer_s") == pytest.approx(0.1)
    for part in (summary["all"], *summary["objects"].values(), *summary["scenes"].values()):
        assert part["labels"] == 0 and all(consistency_meaning(key) for key in part["figures"])


def test_intervals_come_from_instances_and_from_the_seed(rng):
    frames = []
    for number in range(10):
        poses = [("can", turned(0.0, at=(0.5 * i, 0.001 * i * (number % 2), 1.0))) for i in range(4)]
        frames.append(frame(number, poses))
    first, again = (figures(frames, {"can": card()}, seed=3) for _ in range(2))
    assert first == again
    figure = first["all"]["figures"]["jitter_mm"]
    assert figure["low"] < figure["value"] < figure["high"]


def test_one_thing_in_one_scene_is_drawn_by_tenths_of_the_recording(rng):
    frames = [frame(n, [("can", turned(0.0, at=(0.001 * rng.normal(), 0.0, 1.0)))] if n % 4 else []) for n in range(30)]
    of_can = figures(frames, {"can": card()})["all"]["figures"]
    for key in ("found", "jitter_mm"):
        assert of_can[key]["low"] < of_can[key]["value"] < of_can[key]["high"]
    assert of_can["score"]["low"] == pytest.approx(0.8)
    two_frames = figures(frames[1:3], {"can": card()})["all"]["figures"]
    assert {one["low"] for one in two_frames.values()} == {None}


def test_sightings_have_their_contributions_to_the_figures():
    frames = [frame(n, [("can", turned(0.0, at=(0.001 * n, 0.0, 1.0)))] if n != 2 else [], np.eye(4)) for n in range(4)]
    seen = sightings(frames, {"can": card()})
    assert [(s.frame, s.instance) for s in seen] == [("000000", 0), ("000001", 0), ("000003", 0)]
    assert [s.values.get("jitter_mm") for s in seen] == [None, pytest.approx(1.0), pytest.approx(2.0)]
    assert [s.values.get("lost") for s in seen] == [0.0, 1.0, None]
    assert [s.values.get("found_again") for s in seen] == [None, 1.0, None]
    assert [s.values["spread_mm"] for s in seen] == pytest.approx([1.0, 0.0, 2.0])


def test_nothing_seen_is_no_trouble():
    summary = figures([], {"can": card()})
    assert summary["all"] == {"labels": 0, "figures": {}}
    summary = figures([frame(0, [])], {"can": card()})
    assert value(summary, "found") == 0.0 and "jitter_mm" not in summary["all"]["figures"]
