"""Depth of a mesh: exact at pixel centres, nearest face first, no face lost or seen twice."""

from __future__ import annotations

import numpy as np

from pose_node.evaluation.runs.depth_rendering import render_depth
from pose_node.geometry import se3

K = np.array([[100.0, 0.0, 31.5], [0.0, 100.0, 23.5], [0.0, 0.0, 1.0]])
SHAPE = (48, 64)
SQUARE = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
TWO = np.array([[0, 1, 2], [0, 2, 3]])


def at(z: float, rotvec=(0.0, 0.0, 0.0)):
    return se3.transform(se3.exp_so3(np.array(rotvec)), np.array([0.0, 0.0, z]))


def test_a_tilted_plane_is_exact_at_every_pixel():
    T = at(1.0, (0.3, -0.5, 0.2))
    depth = render_depth(SQUARE, TWO, T, K, SHAPE)
    v, u = np.indices(SHAPE)
    rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones(SHAPE)], -1)
    n = T[:3, 2]
    expected = (n @ T[:3, 3]) / (rays @ n)
    np.testing.assert_allclose(depth, expected, rtol=1e-12)


def test_the_nearer_of_two_hides_the_other():
    vertices = np.concatenate([SQUARE * 0.1, SQUARE * 0.3 + [0, 0, 0.2]])
    depth = render_depth(vertices, np.concatenate([TWO, TWO + 4]), at(1.0), K, SHAPE)
    assert depth[24, 32] == 1.0
    assert depth[24, 32 + 15] == 1.2
    assert depth[0, 0] == 0.0


def test_silhouette_is_that_of_the_projection():
    depth = render_depth(SQUARE * 0.1, TWO, at(1.0), K, SHAPE)
    rows, columns = np.nonzero(depth)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (14, 33, 22, 41)
    assert len(rows) == 20 * 20


def test_a_mesh_out_of_view_or_behind_the_camera_is_not_drawn():
    for T in (at(-1.0), se3.transform(np.eye(3), np.array([5.0, 0, 1.0])), at(0.0)):
        assert not render_depth(SQUARE * 0.1, TWO, T, K, SHAPE).any()


def test_edge_on_faces_draw_nothing():
    assert render_depth(SQUARE * 0.1, TWO, at(1.0, (np.pi / 2, 0, 0)), K, SHAPE).sum() <= SHAPE[1]


def test_chunks_do_not_matter(monkeypatch):
    rng = np.random.default_rng(0)
    vertices, faces = rng.uniform(-0.2, 0.2, (60, 3)), rng.integers(0, 60, (200, 3))
    whole = render_depth(vertices, faces, at(1.0), K, SHAPE)
    monkeypatch.setattr("pose_node.evaluation.runs.depth_rendering._CHUNK", 500)
    assert (render_depth(vertices, faces, at(1.0), K, SHAPE) == whole).all()
