"""Weights -> ``pose.onnx``: exported, compared with torch, and only then put in place with its hash on the card."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch

from pose_node.card import load_card, save_card
from pose_node.errors import ModelError
from pose_node.infer import INPUTS, OUTPUTS
from pose_node.learning.network import PoseNetwork
from pose_node.learning.train import CHECKPOINT, FACTS
from pose_node.prepare import CENTRES, POINTS

OPSET = 17
_PARITY_REL = 1e-4


def export(folder: str | Path) -> Path:
    """Export ``models/<name>``'s averaged weights to ``pose.onnx`` and name it on the card.

    Raises ModelError when nothing has been trained, or when ONNX Runtime and torch disagree by more than 1e-4 of an
    output's largest value; then nothing is written.
    """
    folder = Path(folder)
    card = load_card(folder)
    training = folder / "training"
    if not (training / FACTS).exists():
        raise ModelError(f"{folder}: found no finished training, expected one (pose_node train {folder}).")
    network = PoseNetwork()
    network.load_state_dict(torch.load(training / CHECKPOINT, weights_only=True)["averaged"])
    network.eval()
    temporary = folder / "pose.onnx.tmp"
    try:
        write_onnx(network, temporary)
        worst = parity(network, temporary)
        if worst > _PARITY_REL:
            raise ModelError(
                f"{folder}: exported network differs from torch by {worst:.1e}, expected at most {_PARITY_REL:.0e}."
            )
        digest = hashlib.sha256(temporary.read_bytes()).hexdigest()
        temporary.replace(folder / "pose.onnx")
    finally:
        temporary.unlink(missing_ok=True)
    network_facts = {
        "file": "pose.onnx",
        "sha256": digest,
        "opset": OPSET,
        "inputs": list(INPUTS),
        "outputs": list(OUTPUTS),
        "points": POINTS,
        "centres": CENTRES,
        "parity_max_rel": float(f"{worst:.1e}"),
    }
    facts = json.loads((training / FACTS).read_text())
    save_card(replace(card, network=network_facts, training=facts["training"], meshes_seen=tuple(facts["meshes_seen"])))
    return folder / "pose.onnx"


def write_onnx(network: PoseNetwork, path: Path) -> None:
    """Trace the network to ONNX with dynamic numbers of clouds, points and centres."""
    axes = {name: {0: "clouds"} for name in (*INPUTS, *OUTPUTS)}
    for name in ("points", "normals"):
        axes[name][1] = "points"
    for name in ("centres", "objectness", "offsets", "frames", "coordinates", "spreads"):
        axes[name][1] = "centres"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns of the exporter's age
        torch.onnx.export(
            network,
            example(np.random.default_rng(0), 1, POINTS, CENTRES),
            str(path),
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )


def parity(network: PoseNetwork, path: Path, clouds: int = 20) -> float:
    """Largest difference between ONNX Runtime and torch, relative to each output's largest value, over random clouds."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # as on the robot; a pool would only fight torch's
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    worst = 0.0
    for seed in range(clouds):
        rng = np.random.default_rng(seed)
        inputs = example(rng, 1 + seed % 2, int(rng.integers(256, 1500)), int(rng.integers(40, 160)))
        with torch.no_grad():
            expected = network(*inputs)
        found = session.run(list(OUTPUTS), {k: v.numpy() for k, v in zip(INPUTS, inputs, strict=True)})
        for a, b in zip(expected, found, strict=True):
            worst = max(worst, float(np.abs(a.numpy() - b).max() / max(np.abs(a.numpy()).max(), 1e-6)))
    return worst


def example(rng: np.random.Generator, clouds: int, points: int, centres: int) -> tuple[torch.Tensor, ...]:
    """Inputs of those sizes: noisy half-shells seen from outside."""
    n = rng.normal(size=(clouds, points, 3))
    n /= np.linalg.norm(n, axis=-1, keepdims=True)
    n[..., 2] = -np.abs(n[..., 2])
    p = n * 0.4 + rng.normal(size=n.shape) * 0.01
    rows = np.stack([rng.permutation(points)[:centres] for _ in range(clouds)])
    viewpoint = np.tile([0.0, 0.0, -5.0], (clouds, 1))
    return (*(torch.tensor(a, dtype=torch.float32) for a in (p, n, viewpoint)), torch.tensor(rows))
