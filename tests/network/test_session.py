"""Refusals when a network is loaded, and the provider that runs it."""

from __future__ import annotations

import hashlib

import onnxruntime
import pytest

from pose_node.config import InferConfig
from pose_node.errors import ModelError
from pose_node.network.backbone import Backbone
from pose_node.network.session import providers


@pytest.fixture
def folder(tmp_path, backbone_writer):
    """A backbone that loads."""
    backbone_writer(tmp_path / "backbone")
    return tmp_path / "backbone"


def refusal(folder, config=None):
    """The error of loading, which is one sentence."""
    with pytest.raises(ModelError) as caught:
        Backbone(folder, config or InferConfig())
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith((".", ")")), text
    return text


def test_a_missing_file_is_refused(folder):
    (folder / "backbone.onnx").unlink()
    assert "backbone.onnx: cannot be read" in refusal(folder)


def test_a_file_with_another_hash_is_refused(folder):
    known = hashlib.sha256((folder / "backbone.onnx").read_bytes()).hexdigest()
    content = bytearray((folder / "backbone.onnx").read_bytes())
    content[-1] ^= 1
    (folder / "backbone.onnx").write_bytes(content)
    text = refusal(folder)
    assert "sha256" in text and known[:12] in text


@pytest.mark.parametrize("content", [b"", b"not a network", b"\x08\x08\x12\x00" * 50])
def test_a_file_that_is_no_network_is_refused(folder, content):
    (folder / "backbone.onnx").write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    (folder / "card.yaml").write_text(f"network: {{sha256: {sha256}, temperature: 0.1}}")
    assert "ONNX Runtime cannot load it" in refusal(folder)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"inputs": ("points", "normals")}, "inputs"),
        ({"inputs": ("normals", "points", "viewpoint", "centres")}, "inputs"),
        ({"outputs": {"descriptors": (32,), "vectors": (8, 3)}}, "outputs"),
        ({"outputs": {"descriptors": (16,), "vectors": (8, 3), "quality": ()}}, "descriptors has shape"),
    ],
)
def test_a_network_with_other_inputs_or_outputs_is_refused(tmp_path, backbone_writer, change, word):
    backbone_writer(tmp_path, **change)
    text = refusal(tmp_path)
    assert word in text
    assert "expected" in text


def with_providers(monkeypatch, *names):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(names))


def test_a_missing_provider_is_refused(folder, monkeypatch):
    with_providers(monkeypatch, "CPUExecutionProvider")
    for provider, missing in (("cuda", "CUDAExecutionProvider"), ("tensorrt", "TensorrtExecutionProvider")):
        text = refusal(folder, InferConfig(provider=provider))
        assert missing in text and "CPUExecutionProvider" in text


@pytest.mark.parametrize("provider", ["auto", "cpu"])
def test_a_missing_gpu_is_refused_where_it_is_required(folder, monkeypatch, provider):
    with_providers(monkeypatch, "CPUExecutionProvider")
    assert "require_gpu" in refusal(folder, InferConfig(provider=provider, require_gpu=True))


def test_the_best_provider_is_requested(monkeypatch):
    with_providers(monkeypatch, "CUDAExecutionProvider", "CPUExecutionProvider")
    assert providers(InferConfig())[0] == "CUDAExecutionProvider"
    assert providers(InferConfig(require_gpu=True))[0] == "CUDAExecutionProvider"
    assert list(providers(InferConfig(provider="cpu"))) == ["CPUExecutionProvider"]
    with_providers(monkeypatch, "CPUExecutionProvider")
    assert list(providers(InferConfig())) == ["CPUExecutionProvider"]


@pytest.mark.filterwarnings("ignore:Specified provider")
@pytest.mark.parametrize("config", [InferConfig(provider="cuda"), InferConfig(require_gpu=True)])
def test_a_gpu_that_does_not_start_is_refused_where_it_is_required(folder, monkeypatch, config):
    """ONNX Runtime then falls back to the CPU without an error; where the GPU was requested that is an error."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine's GPU might start")
    with_providers(monkeypatch, "CUDAExecutionProvider", "CPUExecutionProvider")
    assert "fell back to CPUExecutionProvider" in refusal(folder, config)
    assert Backbone(folder, InferConfig()).session.get_providers() == ["CPUExecutionProvider"]


def test_cuda_is_configured_not_to_use_tf32(folder, monkeypatch):
    """TF32 would leave three digits of equivariance fewer (benchmarks.providers)."""
    asked, session = {}, onnxruntime.InferenceSession

    def record(content, options, providers, provider_options):
        asked.update(zip(providers, provider_options))
        return session(content, options, providers=["CPUExecutionProvider"])

    with_providers(monkeypatch, "CUDAExecutionProvider", "CPUExecutionProvider")
    monkeypatch.setattr(onnxruntime, "InferenceSession", record)
    Backbone(folder, InferConfig())
    assert asked == {"CUDAExecutionProvider": {"use_tf32": "0"}, "CPUExecutionProvider": {}}


def test_it_names_its_provider(folder):
    assert Backbone(folder, InferConfig()).provider == "CPUExecutionProvider"
