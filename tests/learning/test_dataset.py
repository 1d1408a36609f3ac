"""Samples: reproducible in any process, with labels consistent with each other and with the points."""

from __future__ import annotations

import multiprocessing
from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pose_node.geometry.harmonics import COEFFICIENTS, rotation_basis
from pose_node.geometry.se3 import exp_so3, transform
from pose_node.geometry.symmetry import Axis, Symmetry
from pose_node.learning import shapes
from pose_node.learning.dataset import Views, collate
from pose_node.learning.mesh import load_mesh
from pose_node.learning.views import ViewSampler
from pose_node.measurement.sampling import CENTRES, POINTS
from pose_node.objects.card import load_card

pytestmark = pytest.mark.learning


def views_of(card, count=40, seed=0, stream=0):
    mesh = load_mesh(card.mesh_path, units="m")
    sampler = ViewSampler(
        mesh.vertices_m, mesh.faces, card.diameter_m, card.centre_m, shapes.training_set(4, first_seed=0)
    )
    return Views(card, sampler, count, seed, stream)


@pytest.fixture(scope="module")
def views(hook_card):
    return views_of(hook_card)


@pytest.fixture(scope="module")
def samples(views):
    return [views[i] for i in range(24)]


def tensors(sample):
    inputs = [sample.points, sample.normals, sample.viewpoint, sample.centres]
    return inputs + [getattr(sample.truth, f.name) for f in fields(sample.truth)]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(tensors(a), tensors(b), strict=True))


def bytes_from(folder, index):
    """The bytes of a sample; runs in another process."""
    return [t.numpy().tobytes() for t in tensors(views_of(load_card(folder))[index])]


def test_a_sample_depends_only_on_seed_stream_and_index(hook_card, views, samples):
    again = views_of(hook_card)
    for i in (7, 2, 7):  # in another order than before
        assert same(samples[i], again[i])
    assert same(samples[3], views_of(hook_card, count=1000)[3]), "the length of a run does not matter"
    for other in (views_of(hook_card, seed=1), views_of(hook_card, stream=1)):
        assert not same(samples[3], other[3])
    assert not same(samples[3], samples[4])
    assert len(views) == 40


def test_another_process_makes_the_same_sample(hook_card, samples):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(bytes_from, (hook_card.folder, 1))
    assert found == [t.numpy().tobytes() for t in tensors(samples[1])]


def test_shapes_and_types(samples):
    s = samples[0]
    assert s.points.shape == s.normals.shape == (POINTS, 3)
    assert (s.viewpoint.shape, s.centres.shape, s.centres.dtype) == ((3,), (CENTRES,), torch.int64)
    t = s.truth
    assert (t.on_object.shape, t.offsets.shape, t.present.shape) == ((CENTRES,), (CENTRES, 3), ())
    assert (t.frames.shape, t.coordinates.shape, t.basis.shape) == ((1, 2, 3), (1, CENTRES, 3), (1, COEFFICIENTS))
    assert all(x.dtype == torch.float32 for x in tensors(s) if x is not s.centres)
    assert all(torch.isfinite(x).all() for s in samples for x in tensors(s))


def test_some_samples_have_no_object(samples):
    absent = [s for s in samples if float(s.truth.present) == 0.0]
    assert 1 <= len(absent) <= 10
    for s in absent:
        assert float(s.truth.on_object.sum()) == 0.0
        assert float(s.points.abs().max()) > 0.0


def test_labels_agree_with_each_other_and_with_the_points(samples, hook_card):
    surface = torch.tensor(
        (hook_card.surface.points_m - hook_card.centre_m) / hook_card.diameter_m, dtype=torch.float32
    )
    present = [s for s in samples if float(s.truth.present) == 1.0]
    assert present
    for s in present:
        t, on = s.truth, s.truth.on_object == 1.0
        centres = s.points[s.centres]
        # A centre plus its offset is the object's centre, for all of them.
        torch.testing.assert_close(centres + t.offsets, t.centre.expand(CENTRES, 3), atol=1e-5, rtol=0.0)
        # Frames are the rows of R^T; the pose maps coordinates to the points.
        x, y = t.frames[0]
        R = torch.stack([x, y, torch.linalg.cross(x, y)], dim=1)
        torch.testing.assert_close(R @ R.T, torch.eye(3), atol=1e-5, rtol=0.0)
        torch.testing.assert_close(t.coordinates[0] @ R.T + t.centre, centres, atol=1e-5, rtol=0.0)
        torch.testing.assert_close(
            t.basis[0], torch.tensor(rotation_basis(R.double().numpy()), dtype=torch.float32), atol=1e-4, rtol=0.0
        )
        # Points labelled as the object are on it, up to noise.
        if on.any():
            miss = torch.cdist(t.coordinates[0][on], surface).min(dim=1).values
            assert float(miss.median()) < 0.06
    assert np.mean([float(s.truth.on_object.mean()) for s in present]) > 0.5


def by_hand(symmetry, T, centre_m=(0.01, -0.02, 0.0)):
    """A sample of random points around an object at T."""
    card = SimpleNamespace(diameter_m=0.2, centre_m=np.asarray(centre_m), symmetry=symmetry)
    points = np.random.default_rng(0).uniform(-0.08, 0.08, (300, 3)) + T[:3, 3]
    view = SimpleNamespace(points_m=points, viewpoint_m=np.zeros(3), T_camera_object=T, on_object=np.ones(300, bool))
    return Views(card, None, 1, seed=0).sample(view)


@pytest.mark.parametrize("kind", ["discrete", "axis"])
def test_every_equal_pose_explains_the_points(kind):
    axis = Axis(np.array([0.0, 0.0, 1.0]), np.array([0.03, 0.01, 0.0]))
    half = transform(np.diag([-1.0, -1.0, 1.0]), np.array([0.06, 0.02, 0.0]))
    symmetry = Symmetry(np.stack([np.eye(4), half])) if kind == "discrete" else Symmetry(np.eye(4)[None], (axis,))
    T = transform(exp_so3(np.array([0.3, 0.9, -0.4])), np.array([0.1, 0.0, 0.8]))
    s = by_hand(symmetry, T)
    t = s.truth
    assert len(t.frames) == (2 if kind == "discrete" else 24)
    for frame, coordinates in zip(t.frames, t.coordinates):
        R = torch.stack([*frame, torch.linalg.cross(*frame)], dim=1)
        moved = coordinates @ R.T
        shift = s.points[s.centres] - moved
        assert float(shift.std(dim=0).max()) < 1e-5, "one translation maps all coordinates to their points"
    # The first one is the pose itself.
    np.testing.assert_allclose(t.frames[0].numpy(), T[:3, :2].T, atol=1e-6)


def test_labels_of_an_unrotated_object():
    symmetry = Symmetry(np.eye(4)[None])
    T = transform(np.eye(3), np.array([0.0, 0.0, 0.8]))
    s = by_hand(symmetry, T)
    assert float(s.truth.centre.norm()) < 0.3
    np.testing.assert_allclose(s.truth.frames[0].numpy(), np.eye(3)[:2], atol=1e-7)


def test_batches_are_stacks(samples):
    batch = collate(samples[:3])
    assert batch.points.shape == (3, POINTS, 3)
    for stacked, *parts in zip(tensors(batch), *(tensors(s) for s in samples[:3])):
        assert torch.equal(stacked, torch.stack(parts))
