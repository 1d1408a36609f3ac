"""Short trainings of the backbone: a resumed run ends with the same bytes, and wrong settings are refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import yaml

from pose_node.errors import InputError, ModelError
from pose_node.learning import backbone_views
from pose_node.learning import train_backbone as training
from pose_node.learning.checkpoint import CHECKPOINT
from pose_node.learning.export_backbone import export_backbone
from pose_node.learning.train_backbone import FACTS, BackboneRecipe, train_backbone

pytestmark = pytest.mark.learning
TINY = BackboneRecipe(samples=4, shapes=12, batch=1, warm_up=2, save_every=2)


@pytest.fixture(autouse=True)
def few_held_out(monkeypatch):
    monkeypatch.setattr(training, "_HELD_OUT", 8)
    monkeypatch.setattr(backbone_views, "_CLUTTER", 6)


class Killed(Exception):
    """Stands for a power failure."""


def weights(folder):
    return torch.load(folder / "training" / CHECKPOINT, weights_only=True)["averaged"]


def test_an_interrupted_and_resumed_run_ends_with_the_same_bytes(tmp_path, monkeypatch):
    train_backbone(tmp_path / "whole", TINY, workers=0)
    true_total, calls = training.total, []

    def total(parts):
        calls.append(parts)
        if len(calls) == 4:
            raise Killed
        return true_total(parts)

    monkeypatch.setattr(training, "total", total)
    with pytest.raises(Killed):
        train_backbone(tmp_path / "cut", TINY, workers=0)
    monkeypatch.setattr(training, "total", true_total)
    train_backbone(tmp_path / "cut", TINY, workers=0)
    whole, cut = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(whole[k], cut[k]) for k in whole)
    log = json.loads((tmp_path / "cut" / "training" / "log.json").read_text())
    assert [entry["step"] for entry in log] == [2, 4]
    assert list((tmp_path / "cut" / "training" / "tensorboard").iterdir())

    path = export_backbone(tmp_path / "cut")
    card = yaml.safe_load((tmp_path / "cut" / "card.yaml").read_text())
    assert path.stat().st_size < 3e6
    assert card["network"]["parity_max_rel"] < 1e-4
    assert card["meshes_seen"] == ["12 procedural shapes"]


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path):
    train_backbone(tmp_path, replace(TINY, samples=2), workers=0)
    with pytest.raises(ModelError, match="--restart"):
        train_backbone(tmp_path, replace(TINY, samples=2, seed=1), workers=0)


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"shapes": 0}, {"seed": -1}])
def test_invalid_recipes_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        replace(TINY, **wrong)


def test_an_unknown_device_and_a_folder_without_meshes_are_refused(tmp_path):
    with pytest.raises(InputError, match="device"):
        train_backbone(tmp_path, TINY, device="abacus")
    with pytest.raises(InputError, match="meshes"):
        train_backbone(tmp_path, TINY, meshes=tmp_path)
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="GPU"):
            train_backbone(tmp_path, TINY, device="cuda")


def test_export_without_a_finished_training_is_refused(tmp_path):
    with pytest.raises(ModelError, match="train-backbone"):
        export_backbone(tmp_path)


def test_two_processes_of_torchrun_learn_together(tmp_path):
    code = (
        "from pose_node.learning import backbone_views, train_backbone as t\n"
        "t._HELD_OUT, backbone_views._CLUTTER = 8, 6\n"
        f"t.train_backbone({str(tmp_path)!r}, t.BackboneRecipe(samples=4, shapes=12, batch=2, warm_up=2), workers=0)\n"
    )
    script = tmp_path / "learn.py"
    script.write_text(code)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(script)]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads((tmp_path / "training" / FACTS).read_text())["processes"] == 2
