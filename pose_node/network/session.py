"""Runs a network file. The only import of onnxruntime."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort
from numpy.typing import NDArray

from pose_node.config import InferConfig
from pose_node.errors import ModelError

# CUDA rounds the factors of matrix products to ten bits by default (TF32), which changes the outputs.
_OPTIONS = {"CUDAExecutionProvider": {"use_tf32": "0"}}
_PROVIDERS = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
}


def open_session(
    path: Path,
    sha256: str,
    inputs: Sequence[str],
    outputs: Mapping[str, tuple[int, ...]],
    config: InferConfig,
) -> ort.InferenceSession:
    """ONNX Runtime's session for the network file ``path``.

    sha256: of the file, as its card states. inputs: their names. outputs: {name: last dimensions}.
    Raises ModelError when the file is missing, has another hash or other inputs and outputs than expected, or does not load,
    and when the provider is not available.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}), expected a network.") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise ModelError(f"{path}: found sha256 {digest[:12]}..., expected {sha256[:12]}... as on the card.")
    options = ort.SessionOptions()
    options.intra_op_num_threads = config.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    wanted = providers(config)
    if wanted[0] != "CPUExecutionProvider" and hasattr(ort, "preload_dlls"):
        ort.preload_dlls()  # finds CUDA's libraries where pip installs them
    try:
        session = ort.InferenceSession(
            content, options, providers=list(wanted), provider_options=[_OPTIONS.get(name, {}) for name in wanted]
        )
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        raise ModelError(f"{path}: ONNX Runtime cannot load it ({str(error).splitlines()[0]}).") from error
    # ONNX Runtime falls back silently when a provider's libraries do not load.
    found = session.get_providers()[0]
    if found != wanted[0] and (config.require_gpu or config.provider != "auto"):
        raise ModelError(
            f"infer.provider {config.provider!r}: ONNX Runtime fell back to {found}, expected {wanted[0]}."
        )
    _check_contract(session, path, inputs, outputs)
    return session


def providers(config: InferConfig) -> Sequence[str]:
    """The execution providers to ask for, best first. Raises ModelError when the one that is required is not available."""
    available = ort.get_available_providers()
    wanted = _PROVIDERS.get(config.provider)
    if wanted is None:
        wanted = _PROVIDERS["cuda"] if "CUDAExecutionProvider" in available else _PROVIDERS["cpu"]
    if wanted[0] not in available and config.provider != "auto":
        raise ModelError(
            f"infer.provider {config.provider!r}: found {', '.join(available)}, expected {wanted[0]} among them."
        )
    if config.require_gpu and wanted[0] == "CPUExecutionProvider":
        raise ModelError(f"infer.require_gpu: found only {', '.join(available)}, expected a GPU provider.")
    return wanted


def _check_contract(
    session: ort.InferenceSession, path: Path, inputs: Sequence[str], outputs: Mapping[str, tuple[int, ...]]
) -> None:
    """Raises ModelError when the file has other inputs or outputs than expected."""
    found_inputs = tuple(i.name for i in session.get_inputs())
    found_outputs = {o.name: tuple(o.shape) for o in session.get_outputs()}
    if found_inputs != tuple(inputs) or tuple(found_outputs) != tuple(outputs):
        raise ModelError(
            f"{path}: found inputs {found_inputs} and outputs {tuple(found_outputs)}, "
            f"expected {tuple(inputs)} and {tuple(outputs)}."
        )
    for name, tail in outputs.items():
        if found_outputs[name][len(found_outputs[name]) - len(tail) :] != tail:
            raise ModelError(f"{path}: {name} has shape {found_outputs[name]}, expected it to end in {tail}.")


def run(session: ort.InferenceSession, outputs: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """The ``outputs`` for inputs {name: array}; raises ModelError when the provider fails."""
    try:
        found: list[NDArray[Any]] = session.run(list(outputs), dict(feeds))
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        raise ModelError(f"{session.get_providers()[0]} failed while running ({error}).") from error
    return found
