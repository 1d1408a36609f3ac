"""Tuning: measured descriptors that differ from the clean ones in a systematic way are matched again, and vectors turn with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from block import described, ideal_bank

pytest.importorskip("torch")
pytest.importorskip("open3d")

from pose_node.learning.bank_tuning import tune
from pose_node.learning.observation import Observation
from pose_node.network.backbone import Features

VECTORS = np.random.default_rng(6).normal(size=(8, 3))
TEMPERATURE = 0.05


@pytest.fixture(scope="module")
def bank(block):
    """Few entries, all seen from where their surface faces."""
    bank = ideal_bank(block.card, "0" * 64)
    rows = np.arange(0, len(bank.places), 5)
    return replace(
        bank,
        descriptors=bank.descriptors[rows],
        places=bank.places[rows],
        vectors=bank.vectors[rows],
        views=np.arange(len(rows)),
        directions=block.card.surface.normals[rows].astype(np.float32),
    )


def observed(block, rows):
    """What a backbone says whose descriptors of measured places are swapped in pairs."""
    points_m, normals = block.card.surface.points_m[rows], block.card.surface.normals[rows]
    descriptors = described(points_m).reshape(len(rows), 16, 2)[:, :, ::-1].reshape(len(rows), 32)
    features = Features(
        descriptors.astype(np.float32),
        np.tile(VECTORS, (len(rows), 1, 1)).astype(np.float32),
        np.zeros(len(rows), np.float32),
    )
    places = (points_m - block.card.centre_m) / block.card.diameter_m
    return Observation(None, features, np.ones(len(rows), bool), places, normals, np.eye(4), "")


def right(bank, observation):
    best = (observation.features.descriptors @ bank.descriptors.T).argmax(axis=1)
    return (np.linalg.norm(bank.places[best] - observation.places, axis=1) < 0.09).mean()


def test_matches_of_held_out_places_become_right(block, bank):
    learned, held_out = observed(block, np.arange(2048, 4096)), observed(block, np.arange(4096, 4600))
    new = tune(bank, block.card, [[learned]], TEMPERATURE, seed=0, steps=150)
    assert right(bank, held_out) < 0.3 and right(new, held_out) > right(bank, held_out) + 0.3
    np.testing.assert_allclose(np.linalg.norm(new.descriptors, axis=1), 1.0, atol=1e-5)
    np.testing.assert_array_equal(new.places, bank.places)
    again = tune(bank, block.card, [[learned]], TEMPERATURE, seed=0, steps=3)
    assert (
        again.descriptors.tobytes()
        == tune(bank, block.card, [[learned]], TEMPERATURE, seed=0, steps=3).descriptors.tobytes()
    )
