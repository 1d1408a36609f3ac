"""Views: reproducible, with correct labels, within their settings."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("open3d")
import trimesh

from pose_node.errors import InputError
from pose_node.geometry import se3
from pose_node.learning import noise, render, shapes, views
from pose_node.learning.chiral_parts import chiral_parts
from pose_node.learning.scene import arced, rolled
from pose_node.learning.view_settings import BENCHMARK, TRAINING, XTION_K, ViewSettings

PART = chiral_parts(0.15)[1][0]
DIAMETER = 0.15
CLEAN = tuple(s(strength=0.0, variation=0.0) for s in (noise.StructuredLight,))


def sampler(settings: ViewSettings = TRAINING, clutter=None) -> views.ViewSampler:
    clutter = shapes.training_set(16) if clutter is None else clutter
    return views.ViewSampler(PART.vertices_m, PART.faces, DIAMETER, np.zeros(3), clutter, settings)


@pytest.fixture(scope="module")
def training() -> views.ViewSampler:
    return sampler()


@pytest.fixture(scope="module")
def benchmark() -> views.ViewSampler:
    return sampler(BENCHMARK, shapes.held_out_set(20))


def test_a_view_follows_from_its_seed(training):
    one, two, other = training.view(3), sampler().view(3), training.view(4)
    for name in (
        "points_m",
        "on_object",
        "object_points_m",
        "T_camera_object",
        "scene_points_m",
        "segment_index",
        "depth_m",
    ):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert not np.array_equal(one.T_camera_object, other.T_camera_object)


def test_the_fields_of_a_view_are_consistent(training):
    for seed in range(20):
        v = training.view(seed)
        np.testing.assert_array_equal(v.scene_points_m[v.segment_index], v.points_m)
        assert len(v.points_m) == len(v.on_object) == len(v.object_points_m)
        assert np.isfinite(v.points_m).all() and (v.points_m[:, 2] > 0).all()
        assert (np.isfinite(v.object_points_m).all(axis=1) == v.on_object).all()
        assert 0.4 <= v.visible_share <= 1.0
        assert np.linalg.det(v.T_camera_object[:3, :3]) == pytest.approx(1.0)
        u, w = (v.K @ v.points_m.T / v.points_m[:, 2])[:2]
        assert (np.abs(u - np.rint(u)) < 1e-3).all() and (np.abs(w - np.rint(w)) < 1e-3).all()
        assert max(v.depth_m.shape) <= TRAINING.max_crop_px + 3


def test_points_on_the_object_are_near_their_true_surface_points(training):
    for seed in range(12):
        v = training.view(seed)
        truth = se3.apply(v.T_camera_object, v.object_points_m[v.on_object])
        off = np.linalg.norm(v.points_m[v.on_object] - truth, axis=1)
        assert np.median(off) < 0.012 and np.quantile(off, 0.99) < 0.05
        # The true points are on the mesh.
        low, high = PART.vertices_m.min(axis=0), PART.vertices_m.max(axis=0)
        inside = v.object_points_m[v.on_object]
        assert (inside >= low - 1e-5).all() and (inside <= high + 1e-5).all()


def test_without_noise_and_clutter_the_segment_is_the_object():
    clean = dataclasses.replace(
        TRAINING,
        sensors=CLEAN,
        clutter_count=(0, 0),
        cluster_share=0,
        cut_share=0,
        mask_error_px=0,
        mesh_error_m=0,
        support_share=0,
    )
    v = sampler(clean, []).view(5)
    assert v.visible_share == 1.0 and v.foreign_share == 0.0 and v.on_object.mean() > 0.99
    truth = se3.apply(v.T_camera_object, v.object_points_m[v.on_object])
    assert np.quantile(np.linalg.norm(v.points_m[v.on_object] - truth, axis=1), 0.95) < 0.004
    # The visible surface comes from the mesh itself.
    samples, _ = trimesh.sample.sample_surface(trimesh.Trimesh(PART.vertices_m, PART.faces), 20000, seed=0)
    near = np.linalg.norm(v.visible_object_m[::50, None] - samples[None], axis=2).min(axis=1)
    assert near.max() < 0.003


def test_benchmark_views_are_within_their_settings(benchmark):
    seen = [benchmark.view(seed) for seed in range(60)]
    shares = np.array([v.visible_share for v in seen])
    assert (shares >= 0.4).all() and np.quantile(shares, 0.2) < 0.75
    assert [v.noise for v in seen[:3]] == ["structured_light", "time_of_flight", "active_stereo"]
    assert all(np.array_equal(v.K, XTION_K) for v in seen)
    assert np.median([v.foreign_share for v in seen]) == pytest.approx(0.2, abs=0.01)
    distance = np.array([np.linalg.norm(v.T_camera_object[:3, 3]) for v in seen])
    assert distance.min() > 0.49 and distance.max() < 1.21


def test_orientations_cover_all_directions(training):
    ways = np.array([training.scene(seed).instances[0].T_camera_object[:3, 2] for seed in range(300)])
    assert np.linalg.norm(ways.mean(axis=0)) < 0.15
    assert np.linalg.eigvalsh(ways.T @ ways / len(ways)).min() > 0.25


def test_the_object_touches_the_support_and_nothing_lies_below_it(training):
    planes = bodies = standing = 0
    for seed in range(40):
        scene = training.scene(seed)
        if scene.plane is None:
            continue
        planes += 1
        for row, i in enumerate(scene.instances):
            vertices = se3.apply(i.T_camera_object, i.scale * i.renderer.vertices_m)
            above = (vertices @ scene.plane.normal).min() - scene.plane.offset_m
            assert above > -1e-9
            standing += above < 1e-9
            assert row > 0 or above < 1e-9
            bodies += 1
        assert scene.plane.normal @ scene.target_m < 0  # seen from above
    assert planes > 20 and standing > 0.6 * bodies


def test_negatives_have_no_points_of_the_object(training):
    for seed in range(12):
        v = training.negative(seed)
        assert v.T_camera_object is None and v.visible_share == 0.0 and not v.on_object.any()
        assert np.isnan(v.object_points_m).all() and len(v.visible_object_m) == 0
    assert np.median([len(training.negative(seed).points_m) for seed in range(12)]) > 300


def test_a_moved_camera_sees_the_same_scene(training):
    for seed in range(6):
        scene = training.scene(seed)
        turn = rolled(0.7)
        one, two = training.view(seed), training.view(seed, turn)
        np.testing.assert_allclose(two.T_camera_object, turn @ one.T_camera_object, atol=1e-12)
        assert two.visible_share == pytest.approx(one.visible_share, abs=0.05)
        arc = arced(scene.target_m, np.radians(15), 0.4)
        np.testing.assert_allclose(se3.apply(arc, scene.target_m[None])[0], scene.target_m, atol=1e-12)
        assert se3.angle(arc[:3, :3]) == pytest.approx(np.radians(15))
        assert np.isfinite(training.view(seed, arc).points_m).all()


def test_a_region_of_the_object_can_be_counted(training):
    v = training.view(1)
    region = v.visible_object_m[:, 0] > 0
    assert 0 < region.sum() < len(region)


def test_settings_that_require_clutter_refuse_none():
    with pytest.raises(InputError, match="clutter"):
        sampler(BENCHMARK, [])
    with pytest.raises(InputError, match="clutter"):
        sampler(TRAINING, []).negative(0)


def test_ids_distinguish_object_clutter_and_support(training):
    ids = np.unique(np.concatenate([training.view(seed).scene_ids for seed in range(15)]))
    assert 0 in ids and render.PLANE in ids and ids.max() >= 1
