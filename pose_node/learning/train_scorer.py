"""``pose_node train-scorer``: rendered cases, training with exact resumption, calibration on other kinds of shapes, export."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn
from tqdm import tqdm

from pose_node.arrays import Array, Indices
from pose_node.errors import InputError, ModelError
from pose_node.learning import shapes
from pose_node.learning.checkpoint import CHECKPOINT, read_checkpoint, save_checkpoint
from pose_node.learning.mesh import SUFFIXES
from pose_node.learning.onnx_file import OPSET, write_onnx
from pose_node.learning.scorer_augmentation import eroded, rescaled, thinned
from pose_node.learning.scorer_cache import cases
from pose_node.learning.scorer_cases import Pool
from pose_node.learning.scorer_data import PoseData, pose_data
from pose_node.learning.scorer_network import ScorerNetwork
from pose_node.learning.training_steps import one_thread, schedule
from pose_node.network.scorer import INPUTS, OUTPUTS, SCORER_FILE
from pose_node.objects.card import CARD_FILE

_HELD_OUT_SEED = 500_000  # first of the shapes that calibrate
_WARM_UP = 100
_CHOICE = 0.3  # weight of the loss of choosing among the poses of a group, beside that of each pose by itself
_OTHERS = 0.1  # share of the calibration's weight of masks and boxes with the name of another object
_PARITY = 1e-4


@dataclass(frozen=True)
class Recipe:
    """Settings of a run; a resumed run must have the same.

    scenes, held_out_scenes: rendered to train and to calibrate; shapes, held_out_shapes: procedural objects in them.
    steps, groups: of the optimizer, and poses of how many segments a step.
    """

    scenes: int = 600
    held_out_scenes: int = 200
    shapes: int = 200
    held_out_shapes: int = 60
    steps: int = 6000
    groups: int = 16
    learning_rate: float = 4e-3
    seed: int = 0
    save_every: int = 500

    def __post_init__(self) -> None:
        """Raises InputError for numbers of scenes, shapes or steps below one."""
        for name, value in asdict(self).items():
            if name != "seed" and not value > 0:
                raise InputError(f"{name}: found {value}, expected more than 0.")


def train_scorer(
    folder: str | Path, recipe: Recipe = Recipe(), meshes: Sequence[Path] = (), resume: bool = True
) -> Path:
    """Train the scorer of ``folder`` (models/scorer) and write ``scorer.onnx`` with its card; returns the network's path.

    meshes: folders of further meshes in millimetres. Scenes, surfaces and the checkpoint stay in ``folder/training``.
    Raises InputError for a folder without meshes, MeshError for an unreadable mesh, ModelError for an invalid checkpoint or one
    of another recipe, or when ONNX Runtime and torch differ.
    """
    folder = Path(folder)
    out = folder / "training"
    out.mkdir(parents=True, exist_ok=True)
    files = _mesh_files(meshes)
    pools = {
        "training": Pool(out / "surfaces", shapes.training, recipe.shapes, files, 1000 * recipe.seed),
        "held_out": Pool(out / "surfaces", shapes.held_out, recipe.held_out_shapes, (), _HELD_OUT_SEED),
    }
    counts = {"training": recipe.scenes, "held_out": recipe.held_out_scenes}
    data = {name: pose_data(cases(pool, out / name, counts[name], recipe.seed), pool) for name, pool in pools.items()}
    with one_thread():
        network, log = _fit(out, recipe, data["training"], data["held_out"], resume)
        network.calibration.copy_(torch.tensor(calibrate(network, data["held_out"])))
    facts = {
        "recipe": asdict(recipe),
        "meshes_seen": ["procedural shapes", *(path.stem for path in files)],
        "held_out": {**log[-1], **figures(network, data["held_out"])},
        "poses": len(data["training"]),
        "torch": torch.__version__.split("+")[0],
    }
    return export_scorer(network, folder, facts)


def _mesh_files(folders: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for folder in folders:
        here = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES)
        if not here:
            raise InputError(
                f"--meshes: found no mesh in {folder}, expected a folder with {', '.join(SUFFIXES)} files."
            )
        found += here
    return found


def _fit(
    out: Path, recipe: Recipe, data: PoseData, held_out: PoseData, resume: bool
) -> tuple[ScorerNetwork, list[dict[str, float]]]:
    """The network after ``recipe.steps`` steps, from the checkpoint in ``out`` where it exists; and the log."""
    torch.manual_seed(recipe.seed)
    network = ScorerNetwork()
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=1e-3)
    state: dict[str, Any] = {"step": 0, "log": []}
    checkpoint = out / CHECKPOINT
    if resume and checkpoint.exists():
        state = _restore(checkpoint, recipe, network, optimizer)
    groups = [np.flatnonzero(data.group == g) for g in np.unique(data.group)]
    with tqdm(total=recipe.steps, initial=state["step"], unit="step", desc="scorer") as bar:
        for step in range(state["step"], recipe.steps):
            for entry in optimizer.param_groups:
                entry["lr"] = recipe.learning_rate * schedule(step, recipe.steps, _WARM_UP)
            rng = np.random.default_rng([recipe.seed, step])  # of this step alone, so that a run resumes exactly
            loss = _loss(network, data, [groups[i] for i in rng.choice(len(groups), recipe.groups)], rng)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 2.0)
            optimizer.step()
            bar.update()
            if (step + 1) % recipe.save_every == 0 or step + 1 == recipe.steps:
                entry = {"step": step + 1, "loss": round(loss.item(), 4), **figures(network, held_out)}
                state = {"step": step + 1, "log": [*state["log"], entry]}
                content = {"recipe": asdict(recipe), "network": network.state_dict()}
                save_checkpoint(checkpoint, {**content, "optimizer": optimizer.state_dict(), "state": state})
                (out / "log.json").write_text(json.dumps(state["log"], indent=1) + "\n")
                bar.set_postfix(held_out=entry["nats"])
    return network, state["log"]


def _restore(path: Path, recipe: Recipe, network: ScorerNetwork, optimizer: Any) -> dict[str, Any]:
    def use(content: dict[str, Any]) -> dict[str, Any]:
        if content["recipe"] != asdict(recipe):
            raise ModelError(
                f"{path}: found a checkpoint of {content['recipe']}, expected {asdict(recipe)}; pass --restart to start over."
            )
        network.load_state_dict(content["network"])
        optimizer.load_state_dict(content["optimizer"])
        return {"step": int(content["state"]["step"]), "log": list(content["state"]["log"])}

    state: dict[str, Any] = read_checkpoint(path, use)
    return state


def _loss(network: ScorerNetwork, data: PoseData, groups: Sequence[Indices], rng: np.random.Generator) -> Tensor:
    """Each pose by itself (cross-entropy), and the right ones against the others of their group."""
    rows = np.concatenate(groups)
    sizes = [len(g) for g in groups]
    samples, weight, points = thinned(data.samples[rows], data.weight[rows], data.points[rows], rng)
    samples, points = rescaled(eroded(samples, sizes, rng), points, sizes, rng)
    seen = (samples, weight, points)
    log_odds = network(*_tensors(*seen, data.context[rows]))
    right = torch.from_numpy(data.right[rows])
    loss = nn.functional.binary_cross_entropy_with_logits(log_odds, right.float())
    parts = zip(log_odds.split([len(g) for g in groups]), right.split([len(g) for g in groups]))
    choices = [each.logsumexp(0) - each[ok].logsumexp(0) for each, ok in parts if ok.any() and not ok.all()]
    return loss + _CHOICE * torch.stack(choices).mean() if choices else loss


def _tensors(samples: Array, weight: Array, points: Array, context: Array) -> tuple[Tensor, ...]:
    """The inputs of ``ScorerNetwork.forward``, without matches."""
    x, w, y, c = (torch.from_numpy(np.ascontiguousarray(a, np.float32)) for a in (samples, weight, points, context))
    return x, w, y, torch.zeros(len(c), 1, 3), torch.zeros(len(c), 1), c


@torch.no_grad()
def log_odds_of(network: ScorerNetwork, data: PoseData) -> Array:
    """[N] of all rows."""
    parts = np.array_split(np.arange(len(data)), max(len(data) // 512, 1))
    inputs = (_tensors(data.samples[i], data.weight[i], data.points[i], data.context[i]) for i in parts)
    return np.concatenate([network(*each).double().numpy() for each in inputs])


def winners(data: PoseData, log_odds: Array) -> Indices:
    """The row of the best refined pose of each group."""
    rows = np.flatnonzero(data.refined)
    order = rows[np.lexsort((-log_odds[rows], data.group[rows]))]
    return order[np.unique(data.group[order], return_index=True)[1]]


def calibrate(network: ScorerNetwork, data: PoseData) -> tuple[float, float]:
    """Factor and offset of log-odds that suit the winners of the groups best.

    A winner is more often right by luck than it seems, and who asks for an object has mostly seen it: groups of other objects
    than the true one count for one in ten.
    """
    log_odds = log_odds_of(network, data)
    rows = winners(data, log_odds)
    x, right = torch.from_numpy(log_odds[rows]), torch.from_numpy(data.right[rows]).double()
    same = data.same[rows]
    weight = torch.from_numpy(np.where(same, 1.0, _OTHERS / (1.0 - _OTHERS) * same.sum() / max((~same).sum(), 1)))
    found = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([found], max_iter=100)

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = nn.functional.binary_cross_entropy_with_logits(found[0] * x + found[1], right, weight)
        value.backward()
        return value

    optimizer.step(loss)
    factor, offset = (float(v) for v in found.detach())
    return factor, offset


def figures(network: ScorerNetwork, data: PoseData) -> dict[str, float]:
    """nats: cross-entropy of a pose; chosen, any: share of the true objects' groups whose winner, or any refined pose, is right;
    wrong_accepted: share of the other groups' wrong winners above one half; calibration_error: of the winners, in ten bins."""
    log_odds = log_odds_of(network, data)
    nats = np.mean(np.logaddexp(0.0, log_odds) - data.right * log_odds)
    rows = winners(data, log_odds)
    chance, right, same = 0.5 + 0.5 * np.tanh(0.5 * log_odds[rows]), data.right[rows], data.same[rows]
    any_right = np.array([data.right[(data.group == g) & data.refined].any() for g in data.group[rows]])
    which = np.clip((10.0 * chance).astype(int), 0, 9)
    apart = [abs((chance - right)[which == b].sum()) for b in range(10)]
    values = {
        "nats": nats,
        "chosen": right[same].mean(),
        "any": any_right[same].mean(),
        "wrong_accepted": (chance > 0.5)[~same & ~any_right].mean(),
        "calibration_error": sum(apart) / len(rows),
    }
    return {name: round(float(value), 4) for name, value in values.items()}


