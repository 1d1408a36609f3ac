"""Runs a network file. The only import of onnxruntime."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort

from pose_node.arrays import Array
from pose_node.config import InferConfig
from pose_node.errors import ModelError
from pose_node.geometry.harmonics import COEFFICIENTS
from pose_node.network.input import Prepared
from pose_node.objects.card import ObjectCard

INPUTS = ("points", "normals", "viewpoint", "centres")
OUTPUTS = ("objectness", "offsets", "frames", "coordinates", "spreads", "centre", "rotation")
# CUDA rounds the factors of matrix products to ten bits by default (TF32), which changes the outputs.
_OPTIONS = {"CUDAExecutionProvider": {"use_tf32": "0"}}
_PROVIDERS = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
}


def open_session(card: ObjectCard, config: InferConfig) -> ort.InferenceSession:
    """ONNX Runtime's session for ``card.network``.

    Raises ModelError when the file is missing, has another hash or other inputs and outputs than expected, or does not load,
    and when the provider is not available.
    """
    if card.network is None:
        raise ModelError(f"{card.name}: the card names no network; train and export the object first.")
    path = card.folder / str(card.network["file"])
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}), expected the exported network.") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != card.network["sha256"]:
        raise ModelError(
            f"{path}: found sha256 {digest[:12]}..., expected {str(card.network['sha256'])[:12]}... as on the card."
        )
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
    _check_contract(session, path.name)
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


def _check_contract(session: ort.InferenceSession, name: str) -> None:
    """Raises ModelError when the file ``name`` has other inputs or outputs than ``INPUTS`` and ``OUTPUTS``."""
    found_inputs = tuple(i.name for i in session.get_inputs())
    found_outputs = {o.name: o.shape for o in session.get_outputs()}
    if found_inputs != INPUTS or tuple(found_outputs) != OUTPUTS:
        raise ModelError(
            f"{name}: found inputs {found_inputs} and outputs {tuple(found_outputs)}, expected {INPUTS} and {OUTPUTS}."
        )
    if found_outputs["rotation"][-1] != COEFFICIENTS:
        raise ModelError(
            f"{name}: found {found_outputs['rotation'][-1]} rotation coefficients, expected {COEFFICIENTS}."
        )


def run(session: ort.InferenceSession, prepared: Prepared, name: str) -> dict[str, Array]:
    """The outputs for one cloud as float64, batch dimension dropped; raises ModelError that names the object ``name``."""
    feeds = {key: np.asarray(value)[None] for key, value in zip(INPUTS, prepared.inputs())}
    try:
        outputs: list[Any] = session.run(list(OUTPUTS), feeds)
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        provider = session.get_providers()[0]
        raise ModelError(f"{name}: {provider} failed while running ({error}).") from error
    return {key: value[0].astype(np.float64) for key, value in zip(OUTPUTS, outputs)}
