"""A recording of a moving camera, evaluated with tracks: a static object has one track."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.labelled_bag import rendered_frames, write_labelled_bag
from pose_node.cli import main
from pose_node.evaluation.run_folder import read_run
from pose_node.geometry import se3
from pose_node.geometry.symmetry import nearest_symmetric
from pose_node.objects.card import load_card

OBJECT, ID = "mustard_bottle", 5


@pytest.fixture(scope="module")
def frames(models):
    """Of a camera on an arc, with the bottle's mask alone."""
    seen = rendered_frames(models, 5, 0)
    return [replace(f, mask=np.where(f.mask == ID, f.mask, 0)) for f in seen]


def evaluate(*words) -> int:
    return main(["evaluate", *map(str, words)])


def test_one_steady_track_in_the_fixed_frame(models, frames, tmp_path, capsys):
    bag, out = write_labelled_bag(tmp_path / "drive", frames), tmp_path / "run"
    words = ("--objects", OBJECT, "--labels", f"{ID}={OBJECT}", "--models", models, "--track")
    assert evaluate(bag, *words, "--out", out) == 0
    run = read_run(out)
    card = load_card(models / OBJECT)
    truth = frames[0].T_world_camera @ dict(frames[0].labels)[ID]
    assert len(run.frames) == 5
    for frame in run.frames:
        (track,) = frame.tracks
        assert (track.track_id, track.object_name, track.seen) == (1, OBJECT, True)
        off = se3.local(nearest_symmetric(track.T_fixed_object, truth, card.symmetry), track.T_fixed_object)
        assert np.linalg.norm(off[:3]) < 0.005 and np.degrees(np.linalg.norm(off[3:])) < 5.0
        (estimate,) = frame.estimates
        assert np.allclose(frame.T_fixed_camera @ estimate.T_camera_object, track.T_fixed_object)
    assert run.summary["all"]["figures"]["track_losses"]["value"] == 0.0
    assert run.summary["all"]["figures"]["track_spread_mm"]["value"] < 5.0
    assert f"{OBJECT} 1: position" in (out / "report.html").read_text()
    assert [frame.tracks[0].state for frame in run.frames] == ["tentative"] + ["confirmed"] * 4
    again = tmp_path / "again"
    assert evaluate(bag, *words, "--out", again) == 0
    first, second = ([f.tracks[0].T_fixed_object.tobytes() for f in read_run(r).frames] for r in (out, again))
    assert first == second


def test_a_camera_without_a_known_pose_is_its_own_fixed_frame(models, frames, tmp_path):
    bag = write_labelled_bag(tmp_path / "drive", [replace(f, T_world_camera=None) for f in frames[:1]])
    out = tmp_path / "run"
    words = ("--objects", OBJECT, "--labels", f"{ID}={OBJECT}", "--models", models, "--track", "--out", out)
    assert evaluate(bag, *words) == 0
    (frame,) = read_run(out).frames
    assert np.allclose(frame.tracks[0].T_fixed_object, frame.estimates[0].T_camera_object)


@pytest.mark.parametrize(("rate_hz", "jitter_s"), [(5.0, 0.0), (10.0, 0.001)])
def test_an_object_that_appears_while_another_is_tracked_is_tracked(models, tmp_path, rate_hz, jitter_s):
    both = replace(rendered_frames(models, 1, 0)[0], labels=())
    one = replace(both, mask=np.where(both.mask == ID, ID, 0).astype(np.uint8))
    count = round(2.0 * rate_hz)
    jitter_s = jitter_s * np.random.default_rng(0).normal(size=count)
    stamps_ns = [10**18 + int(1e9 * (i / rate_hz + jitter_s[i])) for i in range(count)]
    bag = write_labelled_bag(tmp_path / "drive", [one, *[both] * (count - 1)], stamps_ns)
    objects = ("--objects", OBJECT, "potted_meat_can", "--labels", f"{ID}={OBJECT}", "9=potted_meat_can")
    words = ("--models", models, "--track", "--out", tmp_path / "run")
    assert evaluate(bag, *objects, *words) == 0
    tracks = read_run(tmp_path / "run").frames[-1].tracks
    assert [(t.object_name, t.state, t.seen) for t in tracks] == [
        (OBJECT, "confirmed", True),
        ("potted_meat_can", "confirmed", True),
    ]


@pytest.mark.parametrize("more", [("--jobs", "2"), ("--ray", "local")])
def test_tracks_need_one_worker_that_sees_all_frames(models, frames, tmp_path, capsys, more):
    bag = write_labelled_bag(tmp_path / "drive", frames[:1])
    assert evaluate(bag, "--objects", OBJECT, "--models", models, "--track", *more) == 2
    assert "--track: found --jobs or --ray" in capsys.readouterr().err


def test_a_labelled_folder_has_no_tracks(models, repository, capsys):
    assert evaluate(repository / "pose_node" / "ros" / "demo" / "ycbv_demo", "--models", models, "--track") == 2
    assert "expected a bag" in capsys.readouterr().err
