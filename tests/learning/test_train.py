"""Short trainings: a resumed run ends with the same bytes, the checkpoint of another recipe is refused."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from pose_node.errors import CardError, InputError, ModelError
from pose_node.learning import train as training
from pose_node.learning.checkpoint import CHECKPOINT
from pose_node.learning.export import export
from pose_node.learning.network import PoseNetwork
from pose_node.learning.train import FACTS, Recipe, clutter_meshes, datasets, schedule, train
from pose_node.objects.card import ObjectCard, load_card, save_card

pytestmark = pytest.mark.learning
TINY = Recipe(views=16, batch=4, warm_up=2, save_every=2)


@pytest.fixture(autouse=True)
def few_held_out(monkeypatch):
    """Few held-out views, and little clutter."""
    monkeypatch.setattr(training, "_HELD_OUT", 6)
    monkeypatch.setattr(training, "_CLUTTER_SHAPES", 6)


class Killed(Exception):
    """Stands for a power failure."""


def killed_in_step(monkeypatch, step):
    """From now on, training ends abruptly in this step (counted from 1), before its weights change."""
    true_total, calls = training.total, []

    def total(parts):
        calls.append(parts)
        if len(calls) == step:
            raise Killed
        return true_total(parts)

    monkeypatch.setattr(training, "total", total)


def contents(folder):
    return torch.load(folder / "training" / CHECKPOINT, weights_only=True)


def same_weights(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_an_interrupted_and_resumed_run_ends_with_the_same_bytes(hook_folder, tmp_path, monkeypatch):
    twin = tmp_path / "elsewhere" / "hook"
    shutil.copytree(hook_folder, twin)
    straight = train(hook_folder, TINY, workers=0)
    assert straight == hook_folder / "training" / CHECKPOINT

    with monkeypatch.context() as patch:
        killed_in_step(patch, 4)  # a step after the checkpoint of step 2: what step 3 did is lost, too
        with pytest.raises(Killed):
            train(twin, TINY, workers=0)
    half = contents(twin)
    assert half["state"]["step"] == 2
    assert not (twin / "training" / FACTS).exists(), "an unfinished run has no facts"
    assert not same_weights(half["network"], contents(hook_folder)["network"])
    train(twin, TINY, workers=0)

    whole, resumed = contents(hook_folder), contents(twin)
    for part in ("network", "averaged"):
        assert same_weights(whole[part], resumed[part]), part
    for one, other in zip(whole["optimizer"]["state"].values(), resumed["optimizer"]["state"].values(), strict=True):
        assert same_weights(one, other)
    assert whole["state"]["log"] == resumed["state"]["log"]
    assert [entry["step"] for entry in whole["state"]["log"]] == [2, 4]


def test_the_files_of_a_run(hook_folder):
    train(hook_folder, replace(TINY, views=8), workers=0)
    out = hook_folder / "training"
    log = json.loads((out / "log.json").read_text())
    assert [entry["step"] for entry in log] == [2]
    assert {"objectness", "coordinates", "frame", "offset", "rotation", "centre"} < set(log[0])
    assert {"turn_deg", "centre_rel", "coordinates_rel"} < set(log[0])
    facts = json.loads((out / FACTS).read_text())
    assert facts["training"]["views"] == 8
    assert set(facts["training"]["held_out"]) == {"turn_deg", "centre_rel", "coordinates_rel"}
    assert facts["meshes_seen"][0] == "hook"
    assert not list(out.glob("*.tmp"))
    saved = contents(hook_folder)
    assert saved["recipe"] == vars(replace(TINY, views=8))
    fresh = PoseNetwork()
    fresh.load_state_dict(saved["averaged"])
    assert not same_weights(saved["averaged"], saved["network"]), "one is the running mean of the other"
    load_card(hook_folder)

    # Run again, it is done already; another recipe is refused; a fresh start takes the facts of the old run away.
    before = (out / CHECKPOINT).read_bytes()
    train(hook_folder, replace(TINY, views=8), workers=0)
    assert (out / CHECKPOINT).read_bytes() == before
    assert (out / FACTS).exists()
    with pytest.raises(ModelError, match=r"'views': 8.*expected.*'views': 12"):
        train(hook_folder, replace(TINY, views=12), workers=0)
    assert (out / CHECKPOINT).read_bytes() == before


def test_the_facts_of_an_earlier_run_are_removed(hook_folder, monkeypatch):
    out = hook_folder / "training"
    out.mkdir()
    (out / FACTS).write_text("{}")
    killed_in_step(monkeypatch, 1)
    with pytest.raises(Killed):
        train(hook_folder, TINY, resume=False, workers=0)
    assert not (out / FACTS).exists()


@pytest.mark.parametrize("views", [-1, 0, 1, 8, 15])
def test_a_run_without_a_step_is_refused(views):
    with pytest.raises(InputError, match=f"views: found {views}, expected at least 16"):
        Recipe(views=views)


def test_invalid_seeds_and_workers_are_refused(hook_folder):
    with pytest.raises(InputError, match="seed: found -1"):
        Recipe(seed=-1)
    with pytest.raises(InputError, match="workers: found -2"):
        train(hook_folder, TINY, workers=-2)


def damaged(kind, whole):
    if kind == "cut short":
        return whole[: len(whole) // 2]
    if kind == "empty":
        return b""
    if kind == "another file":
        return b"solid part\nendsolid part\n"
    values = {"no dictionary": [1, 2], "other keys": {"weights": torch.zeros(3)}, "other shapes": other_shapes(whole)}[
        kind
    ]
    buffer = io.BytesIO()
    torch.save(values, buffer)
    return buffer.getvalue()


def other_shapes(whole):
    content = torch.load(io.BytesIO(whole), weights_only=True)
    for part in ("network", "averaged"):
        content[part] = {name: torch.zeros(3, 2) for name in content[part]}
    return content


@pytest.fixture(scope="module")
def whole_checkpoint():
    network = PoseNetwork()
    optimizer = torch.optim.AdamW(network.parameters())
    buffer = io.BytesIO()
    weights = network.state_dict()
    state = {"step": 2, "seconds": 1.0, "log": []}
    content = {
        "recipe": vars(TINY),
        "network": weights,
        "averaged": weights,
        "optimizer": optimizer.state_dict(),
        "state": state,
    }
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["cut short", "empty", "another file", "no dictionary", "other keys", "other shapes"])
def test_a_damaged_checkpoint_is_refused_by_train_and_export(hook_folder, whole_checkpoint, kind):
    out = hook_folder / "training"
    out.mkdir()
    (out / CHECKPOINT).write_bytes(damaged(kind, whole_checkpoint))
    (out / FACTS).write_text(json.dumps({"training": {}, "meshes_seen": ["hook"]}))
    for work in (lambda: train(hook_folder, TINY, workers=0), lambda: export(hook_folder)):
        with pytest.raises(ModelError, match="train again with --restart") as caught:
            work()
        assert CHECKPOINT in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_without_a_card_is_refused(tmp_path):
    with pytest.raises(CardError):
        train(tmp_path, TINY, workers=0)


def test_the_other_objects_of_the_folder_are_clutter(hook_folder):
    beside = hook_folder.parent / "other"
    beside.mkdir()
    for name in ("mesh.ply", "surface.npz"):
        (beside / name).write_bytes((hook_folder / name).read_bytes())
    card: ObjectCard = load_card(hook_folder)
    save_card(replace(card, name="other", folder=beside, mesh_path=beside / "mesh.ply"))
    names = [shape.name for shape in clutter_meshes(card, seed=0)]
    assert "other" in names
    assert "hook" not in names
    assert len(names) == 6 + 1
    assert names[:6] != [shape.name for shape in clutter_meshes(card, seed=1)][:6]


def test_held_out_views_have_other_seeds_and_clutter(hook_folder):
    card = load_card(hook_folder)
    clutter = clutter_meshes(card, 0)
    views, held_out = datasets(card, clutter, TINY)
    assert (len(views), len(held_out)) == (16, 6)
    assert views.base != held_out.base
    assert abs(views.base - held_out.base) > len(views)
    seen = {body.name for body in views.sampler.scenes.clutter}
    assert seen.isdisjoint(body.name for body in held_out.sampler.scenes.clutter)


def test_the_learning_rate_rises_then_falls():
    shares = [schedule(step, 1000, 50) for step in range(1000)]
    assert shares[0] == pytest.approx(1 / 50)
    assert max(shares) == shares[50] == pytest.approx(1.0)
    assert (np.diff(shares[:51]) >= 0).all()
    assert (np.diff(shares[50:]) <= 0).all()
    assert 0.01 <= shares[-1] < 0.011
    assert schedule(0, 1, 50) > 0


def test_the_number_of_threads_is_restored():
    before = torch.get_num_threads()
    with pytest.raises(Killed), training.one_thread():
        assert torch.get_num_threads() == 1
        raise Killed
    assert torch.get_num_threads() == before
