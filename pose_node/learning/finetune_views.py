"""Rendered views of an object among its look-alikes, as the backbone describes them: what fine-tuning learns from.

Item i depends only on (seed, i), so the number of processes changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader, Dataset

from pose_node.config import InferConfig
from pose_node.learning import shapes
from pose_node.learning.mesh import load_mesh
from pose_node.learning.observation import Observation, observed_view
from pose_node.learning.scene import Body
from pose_node.learning.shapes import Shape
from pose_node.learning.view_settings import TRAINING
from pose_node.learning.views import ViewSampler
from pose_node.network.backbone import Backbone
from pose_node.objects.card import CARD_FILE, MESH_FILE, ObjectCard, load_card
from pose_node.objects.folders import SHARED

OTHERS_EVERY = 5  # one item in so many shows something else than the object
_SHAPES = 30  # procedural ones
_NEIGHBOURS = 15  # other objects of the folder
_STREAM = 1_000_003


class ObservedViews(Dataset):  # type: ignore[type-arg]
    """``count`` observations of the object in a folder; None where a view has too few points.

    Around it lie procedural shapes, the other objects of the models folder, and its own mirror image and distorted copies. One
    item in ``OTHERS_EVERY`` is a segment of one of these. held_out: shapes of other kinds, other copies, other seeds.
    """

    def __init__(self, folder: Path, backbone_folder: Path, count: int, seed: int, held_out: bool = False) -> None:
        self.folder, self.backbone_folder, self.count = folder, backbone_folder, count
        self.seed, self.held_out = seed, held_out

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Observation | None:
        seed = (self.seed * 1000 + int(self.held_out)) * _STREAM + index
        take = self.sampler.negative if index % OTHERS_EVERY == OTHERS_EVERY - 1 else self.sampler.view
        return observed_view(take(seed), self.card, self.backbone)

    @cached_property
    def card(self) -> ObjectCard:
        return load_card(self.folder)

    @cached_property
    def backbone(self) -> Backbone:
        """Opened in the process that uses it."""
        return Backbone(self.backbone_folder, InferConfig(provider="cpu", threads=1))

    @cached_property
    def sampler(self) -> ViewSampler:
        mesh = load_mesh(self.card.mesh_path, units="m")
        shape = Shape(self.card.name, np.asarray(mesh.vertices_m), np.asarray(mesh.faces))
        make = shapes.held_out_set if self.held_out else shapes.training_set
        around = [*make(_SHAPES, 1000 * self.seed), *neighbours(self.folder), *look_alikes(shape, self.held_out)]
        clutter = [Body(*each) for each in around]
        card = self.card
        return ViewSampler(shape.vertices_m, shape.faces, card.diameter_m, card.centre_m, clutter, TRAINING)


def observations(views: ObservedViews, workers: int) -> Iterator[Observation]:
    """All observations of ``views``, in order, from ``workers`` processes; 0: this one. No worker outlives the iteration."""
    options = {"prefetch_factor": 8, "multiprocessing_context": "spawn"} if workers else {}
    loader = DataLoader(views, batch_size=None, num_workers=workers, collate_fn=_as_it_is, **options)
    return (each for each in loader if each is not None)


def neighbours(folder: Path) -> list[Shape]:
    """The meshes of at most ``_NEIGHBOURS`` other object folders beside ``folder``, evenly from all of them by name."""
    found = sorted(p.parent for p in folder.resolve().parent.glob(f"*/{CARD_FILE}") if (p.parent / MESH_FILE).is_file())
    others = [p for p in found if p.name not in (*SHARED, folder.resolve().name)]
    taken = others[:: -(-len(others) // _NEIGHBOURS)] if others else []
    meshes = [(p.name, load_mesh(p / MESH_FILE, units="m")) for p in taken]
    return [Shape(name, np.asarray(mesh.vertices_m), np.asarray(mesh.faces)) for name, mesh in meshes]


def look_alikes(shape: Shape, held_out: bool) -> list[Shape]:
    """The mirror image of a shape, and copies of other sizes and proportions; ``held_out``: other sizes and proportions."""
    V, F = shape.vertices_m, shape.faces
    scales = (
        [(0.7, 0.7, 0.7), (1.4, 1.4, 1.4), (1.0, 0.75, 1.0)]
        if held_out
        else [(0.8, 0.8, 0.8), (1.25, 1.25, 1.25), (1.3, 1.0, 1.0), (1.0, 1.3, 1.0), (1.0, 1.0, 1.3)]
    )
    mirrored = Shape("mirrored", V * (-1, 1, 1), np.ascontiguousarray(F[:, ::-1]))
    return [mirrored, *(Shape(f"copy_{i}", V * scale, F) for i, scale in enumerate(scales))]


def _as_it_is(item: Observation | None) -> Observation | None:
    return item
