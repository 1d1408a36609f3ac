"""The backbone's weights -> ``backbone.onnx``: exported, compared with torch, and only then installed, with its card."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
import yaml

from pose_node.errors import ModelError
from pose_node.learning.backbone import Backbone
from pose_node.learning.checkpoint import CHECKPOINT, read_checkpoint
from pose_node.learning.onnx_file import OPSET, write_onnx
from pose_node.learning.train_backbone import FACTS
from pose_node.measurement.sampling import CENTRES, POINTS
from pose_node.network.backbone import BACKBONE_FILE, INPUTS, OUTPUTS
from pose_node.objects.card import CARD_FILE

_PARITY_REL = 1e-4


def export_backbone(folder: str | Path) -> Path:
    """Export the averaged weights of ``folder``/training to ``folder``/backbone.onnx, and write its card.

    Raises ModelError when there is no finished training, or when ONNX Runtime and torch differ by more than 1e-4 of an
    output's largest value; then nothing is written.
    """
    folder = Path(folder)
    training = folder / "training"
    if not (training / FACTS).exists():
        raise ModelError(f"{folder}: found no finished training, expected one (pose_node train-backbone).")
    network = Backbone()
    read_checkpoint(training / CHECKPOINT, lambda content: network.load_state_dict(content["averaged"]))
    facts = json.loads((training / FACTS).read_text(encoding="utf-8"))
    return install(network, folder, facts)


def install(network: Backbone, folder: Path, facts: dict[str, object]) -> Path:
    """Write ``network`` and its card to ``folder``; facts: what the card says of the training."""
    network.eval()
    temporary = folder / f"{BACKBONE_FILE}.tmp"
    try:
        write_onnx(
            network, example(np.random.default_rng(0), 1, POINTS, CENTRES), INPUTS, tuple(OUTPUTS), _axes(), temporary
        )
        worst = parity(network, temporary)
        if not worst <= _PARITY_REL:
            raise ModelError(
                f"{folder}: the exported network differs from torch by {worst:.1e}, expected at most {_PARITY_REL:.0e}."
            )
        card = {
            "network": {
                "file": BACKBONE_FILE,
                "sha256": hashlib.sha256(temporary.read_bytes()).hexdigest(),
                "opset": OPSET,
                "inputs": list(INPUTS),
                "outputs": list(OUTPUTS),
                "temperature": round(float(network.log_temperature.detach().exp()), 4),
                "parity_max_rel": float(f"{worst:.1e}"),
            },
            **facts,
        }
        temporary.replace(folder / BACKBONE_FILE)
        (folder / CARD_FILE).write_text(yaml.safe_dump(card, sort_keys=False), encoding="utf-8")
    finally:
        temporary.unlink(missing_ok=True)
    return folder / BACKBONE_FILE


def _axes() -> dict[str, dict[int, str]]:
    """Numbers of clouds, points and centres may vary."""
    axes = {name: {0: "clouds"} for name in (*INPUTS, *OUTPUTS)}
    for name in ("points", "normals"):
        axes[name][1] = "points"
    for name in ("centres", *OUTPUTS):
        axes[name][1] = "centres"
    return axes


def parity(network: Backbone, path: Path, clouds: int = 20) -> float:
    """Largest difference between ONNX Runtime and torch, relative to each output's largest value, over random clouds."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # as on the robot, and without competition for torch's threads
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    worst = 0.0
    for seed in range(clouds):
        rng = np.random.default_rng(seed)
        inputs = example(rng, 1 + seed % 2, int(rng.integers(60, 1024)), int(rng.integers(32, 60)))
        with torch.no_grad():
            expected = network(*inputs)
        found = session.run(list(OUTPUTS), {k: v.numpy() for k, v in zip(INPUTS, inputs, strict=True)})
        for a, b in zip(expected, found, strict=True):
            apart = np.abs(a.numpy() - b).max() / max(np.abs(a.numpy()).max(), 1e-6)
            worst = float(np.maximum(worst, apart))  # keeps NaN, unlike max()
    return worst


def example(rng: np.random.Generator, clouds: int, points: int, centres: int) -> tuple[torch.Tensor, ...]:
    """Inputs of these sizes: noisy half-spheres seen from outside."""
    n = rng.normal(size=(clouds, points, 3))
    n /= np.linalg.norm(n, axis=-1, keepdims=True)
    n[..., 2] = -np.abs(n[..., 2])
    p = n * 0.4 + rng.normal(size=n.shape) * 0.01
    rows = np.stack([rng.permutation(points)[:centres] for _ in range(clouds)])
    viewpoint = np.tile([0.0, 0.0, -5.0], (clouds, 1))
    return (*(torch.tensor(a, dtype=torch.float32) for a in (p, n, viewpoint)), torch.tensor(rows))
