"""Every folder in models/ is whole: one test for each, whatever is added."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from pose_node.config import InferConfig
from pose_node.geometry.symmetry import rotation_error
from pose_node.network.backbone import Backbone, read_card
from pose_node.network.input import prepare
from pose_node.objects.bank import BANK_FILE, load_bank
from pose_node.objects.card import load_card
from pose_node.objects.folders import BACKBONE, SHARED
from pose_node.objects.surface_lookup import SurfaceLookup

MODELS = Path(__file__).resolve().parents[1] / "models"
FOLDERS = sorted(p for p in MODELS.iterdir() if p.is_dir() and not p.name.startswith(".") and p.name not in SHARED)
SHIPPED_BYTES = 2_000_000  # a third of it is the bank


@pytest.fixture(params=FOLDERS, ids=lambda p: p.name)
def folder(request):
    return request.param


def test_there_are_objects():
    assert FOLDERS


def test_the_list_names_every_object():
    text = (MODELS / "README.md").read_text(encoding="utf-8")
    for folder in FOLDERS:
        assert f"[{folder.name}]({folder.name}/)" in text


def test_a_folder_is_whole(folder):
    card = load_card(folder)
    for name in ("README.md", "onboarding.png"):
        assert (folder / name).is_file()
    size = sum(p.stat().st_size for p in folder.iterdir() if p.is_file())
    assert size < SHIPPED_BYTES, f"{folder.name} ships {size} bytes"
    header = card.mesh_path.read_bytes()[:300]
    assert header.startswith(b"ply\nformat binary_little_endian") and b"comment metres" in header


def test_its_surface_covers_it(folder):
    card = load_card(folder)
    points, normals, visible = card.surface.points_m, card.surface.normals, card.surface.visible
    assert points.shape == normals.shape == (8192, 3)
    assert card.surface.view_directions.shape == (642, 3)
    assert visible.shape == (642, 2048)
    assert visible.any(axis=0).mean() > 0.98  # every sample can be seen from somewhere
    assert visible.any(axis=1).all()  # and something from everywhere
    seen_from_behind = visible & (card.surface.view_directions @ normals[:2048].T < -0.25)
    assert seen_from_behind.sum() == 0  # five diameters away, a direction is off by less than that
    # outward: the divergence theorem gives a positive volume, and less than the ball of the same diameter
    volume = np.mean(np.sum((points - card.centre_m) * normals, axis=1))
    assert volume > 0
    reach = np.linalg.norm(points - card.centre_m, axis=1).max()
    assert 0.45 * card.diameter_m < reach < card.diameter_m


def test_its_symmetry_is_a_group(folder):
    symmetry = load_card(folder).symmetry
    assert np.array_equal(symmetry.discrete[0], np.eye(4))
    for a in symmetry.discrete:
        for b in symmetry.discrete:
            apart = np.abs(symmetry.discrete - a @ b).max(axis=(1, 2)).min()
            assert apart < 1e-6 or symmetry.axes, "a product of two symmetries is none of them"
    assert np.all(rotation_error(np.eye(4), symmetry.discrete, symmetry) < 1e-6)


def test_its_centre_stays_where_symmetry_turns_it(folder):
    card = load_card(folder)
    moved = card.symmetry.discrete[:, :3, :3] @ card.centre_m + card.symmetry.discrete[:, :3, 3]
    np.testing.assert_allclose(moved, np.tile(card.centre_m, (len(moved), 1)), atol=1e-5)
    for axis in card.symmetry.axes:
        off = np.cross(card.centre_m - axis.origin_m, axis.direction)
        assert np.linalg.norm(off) < 1e-5


def test_its_confusions_are_no_symmetries(folder):
    card = load_card(folder)
    if len(card.confusions):
        assert np.degrees(rotation_error(np.eye(4), card.confusions, card.symmetry)).min() > 5.0


def test_its_bank_was_made_by_the_shipped_backbone(folder):
    card = load_card(folder)
    bank = load_bank(folder / BANK_FILE)
    assert bank.backbone == read_card(MODELS / BACKBONE)[0]
    assert len(np.unique(bank.views)) > 90
    places_m = bank.places * card.diameter_m + card.centre_m
    assert SurfaceLookup(card.surface, card.diameter_m).distance_bound(places_m).mean() < 0.02 * card.diameter_m


@pytest.mark.skipif(
    "CUDAExecutionProvider" not in onnxruntime.get_available_providers(), reason="needs onnxruntime-gpu and a GPU"
)
def test_the_backbone_says_the_same_on_a_gpu(folder):
    card = load_card(folder)
    prepared = prepare(card.surface.points_m[:2000] + np.array([0.0, 0.0, 1.0]), np.zeros(3), card.diameter_m)
    here, there = (
        Backbone(MODELS / BACKBONE, config).run(prepared)
        for config in (InferConfig(provider="cpu"), InferConfig(provider="cuda", require_gpu=True))
    )
    for name in ("descriptors", "vectors", "quality"):
        expected = getattr(here, name)
        np.testing.assert_allclose(getattr(there, name), expected, atol=1e-4 * np.abs(expected).max(), err_msg=name)
