"""Refusals when a network is loaded, and the provider that runs it."""

from __future__ import annotations

from dataclasses import replace

import onnxruntime
import pytest

from pose_node.config import InferConfig
from pose_node.errors import ModelError
from pose_node.network.object_network import Network
from pose_node.network.session import open_session, providers


def refusal(card, config=None):
    """The error of loading, which is one sentence."""
    with pytest.raises(ModelError) as caught:
        open_session(card, config or InferConfig())
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith((".", ")")), text
    return text


def test_a_card_without_a_network_is_refused(block):
    assert "names no network" in refusal(replace(block.card, network=None))


def test_a_missing_file_is_refused(block, tmp_path):
    assert "cannot be read" in refusal(replace(block.card, folder=tmp_path))


def test_a_file_with_another_hash_is_refused(block, tmp_path):
    content = bytearray((block.card.folder / "pose.onnx").read_bytes())
    content[-1] ^= 1
    (tmp_path / "pose.onnx").write_bytes(content)
    text = refusal(replace(block.card, folder=tmp_path))
    assert "sha256" in text
    assert str(block.card.network["sha256"])[:12] in text


@pytest.mark.parametrize("content", [b"", b"not a network", b"\x08\x08\x12\x00" * 50])
def test_a_file_that_is_no_network_is_refused(block, tmp_path, content):
    import hashlib

    (tmp_path / "pose.onnx").write_bytes(content)
    facts = {"file": "pose.onnx", "sha256": hashlib.sha256(content).hexdigest()}
    assert "ONNX Runtime cannot load it" in refusal(replace(block.card, folder=tmp_path, network=facts))


@pytest.mark.parametrize(
    ("change", "inputs", "word"),
    [
        (None, ("points", "normals"), "inputs"),
        (None, ("normals", "points", "viewpoint", "centres"), "inputs"),
        ({"spreads": None}, None, "outputs"),
        ({"rotation": (35,)}, None, "rotation coefficients"),
    ],
)
def test_a_network_with_other_inputs_or_outputs_is_refused(block, tmp_path, onnx_writer, change, inputs, word):
    facts = onnx_writer(tmp_path / "pose.onnx", change, inputs)
    text = refusal(replace(block.card, folder=tmp_path, network=facts))
    assert word in text
    assert "expected" in text


def with_providers(monkeypatch, *names):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(names))


def test_a_missing_provider_is_refused(block, monkeypatch):
    with_providers(monkeypatch, "CPUExecutionProvider")
    for provider, missing in (("cuda", "CUDAExecutionProvider"), ("tensorrt", "TensorrtExecutionProvider")):
        text = refusal(block.card, InferConfig(provider=provider))
        assert missing in text and "CPUExecutionProvider" in text


@pytest.mark.parametrize("provider", ["auto", "cpu"])
def test_a_missing_gpu_is_refused_where_it_is_required(block, monkeypatch, provider):
    with_providers(monkeypatch, "CPUExecutionProvider")
    assert "require_gpu" in refusal(block.card, InferConfig(provider=provider, require_gpu=True))


def test_the_best_provider_is_requested(monkeypatch):
    with_providers(monkeypatch, "CUDAExecutionProvider", "CPUExecutionProvider")
    assert providers(InferConfig())[0] == "CUDAExecutionProvider"
    assert providers(InferConfig(require_gpu=True))[0] == "CUDAExecutionProvider"
    assert list(providers(InferConfig(provider="cpu"))) == ["CPUExecutionProvider"]
    with_providers(monkeypatch, "CPUExecutionProvider")
    assert list(providers(InferConfig())) == ["CPUExecutionProvider"]


@pytest.mark.filterwarnings("ignore:Specified provider")
@pytest.mark.parametrize("config", [InferConfig(provider="cuda"), InferConfig(require_gpu=True)])
def test_a_gpu_that_does_not_start_is_refused_where_it_is_required(block, monkeypatch, config):
    """ONNX Runtime then falls back to the CPU without an error; where the GPU was requested that is an error."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine's GPU might start")
    with_providers(monkeypatch, "CUDAExecutionProvider", "CPUExecutionProvider")
    assert "fell back to CPUExecutionProvider" in refusal(block.card, config)
    assert open_session(block.card, InferConfig()).get_providers() == ["CPUExecutionProvider"]


def test_cuda_is_configured_not_to_use_tf32(block, monkeypatch):
    """TF32 would leave three digits of equivariance fewer (benchmarks.providers)."""
    asked, session = {}, onnxruntime.InferenceSession

    def record(content, options, providers, provider_options):
        asked.update(zip(providers, provider_options))
        return session(content, options, providers=["CPUExecutionProvider"])

    with_providers(monkeypatch, "CUDAExecutionProvider", "CPUExecutionProvider")
    monkeypatch.setattr(onnxruntime, "InferenceSession", record)
    open_session(block.card, InferConfig())
    assert asked == {"CUDAExecutionProvider": {"use_tf32": "0"}, "CPUExecutionProvider": {}}


def test_the_network_names_its_provider(block):
    assert Network(block.card, InferConfig()).provider == "CPUExecutionProvider"