def export_scorer(network: ScorerNetwork, folder: Path, facts: dict[str, Any]) -> Path:
    """Write ``scorer.onnx`` and ``card.yaml`` to ``folder``; ModelError when ONNX Runtime and torch differ."""
    import onnxruntime as ort

    network.eval()
    example = _example(np.random.default_rng(0), 3, 40, 30, 5)
    axes = {"samples": {0: "poses", 1: "samples"}, "weight": {0: "poses", 1: "samples"}}
    axes |= {"points": {0: "poses", 1: "points"}, "context": {0: "poses"}, "log_odds": {0: "poses"}}
    axes |= {"matches": {0: "poses", 1: "centres"}, "match_weight": {0: "poses", 1: "centres"}}
    part = folder / f"{SCORER_FILE}.part"
    write_onnx(network, example, INPUTS, tuple(OUTPUTS), axes, part)
    session = ort.InferenceSession(str(part), providers=["CPUExecutionProvider"])
    worst = 0.0
    for seed in range(5):
        inputs = _example(np.random.default_rng(seed), 1 + seed, 50 + 60 * seed, 20 + 50 * seed, 1 + 9 * seed)
        with torch.no_grad():
            expected = network(*inputs).numpy()
        (found,) = session.run(list(OUTPUTS), {k: v.numpy() for k, v in zip(INPUTS, inputs, strict=True)})
        worst = max(worst, float(np.abs(expected - found).max() / np.abs(expected).max().clip(1.0)))
    if not worst <= _PARITY:
        part.unlink()
        raise ModelError(
            f"{folder}: the exported scorer differs from torch by {worst:.1e}, expected at most {_PARITY:.0e}."
        )
    digest = hashlib.sha256(part.read_bytes()).hexdigest()
    card = {"format": 1, "network": {"file": SCORER_FILE, "sha256": digest, "opset": OPSET}, **facts}
    header = "# The scorer of all objects; written by `pose_node train-scorer`.\n"
    (folder / CARD_FILE).write_text(header + yaml.safe_dump(card, sort_keys=False, default_flow_style=None, width=120))
    part.replace(folder / SCORER_FILE)
    return folder / SCORER_FILE


def _example(rng: np.random.Generator, poses: int, samples: int, points: int, centres: int) -> tuple[Tensor, ...]:
    """Inputs of these sizes."""
    weight, match_weight = rng.random((poses, samples)), rng.random((poses, centres))
    arrays = (
        rng.normal(size=(poses, samples, 9)),
        weight / weight.sum(axis=1, keepdims=True),
        rng.normal(size=(poses, points, 6)),
        rng.random((poses, centres, 3)),
        match_weight / match_weight.sum(axis=1, keepdims=True),
        rng.normal(size=(poses, 6)),
    )
    return tuple(torch.tensor(a, dtype=torch.float32) for a in arrays)
