"""Train the backbone: views rendered during training, checkpoints, exact resumption, on a CPU, one GPU or many machines.

With ``torchrun`` each process renders and learns its own part of every batch; gradients are averaged over all of them
(torch's DistributedDataParallel).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from pose_node.errors import InputError, ModelError
from pose_node.learning.backbone import Backbone
from pose_node.learning.backbone_loss import describe, figures, losses, new_backbone, total, wrong_rotations
from pose_node.learning.backbone_views import BackboneViews, Clouds, collate
from pose_node.learning.checkpoint import CHECKPOINT, read_checkpoint, save_checkpoint
from pose_node.learning.memory import keep_freed_memory
from pose_node.learning.mesh import load_mesh
from pose_node.learning.shapes import Shape
from pose_node.learning.training_steps import one_thread, schedule

FACTS = "facts.json"  # written when a run is finished
_EMA = 0.998
_HELD_OUT = 48


@dataclass(frozen=True)
class BackboneRecipe:
    """Settings of a run; a resumed run must have the same.

    samples: of one shape each: two measured and two clean views. shapes: how many procedural shapes they are drawn from.
    batch:   samples in a step, over all processes together.
    """

    samples: int = 30_000
    shapes: int = 6_000
    batch: int = 6
    learning_rate: float = 3e-3
    warm_up: int = 100
    seed: int = 0
    save_every: int = 100  # steps

    def __post_init__(self) -> None:
        """Raises InputError for less than one step, for no shapes, and for an invalid seed."""
        if self.samples < self.batch:
            raise InputError(f"samples: found {self.samples}, expected at least {self.batch}, which is one step.")
        if self.shapes < 1:
            raise InputError(f"shapes: found {self.shapes}, expected at least 1.")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed: found {self.seed}, expected 0 to {2**32 - 1}.")


def train_backbone(
    folder: str | Path,
    recipe: BackboneRecipe = BackboneRecipe(),
    meshes: str | Path | None = None,
    resume: bool = True,
    workers: int = 1,
    device: str = "cpu",
) -> Path:
    """Train in ``folder``/training; returns the path of the checkpoint, with log.json and TensorBoard's scalars beside it.

    meshes:  folder with mesh files in millimetres that are learned besides the procedural shapes.
    workers: processes that render, for each process that learns; 0 renders between the steps.
    device:  "cpu", "cuda" or "cuda:N".
    Raises InputError for invalid arguments, ModelError for an invalid checkpoint or one of another recipe.
    """
    if workers < 0:
        raise InputError(f"workers: found {workers}, expected 0 or more.")
    keep_freed_memory()
    here = _device(device)
    rank, world = _join(here)
    if recipe.batch % world:
        raise InputError(f"batch: found {recipe.batch} for {world} processes, expected a multiple of them.")
    out = Path(folder) / "training"
    out.mkdir(parents=True, exist_ok=True)
    extra = _meshes(meshes)
    network, averaged = new_backbone(recipe.seed).to(here), new_backbone(recipe.seed).to(here)
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=1e-4)
    state: dict[str, Any] = {"step": 0, "seconds": 0.0, "log": []}
    checkpoint = out / CHECKPOINT
    if resume and checkpoint.exists():
        state = _restore(checkpoint, recipe, extra, network, averaged, optimizer)
    model: torch.nn.Module = DistributedDataParallel(network) if world > 1 else network

    steps, share = recipe.samples // recipe.batch, recipe.batch // world
    views = BackboneViews(steps * recipe.batch, recipe.shapes, recipe.seed, extra)
    mine = [s * recipe.batch + rank * share + k for s in range(state["step"], steps) for k in range(share)]
    options = {"prefetch_factor": 4, "multiprocessing_context": "spawn"} if workers else {}
    loader = DataLoader(Subset(views, mine), share, collate_fn=collate, num_workers=workers, **options)
    wrong = wrong_rotations(here)
    held_out: list[Clouds] = []
    (out / FACTS).unlink(missing_ok=True)  # those of an earlier run are not valid for this one
    started = time.monotonic() - state["seconds"]
    with (
        tqdm(total=steps, initial=state["step"], unit="step", desc="backbone", disable=rank > 0) as bar,
        one_thread(),
    ):
        for batch in loader:
            step = state["step"]
            batch = _to(batch, here)
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * schedule(step, steps, recipe.warm_up)
            model.train()
            parts = losses(describe(model, batch, network.log_temperature), batch, wrong)
            loss = total(parts)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            with torch.no_grad():
                decay = min(_EMA, (step + 1) / (step + 10))
                for kept, new in zip(averaged.parameters(), network.parameters(), strict=True):
                    kept.lerp_(new, 1.0 - decay)
            state["step"] = step + 1
            bar.update(1)
            if rank == 0 and (state["step"] % recipe.save_every == 0 or state["step"] == steps):
                held_out = held_out or _held_out(recipe)
                entry = {"step": state["step"], **{k: round(v.item(), 4) for k, v in parts.items()}}
                entry["temperature"] = round(float(averaged.log_temperature.detach().exp()), 4)
                entry.update(_evaluate(averaged, held_out, here))
                state["log"].append(entry)
                state["seconds"] = time.monotonic() - started
                _save(checkpoint, recipe, extra, network, averaged, optimizer, state)
                (out / "log.json").write_text(json.dumps(state["log"], indent=1) + "\n")
                _tensorboard(out, entry)
                bar.set_postfix(loss=f"{loss.item():.2f}", right=entry["match_right"], turn=entry["turn_deg"])
    if rank == 0:
        facts = {
            "recipe": vars(recipe),
            "minutes": round(state["seconds"] / 60, 1),
            "processes": world,
            "device": here.type,
            "torch": torch.__version__.split("+")[0],
            "held_out": {k: state["log"][-1][k] for k in ("match_right", "turn_deg")},
            "meshes_seen": [f"{recipe.shapes} procedural shapes", *(m.name for m in extra)],
        }
        (out / FACTS).write_text(json.dumps(facts, indent=1) + "\n")
    if world > 1:
        distributed.barrier()
    return checkpoint


def is_first_process() -> bool:
    """Whether this process writes the files: the only one, or the first of those that ``torchrun`` started."""
    return int(os.environ.get("RANK", "0")) == 0


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device: found {name!r}, expected cpu, cuda or cuda:N.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device: found {name!r}, but torch finds no GPU; expected cpu.")
    if device.type == "cuda" and device.index is None and "LOCAL_RANK" in os.environ:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return device


def _join(device: torch.device) -> tuple[int, int]:
    """Rank and number of the processes that ``torchrun`` started; 0 and 1 without it."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return 0, 1
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return distributed.get_rank(), distributed.get_world_size()


