"""Drawings: each model at its pose, over the depth."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("PIL")

from pose_node import drawing

K = np.array([[100.0, 0, 80], [0, 100.0, 60], [0, 0, 1]])


def ball(label: str, x: float, z: float) -> drawing.Instance:
    normals = np.random.default_rng(0).normal(size=(2000, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    T = np.eye(4)
    T[:3, 3] = x, 0, z
    return drawing.Instance(label, T, 0.1 * normals, normals)


def coloured(picture) -> np.ndarray:
    pixels = np.asarray(picture).astype(int)
    return pixels.max(axis=2) - pixels.min(axis=2) > 60


def test_a_ball_is_drawn_at_its_pose_without_holes():
    depth = np.full((120, 160), 2.0, np.float32)
    depth[:10] = np.nan
    inside = coloured(drawing.draw(depth, K, [ball("", 0.2, 1.0)]))
    v, u = np.mgrid[:120, :160]
    radius = np.hypot(u - 100, v - 60)
    assert inside[radius < 9].all()
    assert not inside[(radius > 14) & (v > 60)].any()  # its label stands above


def test_the_nearer_ball_hides_the_farther_one_in_any_order():
    depth = np.full((120, 160), 3.0, np.float32)
    near, far = ball("a", 0.0, 1.0), ball("b", 0.0, 2.0)
    first = np.asarray(drawing.draw(depth, K, [near, far]))[60, 80]
    second = np.asarray(drawing.draw(depth, K, [far, near]))[60, 80]
    assert first.argmax() == 0  # the first colour is red
    assert second.argmax() == 1  # the second is green


def test_occluded_models_are_drawn_faintly():
    free, hidden = np.full((120, 160), 2.0, np.float32), np.full((120, 160), 0.5, np.float32)

    def strength(depth):
        pixel = np.asarray(drawing.draw(depth, K, [ball("", 0.0, 1.0)])).astype(int)[60, 80]
        return pixel.max() - pixel.min()

    assert strength(hidden) < 0.6 * strength(free)


def test_nothing_to_draw_and_out_of_view():
    empty = np.full((120, 160), np.nan, np.float32)
    behind = ball("behind", 0.0, -1.0)
    assert drawing.draw(empty, K, [behind, ball("far right", 50.0, 1.0)], "title").size == (160, 120)


def test_side_by_side():
    one = drawing.draw(np.ones((20, 30)), K, [])
    assert drawing.side_by_side([one, one]).size == (64, 20)
