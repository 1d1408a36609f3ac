"""finetune: nothing changes without a gain, all or nothing with one, and one sentence for what cannot be used."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("open3d")

from pose_node.errors import InputError
from pose_node.learning import finetune as module
from pose_node.learning.finetune import FinetuneRecipe, finetune
from pose_node.learning.held_out_figures import Change
from pose_node.measurement.crop import Crop
from pose_node.objects.bank import BANK_FILE, load_bank, save_bank
from pose_node.objects.card import CARD_FILE, load_card

RECIPE = FinetuneRecipe(views=20)


@pytest.fixture(scope="module")
def known(hook_card, backbone_writer):
    """A folder with a hook and a bank of a backbone that describes all places alike."""
    from pose_node.config import InferConfig
    from pose_node.learning.bank_building import build_bank
    from pose_node.learning.mesh import load_mesh
    from pose_node.network.backbone import Backbone

    home = hook_card.folder.parent / "backbone"
    backbone_writer(home)
    mesh = load_mesh(hook_card.mesh_path, units="m")
    bank = build_bank(mesh, hook_card.centre_m, Backbone(home, InferConfig(provider="cpu")), [])
    save_bank(hook_card.folder / BANK_FILE, bank)
    return hook_card.folder


@pytest.fixture
def folder(known, tmp_path):
    shutil.copytree(known.parent, tmp_path / "models")
    return tmp_path / "models" / known.name


@pytest.fixture
def tuned(monkeypatch):
    """Tuning that turns the vectors over, quickly."""
    monkeypatch.setattr(module, "tune", lambda bank, *_: replace(bank, vectors=-bank.vectors - 1.0))


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_without_a_gain_the_folder_keeps_its_bytes(folder):
    before = contents(folder.parent)
    done = finetune(folder, RECIPE, workers=0)
    assert not done.kept and done.reason.startswith("not kept") and contents(folder.parent) == before
    assert done.counts == {"rendered": 10} and not done.card.training
    assert {c.name for c in done.changes["rendered"]} >= {"grade of the first hypothesis", "first hypothesis right"}


def test_a_gain_is_written_with_its_record(folder, tuned, monkeypatch):
    monkeypatch.setattr(module, "changes", lambda *_: [Change("grade", 0.5, 0.9, 0.01, decides=True)])
    before = load_bank(folder / BANK_FILE)
    done = finetune(folder, RECIPE, workers=0)
    assert done.kept and "grade (rendered)" in done.reason
    np.testing.assert_allclose(load_bank(folder / BANK_FILE).vectors, -before.vectors - 1.0, atol=0.01)
    record = load_card(folder).training["finetune"]
    assert record["views"] == 20 and record["held_out"] == {"rendered": {"grade": [0.5, 0.9]}}
    assert {p.name for p in folder.parent.iterdir()} == {"hook", "backbone"}


def test_a_loss_in_the_recording_outweighs_a_gain_elsewhere():
    gain, loss = Change("grade", 0.5, 0.9, 0.01, decides=True), Change("grade", 0.9, 0.5, 0.01, decides=True)
    kept, reason = module._verdict({"rendered": [gain], "recorded": [loss]})
    assert not kept and reason == "not kept: grade (recorded) would lose by more than noise"
    assert not module._verdict({"rendered": [replace(gain, decides=False)]})[0]


@pytest.mark.parametrize("file", [BANK_FILE, CARD_FILE])
def test_stopped_while_writing_the_folder_can_still_be_loaded(folder, tuned, monkeypatch, file):
    """Stopped before the bank is in place: all bytes as before; before the card is: the new bank, which is complete."""
    monkeypatch.setattr(module, "changes", lambda *_: [Change("grade", 0.5, 0.9, 0.01, decides=True)])

    def stop(*_):
        raise KeyboardInterrupt

    before = contents(folder.parent)
    if file == BANK_FILE:
        monkeypatch.setattr(module.os, "replace", stop)
    else:
        monkeypatch.setattr(module, "save_card", stop)
    with pytest.raises(KeyboardInterrupt):
        finetune(folder, RECIPE, workers=0)
    after = contents(folder.parent)
    changed = {path.name for path in before if before[path] != after[path]}
    assert set(before) == set(after) and changed == (set() if file == BANK_FILE else {BANK_FILE})
    load_bank(folder / BANK_FILE), load_card(folder)


def test_too_few_stretches_of_a_recording_are_refused(folder):
    before = contents(folder.parent)
    points_m = np.random.default_rng(0).uniform(-0.05, 0.05, (200, 3)) + np.array([0.0, 0.0, 0.6])
    pose = np.eye(4)
    pose[2, 3] = 0.6
    crops = [Crop(points_m, np.zeros(3), pose, str(k)) for k in range(8)]
    with pytest.raises(InputError, match="demo: found hook in 8 separate stretches, expected at least 9"):
        finetune(folder, RECIPE, crops, "demo", workers=0)
    assert contents(folder.parent) == before


def test_invalid_recipes_are_refused(folder):
    with pytest.raises(InputError, match="--views: found 3"):
        FinetuneRecipe(views=3)
    with pytest.raises(InputError, match="--seed: found -1"):
        FinetuneRecipe(seed=-1)
    with pytest.raises(InputError, match="--workers: found -1"):
        finetune(folder, RECIPE, workers=-1)
