"""Procedural meshes are closed, sized, reproducible; the two families share no kind; chiral parts are chiral."""

import numpy as np
import pytest

from pose_node.learning import shapes


def edges_close(faces: np.ndarray) -> bool:
    """Every directed edge has its opposite exactly once: closed and wound alike."""
    edges = {}
    for a, b, c in faces:
        for edge in ((a, b), (b, c), (c, a)):
            edges[edge] = edges.get(edge, 0) + 1
    return all(edges.get((b, a)) == n for (a, b), n in edges.items())


def welded(shape: shapes.Shape) -> np.ndarray:
    _, back = np.unique(np.round(shape.vertices_m, 9), axis=0, return_inverse=True)
    faces = back.reshape(-1)[shape.faces]
    return faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])]


def volume(shape: shapes.Shape) -> float:
    a, b, c = (shape.vertices_m[shape.faces[:, i]] for i in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


FAMILIES = [(shapes.training, shapes.TRAINING_KINDS), (shapes.held_out, shapes.HELD_OUT_KINDS)]


@pytest.mark.parametrize("make, kinds", FAMILIES, ids=["training", "held_out"])
def test_every_kind_is_closed_outward_centred_sized_and_reproducible(make, kinds):
    for seed in range(2 * len(kinds)):
        shape = make(seed)
        assert np.isfinite(shape.vertices_m).all() and shape.faces.max() < len(shape.vertices_m)
        assert edges_close(welded(shape)), shape.name
        assert volume(shape) > 0, shape.name
        low, high = shape.vertices_m.min(axis=0), shape.vertices_m.max(axis=0)
        assert 0.05 - 1e-9 <= np.linalg.norm(high - low) <= 0.3 + 1e-9
        np.testing.assert_allclose(low + high, 0, atol=1e-9)
        again = make(seed)
        np.testing.assert_array_equal(shape.vertices_m, again.vertices_m)
        assert shape.name == again.name


def test_families_share_no_kind_and_seeds_differ():
    assert not set(shapes.TRAINING_KINDS) & set(shapes.HELD_OUT_KINDS)
    assert not set(shapes.TRAINING_KINDS.values()) & set(shapes.HELD_OUT_KINDS.values())
    kinds = len(shapes.TRAINING_KINDS)
    assert not np.array_equal(shapes.training(0).vertices_m, shapes.training(kinds).vertices_m)
    assert len(shapes.training_set(5)) == 5 and len({s.name for s in shapes.held_out_set(20)}) == 20


def test_polycubes_leave_inner_faces_out():
    vertices, faces = shapes.polycubes([(0, 0, 0), (1, 0, 0)], (1, 1, 1))
    assert len(faces) == 20 and len(vertices) == 12


def test_surface_samples_are_even_by_area():
    vertices, faces = shapes.polycubes([(0, 0, 0)], (1.0, 1.0, 3.0))
    points = shapes.sample_surface(vertices, faces, 7000)
    on_ends = (np.abs(points[:, 2]) < 1e-9) | (np.abs(points[:, 2] - 3) < 1e-9)
    assert on_ends.mean() == pytest.approx(2 / 14, abs=0.01)


@pytest.mark.parametrize("true, twin", shapes.chiral_parts(), ids=lambda s: s.name)
def test_no_turn_brings_the_mirrored_twin_to_the_true_part(true, twin):
    assert edges_close(welded(true)) and volume(true) > 0 and volume(twin) == pytest.approx(volume(true))
    assert shapes.mirror_gap(true, starts=40) > 0.03


def test_a_part_with_a_mirror_plane_has_no_gap():
    assert shapes.mirror_gap(shapes.training(8), starts=80) < 0.03  # an L profile
