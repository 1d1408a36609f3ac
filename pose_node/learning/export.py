"""Weights -> ``pose.onnx``: exported, compared with torch, and only then installed, with its hash on the card."""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch

from pose_node.errors import ModelError
from pose_node.learning.checkpoint import CHECKPOINT, read_checkpoint
from pose_node.learning.network import PoseNetwork
from pose_node.learning.train import FACTS
from pose_node.measurement.sampling import CENTRES, POINTS
from pose_node.objects.card import ObjectCard, load_card, save_card

NETWORK_FILE = "pose.onnx"
INPUTS = ("points", "normals", "viewpoint", "centres")
OUTPUTS = ("objectness", "offsets", "frames", "coordinates", "spreads", "centre", "rotation")
OPSET = 17
_TEMPORARY_PREFIX = "pose-"  # and the hash: the name of the new network while files are replaced
_PARITY_REL = 1e-4


def export(folder: str | Path) -> Path:
    """Export ``models/<name>``'s averaged weights to ``pose.onnx`` and name it on the card.

    Raises ModelError when there is no finished training, or when ONNX Runtime and torch differ by more than 1e-4 of an
    output's largest value; then nothing is written. The card names an existing network even if this is interrupted.
    """
    folder = Path(folder)
    card = load_card(folder)
    training = folder / "training"
    if not (training / FACTS).exists():
        raise ModelError(f"{folder}: found no finished training, expected one (pose_node train {folder}).")
    network = PoseNetwork()
    read_checkpoint(training / CHECKPOINT, lambda content: network.load_state_dict(content["averaged"]))
    network.eval()
    trained, meshes_seen = _facts(training / FACTS)
    temporary = folder / "pose.onnx.tmp"
    try:
        write_onnx(network, temporary)
        worst = parity(network, temporary)
        if not worst <= _PARITY_REL:
            raise ModelError(
                f"{folder}: the exported network differs from torch by {worst:.1e}, expected at most {_PARITY_REL:.0e}."
            )
        network_facts = {
            "file": NETWORK_FILE,
            "sha256": hashlib.sha256(temporary.read_bytes()).hexdigest(),
            "opset": OPSET,
            "inputs": list(INPUTS),
            "outputs": list(OUTPUTS),
            "points": POINTS,
            "centres": CENTRES,
            "parity_max_rel": float(f"{worst:.1e}"),
        }
        _install(temporary, replace(card, network=network_facts, training=trained, meshes_seen=meshes_seen))
    finally:
        temporary.unlink(missing_ok=True)
    return folder / NETWORK_FILE


def _install(network: Path, card: ObjectCard) -> None:
    """Replace the network and the card.

    Two files cannot be replaced at once: the card names a copy of the new network while the old file is replaced.
    """
    facts = dict(card.network or {})
    copy = card.folder / f"{_TEMPORARY_PREFIX}{facts['sha256'][:12]}.onnx"
    shutil.copyfile(network, copy)
    try:
        save_card(replace(card, network={**facts, "file": copy.name}))
        network.replace(card.folder / NETWORK_FILE)
        save_card(card)
    finally:
        in_use = str((load_card(card.folder).network or {}).get("file"))
        for path in card.folder.glob(f"{_TEMPORARY_PREFIX}*.onnx"):
            if path.name != in_use:
                path.unlink()


def _facts(path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The facts that a finished training wrote for the card; ModelError when they cannot be read."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return dict(values["training"]), tuple(map(str, values["meshes_seen"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(
            f"{path}: cannot be read ({type(error).__name__}: {error}), expected a finished training's facts."
        ) from error


def write_onnx(network: PoseNetwork, path: Path) -> None:
    """Trace the network to ONNX with dynamic numbers of clouds, points and centres."""
    axes = {name: {0: "clouds"} for name in (*INPUTS, *OUTPUTS)}
    for name in ("points", "normals"):
        axes[name][1] = "points"
    for name in ("centres", "objectness", "offsets", "frames", "coordinates", "spreads"):
        axes[name][1] = "centres"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns that the exporter is deprecated
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
    options.intra_op_num_threads = 1  # as on the robot, and without competition for torch's threads
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    worst = 0.0
    for seed in range(clouds):
        rng = np.random.default_rng(seed)
        inputs = example(rng, 1 + seed % 2, int(rng.integers(256, 1500)), int(rng.integers(40, 160)))
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
