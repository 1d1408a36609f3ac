"""Export: ONNX Runtime agrees with torch, or nothing is written."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache, partial

import numpy as np
import onnxruntime
import pytest
import torch

from pose_node.errors import ModelError
from pose_node.learning import export as exporting
from pose_node.learning.checkpoint import CHECKPOINT
from pose_node.learning.export import INPUTS, OUTPUTS, example, export, parity
from pose_node.learning.network import PoseNetwork
from pose_node.learning.train import FACTS
from pose_node.measurement.sampling import CENTRES, POINTS
from pose_node.objects.card import load_card

pytestmark = pytest.mark.learning
LEFT_BEHIND = "pose.onnx.tmp"


@lru_cache
def weights(seed):
    """A network of random weights."""
    torch.manual_seed(seed)
    return PoseNetwork().eval()


def finish_training(folder, seed):
    """The files of a finished run, with random weights."""
    (folder / "training").mkdir(exist_ok=True)
    torch.save({"averaged": weights(seed).state_dict()}, folder / "training" / CHECKPOINT)
    facts = {"training": {"views": 0, "seed": seed}, "meshes_seen": ["hook", "training_box_0"]}
    (folder / "training" / FACTS).write_text(json.dumps(facts))


@pytest.fixture(scope="module")
def exported(hook_card):
    """The folder after one complete export."""
    finish_training(hook_card.folder, 0)
    assert export(hook_card.folder) == hook_card.folder / "pose.onnx"
    return hook_card.folder


def test_the_card_names_the_file_and_its_hash(exported):
    card = load_card(exported)
    facts = card.network
    assert facts["file"] == "pose.onnx"
    assert facts["sha256"] == hashlib.sha256((exported / "pose.onnx").read_bytes()).hexdigest()
    assert facts["opset"] >= 17
    assert (facts["inputs"], facts["outputs"]) == (list(INPUTS), list(OUTPUTS))
    assert (facts["points"], facts["centres"]) == (POINTS, CENTRES)
    assert 0.0 <= facts["parity_max_rel"] <= 1e-4
    assert card.training["views"] == 0
    assert card.meshes_seen == ("hook", "training_box_0")
    assert not (exported / LEFT_BEHIND).exists()


def test_the_file_has_the_opset_of_the_card(exported):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(exported / "pose.onnx"))
    (opset,) = (entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    assert opset == load_card(exported).network["opset"]
    onnx.checker.check_model(model)
    operators = {node.op_type for node in model.graph.node}
    assert not {op for op in operators if op.startswith("Scatter")}, "scatter is slow and is not deterministic on a GPU"


@pytest.mark.parametrize("clouds", [1, 2])
@pytest.mark.parametrize("points", [300, 1024])
@pytest.mark.parametrize("centres", [40, 128])
def test_onnx_runtime_and_torch_agree(exported, clouds, points, centres):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(exported / "pose.onnx"), options, providers=["CPUExecutionProvider"])
    inputs = example(np.random.default_rng(points + centres), clouds, points, centres)
    with torch.no_grad():
        expected = weights(0)(*inputs)
    found = session.run(list(OUTPUTS), {name: value.numpy() for name, value in zip(INPUTS, inputs)})
    for name, a, b in zip(OUTPUTS, expected, found):
        assert b.shape == tuple(a.shape)
        assert np.abs(a.numpy() - b).max() < 1e-5 * max(1.0, float(a.abs().max())), name


def test_parity_detects_other_weights(exported):
    assert parity(weights(0), exported / "pose.onnx", clouds=2) < 1e-5
    assert parity(weights(1), exported / "pose.onnx", clouds=2) > 0.01


def test_parity_of_nan_outputs_is_nan(exported):
    def silent(*inputs):
        return [value * np.nan for value in weights(0)(*inputs)]

    assert np.isnan(parity(silent, exported / "pose.onnx", clouds=1))


def test_a_network_that_differs_is_refused_and_nothing_is_written(exported, monkeypatch):
    """The exporter writes other weights than those given."""
    content, card_text = (exported / "pose.onnx").read_bytes(), (exported / "card.yaml").read_text()
    finish_training(exported, 1)
    try:
        monkeypatch.setattr(exporting, "write_onnx", lambda network, path: path.write_bytes(content))
        monkeypatch.setattr(exporting, "parity", partial(parity, clouds=2))
        with pytest.raises(ModelError, match=r"differs from torch by .*, expected at most 1e-04"):
            export(exported)
    finally:
        finish_training(exported, 0)
    assert (exported / "pose.onnx").read_bytes() == content
    assert (exported / "card.yaml").read_text() == card_text
    assert not (exported / LEFT_BEHIND).exists()


def test_an_exporter_that_fails_leaves_nothing_behind(exported, monkeypatch):
    content, card_text = (exported / "pose.onnx").read_bytes(), (exported / "card.yaml").read_text()

    def write(network, path):
        path.write_bytes(b"half")
        raise RuntimeError("unsupported operator")

    monkeypatch.setattr(exporting, "write_onnx", write)
    with pytest.raises(RuntimeError):
        export(exported)
    assert (exported / "pose.onnx").read_bytes() == content
    assert (exported / "card.yaml").read_text() == card_text
    assert not (exported / LEFT_BEHIND).exists()


@pytest.mark.parametrize("writes", [0, 1, 2])
@pytest.mark.parametrize("failing", ["save_card", "replace", "facts"])
def test_an_interrupted_export_leaves_a_card_with_an_existing_network(exported, monkeypatch, failing, writes):
    """The next export is stopped at its n-th write of the card, at the exchange of the files, or by unreadable facts."""
    finish_training(exported, 0)
    monkeypatch.setattr(exporting, "write_onnx", lambda network, path: path.write_bytes(b"another network %d" % writes))
    monkeypatch.setattr(exporting, "parity", lambda network, path: 0.0)
    before = (exported / "card.yaml").read_bytes()
    true_save, calls = exporting.save_card, []

    def stopped(card):
        calls.append(card)
        if len(calls) > writes:
            raise KeyboardInterrupt
        true_save(card)

    if failing == "save_card":
        monkeypatch.setattr(exporting, "save_card", stopped)
    elif failing == "replace":
        monkeypatch.setattr(exporting.Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    else:
        (exported / "training" / FACTS).write_text('{"training": ')
    try:
        export(exported)
    except (KeyboardInterrupt, OSError, ModelError):
        pass
    monkeypatch.undo()
    card = load_card(exported)
    network = (exported / card.network["file"]).read_bytes()
    assert hashlib.sha256(network).hexdigest() == card.network["sha256"]
    assert len(list(exported.glob("*.onnx*"))) <= 2
    if failing == "facts":
        assert (exported / "card.yaml").read_bytes() == before


def test_export_without_a_finished_training_is_refused(hook_folder):
    with pytest.raises(ModelError, match="no finished training"):
        export(hook_folder)
    finish_training(hook_folder, 0)
    (hook_folder / "training" / FACTS).unlink()
    with pytest.raises(ModelError, match="no finished training"):
        export(hook_folder)
    assert load_card(hook_folder).network is None
    assert not (hook_folder / "pose.onnx").exists()
