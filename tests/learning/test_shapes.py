"""Procedural meshes are watertight, sized, reproducible and of few faces; the two families share no kind."""

import numpy as np
import pytest

pytest.importorskip("trimesh")
import trimesh

from pose_node.learning import shapes
from pose_node.learning.mesh_building import polycubes

FAMILIES = [(shapes.training, shapes.TRAINING_KINDS), (shapes.held_out, shapes.HELD_OUT_KINDS)]


@pytest.mark.parametrize("make, kinds", FAMILIES, ids=["training", "held_out"])
def test_every_kind_is_watertight_centred_sized_and_reproducible(make, kinds):
    for seed in range(2 * len(kinds)):
        shape = make(seed)
        mesh = trimesh.Trimesh(shape.vertices_m, shape.faces)
        assert np.isfinite(shape.vertices_m).all()
        assert mesh.is_watertight and mesh.is_winding_consistent, shape.name
        assert mesh.volume > 0, f"{shape.name} is wound inward"
        assert len(shape.faces) < 10_000, shape.name
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


def test_some_training_shapes_are_mirrored_and_some_carry_details():
    kinds = len(shapes.TRAINING_KINDS)
    cartons = [shapes.training(list(shapes.TRAINING_KINDS).index("carton") + kinds * i) for i in range(12)]
    bodies = [trimesh.Trimesh(s.vertices_m, s.faces).body_count for s in cartons]
    assert 1 in bodies and max(bodies) > 1


def test_held_out_seeds_keep_their_shapes():
    """Benchmarks render them as clutter: sums of the vertices as the frozen views had them."""
    total = [float(np.abs(shapes.held_out(seed).vertices_m).sum()) for seed in (900000, 900007, 900009)]
    np.testing.assert_allclose(total, [1.1905394940954168, 47.04189306606734, 5.534929399760868], rtol=1e-9)


def test_polycubes_have_no_inner_faces():
    vertices, faces = polycubes([(0, 0, 0), (1, 0, 0)], (1, 1, 1))
    assert len(faces) == 20 and len(vertices) == 12
