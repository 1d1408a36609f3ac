"""Distances up to symmetry: as with the group's motions one by one, and vectors turned by the motion that was found."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from pose_node.geometry.se3 import exp_so3, transform
from pose_node.geometry.symmetry import Axis, Symmetry, symmetry_motions
from pose_node.learning.equal_places import EqualPlaces

HALF_TURN = transform(exp_so3(np.array([np.pi, 0.0, 0.0])), np.zeros(3))
UP = Axis(np.array([0.0, 0.0, 1.0]), np.zeros(3))
SYMMETRIES = {
    "none": Symmetry(np.eye(4)[None]),
    "half-turn": Symmetry(np.stack([np.eye(4), HALF_TURN])),
    "cone": Symmetry(np.eye(4)[None], (UP,)),
    "cylinder": Symmetry(np.stack([np.eye(4), HALF_TURN]), (UP,)),
}


def tensor(values):
    return torch.tensor(np.asarray(values), dtype=torch.float32)


def unit(rng, count):
    values = rng.normal(size=(count, 3))
    return values / np.linalg.norm(values, axis=1, keepdims=True)


@pytest.mark.parametrize("name", SYMMETRIES)
def test_distances_are_the_smallest_over_all_motions_that_turn_the_surface_to_the_camera(name, rng):
    places, normals = 0.4 * rng.normal(size=(40, 3)), unit(rng, 40)
    entries, towards = 0.4 * rng.normal(size=(60, 3)), unit(rng, 60)
    pairs = EqualPlaces(SYMMETRIES[name]).pairs(*map(tensor, (places, normals, entries, towards)))
    motions = symmetry_motions(SYMMETRIES[name], 2000)[:, :3, :3]
    moved, turned = places @ motions, normals @ motions  # by the inverses: [K, C, 3]
    apart = np.linalg.norm(moved[:, :, None] - entries, axis=-1)
    if not SYMMETRIES[name].axes:
        facing = np.einsum("kci,ei->kce", turned, towards) > 0
        hidden = np.where(facing.any(0) & ~facing, np.inf, apart)
        np.testing.assert_allclose(pairs.apart, hidden.min(axis=0), atol=1e-5)
        np.testing.assert_array_equal(pairs.facing, facing.any(axis=0))
    else:  # which side faces the camera is asked where the places meet, so distances may be those of another half
        assert (pairs.apart.numpy() >= apart.min(axis=0) - 2e-3).all()
        near = pairs.apart.numpy() < apart.min(axis=0) + 2e-3
        assert near.mean() > (0.99 if name == "cone" else 0.5)


@pytest.mark.parametrize("name", SYMMETRIES)
def test_vectors_turn_with_the_place(name, rng):
    entries, vectors = 0.4 * rng.normal(size=(30, 3)), rng.normal(size=(30, 8, 3))
    motions = symmetry_motions(SYMMETRIES[name], 7)[:, :3, :3]
    S = motions[rng.integers(len(motions), size=30)]
    places, measured = np.einsum("cij,cj->ci", S, entries), vectors @ np.swapaxes(S, 1, 2)
    pairs = EqualPlaces(SYMMETRIES[name]).pairs(*map(tensor, (places, places, entries, entries)))
    rows = torch.arange(30)
    np.testing.assert_allclose(pairs.apart.diagonal(), 0.0, atol=1e-3)
    np.testing.assert_allclose(pairs.turned(tensor(measured), rows), vectors, atol=1e-4)


def test_on_a_ball_only_the_distance_from_its_centre_counts(rng):
    ball = Symmetry(np.eye(4)[None], tuple(Axis(u, np.zeros(3)) for u in np.eye(3)))
    places = 0.5 * unit(rng, 20)
    pairs = EqualPlaces(ball).pairs(*map(tensor, (places, places, 0.3 * unit(rng, 10), unit(rng, 10))))
    np.testing.assert_allclose(pairs.apart, 0.2, atol=1e-5)
