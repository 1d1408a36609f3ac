"""Rendered views, exactness and mirrored parts: the arithmetic of their figures, on made-up rows and tiny clouds."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks import exactness, mirror, rendered, rendered_change
from pose_node.geometry import se3
from pose_node.objects.card import load_card
from pose_node.types import Estimate, Evidence, Segment

STAGES = dict.fromkeys(("first", "proposed", "shortlisted", "refined"), True)


def estimate(T: np.ndarray, covariance: np.ndarray | None = None, score: float = 0.9) -> Estimate:
    covariance = np.eye(6) * 1e-4 if covariance is None else covariance
    return Estimate("mug", T, score, covariance, Evidence(1, 0, 0, 1, 1, 0), Segment(np.arange(3), "mask", "mug"))


def view_row(**values: object) -> dict[str, object]:
    return {"visible": 0.9, "noise": "structured_light", "ms": 10.0, "points": 500, **STAGES, **values}


def test_a_view_without_an_answer_is_a_miss() -> None:
    rows = [
        view_row(turn=1.0, shift=0.01, score=0.9, alternatives=True, nees=1.0),
        view_row(turn=1.0, shift=0.2, score=0.6, alternatives=False),
        view_row(refused="low_score", visible=0.5),
        view_row(turn=6.0, shift=0.01, score=0.7, alternatives=True, noise="active_stereo"),
    ]
    figures = rendered.figures_of("can", rows)
    assert figures["can_recall"] == 0.25
    assert figures["can_rotation_recall"] == 0.5
    assert figures["can_answered"] == 0.75
    assert figures["can_in_alternatives"] == 0.5
    assert figures["can_recall_visible_40_55"] == 0.0 and figures["can_views_visible_85_100"] == 3
    assert figures["can_recall_active_stereo"] == 0.0
    assert "can_handle_views" not in figures


def test_a_fall_is_told_from_chance() -> None:
    before = {"can_views": 1000, "can_recall": 0.92, "bowl_views": 1000, "bowl_recall": 0.98, "mug_handle_views": 100}
    before |= {"mug_views": 1000, "mug_recall": 0.7, "mug_handle_recall": 0.9}
    after = {**before, "can_recall": 0.88, "bowl_recall": 0.985, "mug_handle_recall": 0.85, "bowl_views": 200}
    found = {change.what: change for change in rendered_change.changes(before, after, {}, {})}
    assert list(found) == ["can", "bowl", "mug", "mug_handle"]
    assert found["can"].fallen and not any(found[what].fallen for what in ("bowl", "mug", "mug_handle"))
    assert found["mug"].low < 0.0 < found["mug"].high and found["can"].high == pytest.approx(-0.0138, abs=1e-3)


def test_views_in_both_results_are_paired() -> None:
    figures = {"can_views": 200, "can_recall": 0.9}
    hits = {"can": "1" * 180 + "0" * 20}
    (same,) = rendered_change.changes(figures, figures, hits, hits)
    assert same.low == same.high == 0.0 and not same.fallen
    (fallen,) = rendered_change.changes(figures, figures, hits, {"can": "0" * 20 + "1" * 160 + "0" * 20})
    assert fallen.fallen and fallen.before == 0.9 and fallen.after == 0.8


def test_the_mug_is_judged_by_what_shows_of_its_handle() -> None:
    told = {"score": 0.9, "alternatives": True, "shift": 0.0}
    rows = [
        view_row(handle_px=200, turn=1.0, axis=1.0, axis_shift=0.0, std_about=1.0, std_across=1.0, **told),
        view_row(handle_px=100, turn=90.0, axis=1.0, axis_shift=0.0, std_about=1.0, std_across=1.0, **told),
        view_row(handle_px=0, turn=90.0, axis=1.0, axis_shift=0.0, std_about=60.0, about=90.0, std_across=1.0, **told),
        view_row(handle_px=0, turn=90.0, axis=9.0, axis_shift=0.0, std_about=2.0, about=90.0, std_across=1.0, **told),
        view_row(handle_px=0, refused="low_score"),
    ]
    figures = rendered.figures_of("mug", rows)
    assert figures["mug_handle_views"] == 1 and figures["mug_handle_recall"] == 1.0
    assert figures["mug_hidden_views"] == 3
    assert figures["mug_hidden_axis_recall"] == pytest.approx(1 / 3)
    assert figures["mug_hidden_wide_narrow"] == pytest.approx(1 / 3)
    assert figures["mug_hidden_covered"] == pytest.approx(1 / 3)


def test_handle_and_axis_of_the_shipped_mug(repository: Path) -> None:
    card = load_card(repository / "models" / "mug")
    pixels = rendered.handle_pixels(card.surface.points_m, card)
    assert 0.03 < pixels / len(card.surface.points_m) < 0.3  # some of the surface is handle, most is not
    axis = card.confusion_axes[0]
    T = np.eye(4)
    turned = T @ se3.transform(se3.exp_so3(axis.direction), axis.origin_m - se3.exp_so3(axis.direction) @ axis.origin_m)
    covariance = np.diag([1e-6] * 3 + [1e-4] * 3)
    covariance[3:, 3:] += np.outer(axis.direction, axis.direction)
    figures = rendered.axis_figures(estimate(turned, covariance), T, card)
    assert figures["axis"] == pytest.approx(0.0, abs=1e-4)
    assert figures["std_about"] == pytest.approx(np.degrees(1.0), rel=1e-3)
    assert figures["std_across"] == pytest.approx(np.degrees(0.01), rel=1e-3)
    assert figures["about"] == pytest.approx(np.degrees(1.0), rel=1e-3)
    degrees, _ = rendered.pose_errors(turned, T, card)
    assert degrees == pytest.approx(np.degrees(1.0), rel=1e-3)


def test_nees_of_an_honest_covariance_is_about_one(repository: Path, rng: np.random.Generator) -> None:
    card = load_card(repository / "models" / "mug")
    covariance = np.diag([1e-6, 2e-6, 4e-6, 1e-4, 2e-4, 3e-4])
    twists = rng.multivariate_normal(np.zeros(6), covariance, 300)
    found = [rendered.nees(estimate(se3.retract(np.eye(4), twist), covariance), np.eye(4), card) for twist in twists]
    assert np.mean(found) == pytest.approx(1.0, abs=0.1)


@pytest.mark.learning
def test_a_rendered_crop_comes_back_as_the_cloud_it_was(repository: Path) -> None:
    pytest.importorskip("open3d")
    views = rendered.sampler(load_card(repository / "models" / "bowl"))
    view = views.view(rendered.FIRST_SEED)
    cloud, mask = rendered.measured(view)
    np.testing.assert_allclose(cloud.points_m, view.scene_points_m, atol=1e-6)
    inside = mask.ravel()[cloud.source_index]
    np.testing.assert_allclose(cloud.points_m[inside], view.points_m, atol=1e-6)


def test_motions_are_rigid_near_and_the_same_every_time() -> None:
    motions = np.stack([exactness.motion(i) for i in range(300)])
    np.testing.assert_array_equal(motions[7], exactness.motion(7))
    np.testing.assert_allclose(np.linalg.det(motions[:, :3, :3]), 1.0)
    reach = np.linalg.norm(motions[:, :3, 3], axis=1)
    assert reach.max() <= 1.0 and reach.max() > 0.9
    assert np.degrees(se3.angle(motions[:, :3, :3])).mean() == pytest.approx(126.5, abs=5.0)  # uniform over SO(3)


def test_motions_are_spread_evenly_over_the_crops() -> None:
    keys = exactness.keys_of("real", ["a", "b", "c"], 10)
    assert len(set(keys)) == 10
    assert [sum(f"|{c}|" in k for k in keys) for c in "abc"] == [4, 3, 3]
    assert [k.split("|")[1] for k in keys] == sorted(k.split("|")[1] for k in keys)


def test_a_changed_answer_is_the_largest_failure(repository: Path, rng: np.random.Generator) -> None:
    card = load_card(repository / "models" / "mug")
    T, base = exactness.motion(3), estimate(exactness.motion(4))
    assert exactness.compare(None, base, T, card) == {"turn": 180.0, "shift": 1.0, "flip": True}
    assert exactness.compare(base, None, T, card)["flip"]
    assert exactness.compare(None, None, T, card) == {"refused": True}
    same = exactness.compare(estimate(T @ base.T_camera_object), base, T, card)
    assert same["turn"] < 1e-5 and same["shift"] < 1e-12
    figures = exactness.summary([same, {"turn": 180.0, "shift": 1.0, "flip": True}, {"refused": True}], "real")
    assert figures["real_motions"] == 2 and figures["real_refused"] == 1 and figures["real_flips"] == 1
    assert figures["real_modes"] == 0 and figures["real_pipeline_rotation_deg_max"] == 180.0


def test_auc_is_the_chance_to_rank_right() -> None:
    assert mirror.auc([3.0, 4.0], [1.0, 2.0]) == 1.0
    assert mirror.auc([1.0, 2.0], [3.0]) == 0.0
    assert mirror.auc([1.0, 1.0], [1.0]) == 0.5
    assert math.isnan(mirror.auc([], [1.0]))


def test_a_part_seen_fits_itself_and_not_its_twin(rng: np.random.Generator) -> None:
    """Three bars of different lengths along the axes: chiral, and seen whole from one corner."""
    along = np.linspace(0.02, 1.0, 40)[:, None]
    bars = [along * length * np.eye(3)[i] for i, length in enumerate((0.1, 0.06, 0.03))]
    part = np.concatenate(bars)
    normals = np.full_like(part, 3**-0.5)
    R = se3.exp_so3(rng.normal(size=3))
    corner = np.full(3, 3**-0.5)
    seen = se3.apply(se3.transform(R, -0.8 * (R @ corner)), part)  # the viewpoint looks at the corner from outside
    assert mirror.view_gap(seen, part, normals) < 0.003
    assert mirror.view_gap(seen * (-1, 1, 1), part, normals) > 0.01
