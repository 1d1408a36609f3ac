"""Train the network of an object folder: views rendered during training, checkpoints, exact resumption."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from pose_node.errors import InputError, ModelError
from pose_node.geometry.harmonics import rotation_basis
from pose_node.geometry.symmetry import rotation_grid
from pose_node.learning import shapes
from pose_node.learning.checkpoint import CHECKPOINT, read_checkpoint, save_checkpoint
from pose_node.learning.dataset import Sample, Views, collate
from pose_node.learning.loss import losses, total
from pose_node.learning.mesh import load_mesh
from pose_node.learning.network import PoseNetwork
from pose_node.learning.view_settings import TRAINING
from pose_node.learning.views import ViewSampler
from pose_node.objects.card import ObjectCard, load_card

FACTS = "facts.json"  # written when a run is finished
_GRID = 3000
_HELD_OUT = 96
_HELD_OUT_STREAM = 1
_EMA = 0.998
_CLUTTER_SHAPES = 40


@dataclass(frozen=True)
class Recipe:
    """Settings of a run; a resumed run must have the same."""

    views: int = 16_000
    batch: int = 16
    learning_rate: float = 3e-3
    warm_up: int = 50
    seed: int = 0
    save_every: int = 100  # steps

    def __post_init__(self) -> None:
        """Raises InputError for less than one step and for an invalid seed."""
        if self.views < self.batch:
            raise InputError(f"views: found {self.views}, expected at least {self.batch}, which is one step.")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed: found {self.seed}, expected 0 to {2**32 - 1}.")


def train(folder: str | Path, recipe: Recipe = Recipe(), resume: bool = True, workers: int = 1) -> Path:
    """Train ``models/<name>``; returns the path of the checkpoint, ``training/checkpoint.pt``, with the log beside it.

    workers: processes that render; 0 renders in this process, between the steps.
    Raises CardError for an incomplete folder, InputError for ``workers`` below 0, ModelError for an invalid checkpoint or
    one of another recipe.
    """
    if workers < 0:
        raise InputError(f"workers: found {workers}, expected 0 or more.")
    card = load_card(folder)
    out = Path(folder) / "training"
    out.mkdir(exist_ok=True)
    torch.manual_seed(recipe.seed)
    network, averaged = PoseNetwork(), PoseNetwork()
    averaged.load_state_dict(network.state_dict())
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=1e-4)
    state = {"step": 0, "seconds": 0.0, "log": []}
    checkpoint = out / CHECKPOINT
    if resume and checkpoint.exists():
        state = _restore(checkpoint, recipe, network, averaged, optimizer)

    clutter = clutter_meshes(card, recipe.seed)
    views, held_out = datasets(card, clutter, recipe)
    steps = recipe.views // recipe.batch
    grid = torch.tensor(rotation_basis(rotation_grid(_GRID)), dtype=torch.float32)
    remaining = Subset(views, range(state["step"] * recipe.batch, steps * recipe.batch))
    worker_options = {"prefetch_factor": 4, "multiprocessing_context": "spawn"} if workers else {}
    loader = DataLoader(remaining, recipe.batch, collate_fn=collate, num_workers=workers, **worker_options)
    (out / FACTS).unlink(missing_ok=True)  # those of an earlier run are not valid for this one
    started = time.monotonic() - state["seconds"]
    held_out_batch: list[Sample] = []
    with (
        tqdm(total=recipe.views, initial=state["step"] * recipe.batch, unit="view", desc=card.name) as bar,
        one_thread(),
    ):
        for batch in loader:
            step = state["step"]
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * schedule(step, steps, recipe.warm_up)
            network.train()
            parts = losses(network(batch.points, batch.normals, batch.viewpoint, batch.centres), batch.truth, grid)
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
            bar.update(recipe.batch)
            bar.set_postfix(loss=f"{loss.item():.2f}", held_out=state["log"][-1]["turn_deg"] if state["log"] else "-")
            if state["step"] % recipe.save_every == 0 or state["step"] == steps:
                if not held_out_batch:
                    thirds = np.array_split(np.arange(len(held_out)), 3)
                    held_out_batch = [collate([held_out[int(i)] for i in third]) for third in thirds]
                entry = {"step": state["step"], **{k: round(v.item(), 4) for k, v in parts.items()}}
                entry.update(evaluate(averaged, held_out_batch))
                state["log"].append(entry)
                state["seconds"] = time.monotonic() - started
                _save(checkpoint, recipe, network, averaged, optimizer, state)
                (out / "log.json").write_text(json.dumps(state["log"], indent=1) + "\n")
    facts = {
        "views": recipe.views,
        "seed": recipe.seed,
        "minutes": round(state["seconds"] / 60, 1),
        "torch": torch.__version__.split("+")[0],
        "noise": "structured light, time of flight, stereo",
        "held_out": {k: v for k, v in state["log"][-1].items() if k in ("turn_deg", "centre_rel", "coordinates_rel")},
    }
    (out / FACTS).write_text(
        json.dumps({"training": facts, "meshes_seen": [card.name, *(c.name for c in clutter)]}, indent=1) + "\n"
    )
    return checkpoint


def clutter_meshes(card: ObjectCard, seed: int) -> list[shapes.Shape]:
    """Procedural shapes, and the meshes of the other objects in the same models folder."""
    found = shapes.training_set(_CLUTTER_SHAPES, first_seed=1000 * seed)
    for folder in sorted(card.folder.parent.glob("*/card.yaml")):
        if folder.parent.name != card.name:
            mesh = load_mesh(folder.parent / "mesh.ply", units="m")
            found.append(shapes.Shape(folder.parent.name, np.asarray(mesh.vertices_m), np.asarray(mesh.faces)))
    return found


def datasets(card: ObjectCard, clutter: Sequence[shapes.Shape], recipe: Recipe) -> tuple[Views, Views]:
    """Training views, and held-out views with clutter of other kinds."""
    mesh = load_mesh(card.mesh_path, units="m")
    body = (np.asarray(mesh.vertices_m), np.asarray(mesh.faces))
    training = ViewSampler(*body, card.diameter_m, card.centre_m, clutter, TRAINING)
    held_out = ViewSampler(
        *body, card.diameter_m, card.centre_m, shapes.held_out_set(first_seed=1000 * recipe.seed), TRAINING
    )
    return (
        Views(card, training, recipe.views, recipe.seed),
        Views(card, held_out, _HELD_OUT, recipe.seed, stream=_HELD_OUT_STREAM),
    )


def schedule(step: int, steps: int, warm_up: int) -> float:
    """Share of the learning rate: linear warm-up, then cosine decay to one hundredth."""
    if step < warm_up:
        return (step + 1) / warm_up
    done = (step - warm_up) / max(1, steps - warm_up)
    return 0.01 + 0.99 * 0.5 * (1.0 + float(np.cos(np.pi * done)))


@torch.no_grad()
def evaluate(network: PoseNetwork, batches: list[Sample]) -> dict[str, float]:
    """Medians on held-out views: rotation error of the frames in degrees, centre and coordinate errors in diameters."""
    network.eval()
    turns, centres, coordinates = [], [], []
    for batch in batches:
        _, _, frames, found, _, centre, _ = network(batch.points, batch.normals, batch.viewpoint, batch.centres)
        on = batch.truth.on_object * batch.truth.present[:, None]
        present = batch.truth.present > 0
        centres.append((centre - batch.truth.centre).norm(dim=-1)[present])
        miss = (found.unsqueeze(1) - batch.truth.coordinates).norm(dim=-1)
        coordinates.append(((miss * on[:, None]).sum(-1) / on.sum(-1).clamp(min=1)[:, None]).amin(1)[present])
        unit = torch.nn.functional.normalize(frames, dim=-1)
        cosine = (unit.unsqueeze(1) * batch.truth.frames.unsqueeze(2)).sum(-1).clamp(-1, 1)
        turn = torch.rad2deg(torch.acos(cosine)).mean(-1).amin(1)
        turns.append(turn[on > 0])
    return {
        "turn_deg": round(float(torch.cat(turns).median()), 2),
        "centre_rel": round(float(torch.cat(centres).median()), 4),
        "coordinates_rel": round(float(torch.cat(coordinates).median()), 4),
    }


@contextmanager
def one_thread() -> Iterator[None]:
    """Limits torch to one thread, since other cores render; restores the number of threads afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _save(
    path: Path, recipe: Recipe, network: PoseNetwork, averaged: PoseNetwork, optimizer: Any, state: dict[str, Any]
) -> None:
    content = {
        "recipe": vars(recipe),
        "network": network.state_dict(),
        "averaged": averaged.state_dict(),
        "optimizer": optimizer.state_dict(),
        "state": state,
    }
    save_checkpoint(path, content)


def _restore(path: Path, recipe: Recipe, network: PoseNetwork, averaged: PoseNetwork, optimizer: Any) -> dict[str, Any]:
    def use(content: dict[str, Any]) -> dict[str, Any]:
        if content["recipe"] != vars(recipe):
            raise ModelError(
                f"{path}: found a checkpoint of {content['recipe']}, expected {vars(recipe)}; pass --restart to start over."
            )
        network.load_state_dict(content["network"])
        averaged.load_state_dict(content["averaged"])
        optimizer.load_state_dict(content["optimizer"])
        return {
            "step": int(content["state"]["step"]),
            "seconds": float(content["state"]["seconds"]),
            "log": list(content["state"]["log"]),
        }

    state: dict[str, Any] = read_checkpoint(path, use)
    return state