def _meshes(folder: str | Path | None) -> list[Shape]:
    if folder is None:
        return []
    files = sorted(Path(folder).glob("*.ply"))
    if not files:
        raise InputError(f"meshes: found no .ply file in {folder}, expected meshes in millimetres.")
    meshes = [(path, load_mesh(path, units="mm")) for path in files]
    return [Shape(f"{path.parent.parent.name}/{path.stem}", m.vertices_m, m.faces) for path, m in meshes]


def _held_out(recipe: BackboneRecipe) -> list[Clouds]:
    views = BackboneViews(_HELD_OUT, _HELD_OUT, recipe.seed, held_out=True)
    return [collate([views[i] for i in range(k, k + 8)]) for k in range(0, _HELD_OUT, 8)]


@torch.no_grad()
def _evaluate(network: Backbone, batches: Sequence[Clouds], device: torch.device) -> dict[str, float]:
    network.eval()
    found = [figures(describe(network, b, network.log_temperature), b) for b in (_to(b, device) for b in batches)]
    return {name: round(float(np.mean([f[name] for f in found])), 4) for name in found[0]}


def _to(clouds: Clouds, device: torch.device) -> Clouds:
    return Clouds(*(getattr(clouds, f.name).to(device, non_blocking=True) for f in fields(Clouds)))


def _tensorboard(out: Path, entry: dict[str, float]) -> None:
    from torch.utils.tensorboard import SummaryWriter  # its import takes a second

    with SummaryWriter(str(out / "tensorboard"), filename_suffix=".backbone") as writer:
        for name, value in entry.items():
            if name != "step":
                writer.add_scalar(name, value, entry["step"])


def _save(
    path: Path,
    recipe: BackboneRecipe,
    extra: Sequence[Shape],
    network: Backbone,
    averaged: Backbone,
    optimizer: Any,
    state: dict[str, Any],
) -> None:
    content = {
        "recipe": vars(recipe),
        "meshes": [m.name for m in extra],
        "network": network.state_dict(),
        "averaged": averaged.state_dict(),
        "optimizer": optimizer.state_dict(),
        "state": state,
    }
    save_checkpoint(path, content)


def _restore(
    path: Path, recipe: BackboneRecipe, extra: Sequence[Shape], network: Backbone, averaged: Backbone, optimizer: Any
) -> dict[str, Any]:
    def use(content: dict[str, Any]) -> dict[str, Any]:
        found, expected = (content["recipe"], content["meshes"]), (vars(recipe), [m.name for m in extra])
        if found != expected:
            raise ModelError(
                f"{path}: found a checkpoint of {found}, expected {expected}; pass --restart to start over."
            )
        network.load_state_dict(content["network"])
        averaged.load_state_dict(content["averaged"])
        optimizer.load_state_dict(content["optimizer"])
        return dict(content["state"])

    state: dict[str, Any] = read_checkpoint(path, use)
    return state
