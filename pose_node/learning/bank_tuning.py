"""Adapts an object's bank to measured views of it: what its places and its vectors are compared with, the backbone as it is.

A bank is made of clean views. Measured ones are noisy, cut off and among clutter, and the backbone cannot know which details of
this object tell its places apart. Each entry is a map of its first value, shared by all entries, and a deviation of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pose_node.geometry.se3 import invert
from pose_node.learning.backbone_loss import OTHER_REL, SAME_REL, WEIGHTS, wrong_rotations
from pose_node.learning.equal_places import EqualPlaces, Pairs
from pose_node.learning.observation import Observation
from pose_node.objects.bank import Bank
from pose_node.objects.card import ObjectCard

_BATCH = 256  # centres
_MAP_RATE, _OWN_RATE = 3e-3, 3e-4
_KEEP = 0.3  # weight of the mean squared deviation of entries, in units of their first values
_OFF_OBJECT = 0.3  # weight of a centre that is not on the object
_CHANCE = 0.01  # share of the entries that a centre off the object may resemble by chance
_NEVER = -1e4


@dataclass(frozen=True)
class _Centres:
    """Centres of all observations: descriptors [C, 32], vectors [C, 8, 3] in the object's axes, and known [C], places [C, 3],
    normals [C, 3] as of ``Observation``."""

    descriptors: Tensor
    vectors: Tensor
    known: Tensor
    places: Tensor
    normals: Tensor


class _Entries(torch.nn.Module):
    """The entries of a bank as functions of what is learned; at first as they are."""

    def __init__(self, bank: Bank) -> None:
        super().__init__()
        self.first_descriptors, self.first_vectors = torch.from_numpy(bank.descriptors), torch.from_numpy(bank.vectors)
        self.descriptor_map = torch.nn.Parameter(torch.eye(bank.descriptors.shape[1]))
        self.vector_map = torch.nn.Parameter(torch.eye(bank.vectors.shape[1]))
        self.own_descriptors = torch.nn.Parameter(torch.zeros_like(self.first_descriptors))
        self.own_vectors = torch.nn.Parameter(torch.zeros_like(self.first_vectors))
        # Similarity from which on a centre more likely shows the object than something else.
        self.off_object = torch.nn.Parameter(torch.tensor(0.7))

    def forward(self) -> tuple[Tensor, Tensor]:
        descriptors = F.normalize(self.first_descriptors @ self.descriptor_map + self.own_descriptors, dim=1)
        return descriptors, self.vector_map @ self.first_vectors + self.own_vectors

    def deviation(self) -> Tensor:
        """Mean squared deviation of single entries, relative to the squares of their first values."""
        descriptors = self.own_descriptors.square().sum() / self.first_descriptors.square().sum()
        return descriptors + self.own_vectors.square().sum() / self.first_vectors.square().sum()


def tune(
    bank: Bank,
    card: ObjectCard,
    sources: Sequence[Sequence[Observation]],
    temperature: float,
    seed: int,
    steps: int,
) -> Bank:
    """The bank adapted to observations, as many centres from each of the ``sources``. temperature: of the match probability."""
    generator = torch.Generator().manual_seed(seed)
    centres = [_centres_of(source) for source in sources]
    equal = EqualPlaces(card.symmetry)
    places = torch.from_numpy(bank.places)
    towards = torch.from_numpy(bank.directions)[torch.from_numpy(bank.views)]
    wrong, entries = wrong_rotations(), _Entries(bank)
    optimizer = torch.optim.Adam(
        [
            {"params": [entries.descriptor_map, entries.vector_map, entries.off_object], "lr": _MAP_RATE},
            {"params": [entries.own_descriptors, entries.own_vectors], "lr": _OWN_RATE},
        ]
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        batch = _drawn(centres, generator)
        pairs = equal.pairs(batch.places, batch.normals, places, towards)
        loss = _loss(entries, batch, pairs, wrong, temperature) + _KEEP * entries.deviation()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        descriptors, vectors = entries()
    return replace(bank, descriptors=descriptors.numpy(), vectors=vectors.numpy())


def _drawn(sources: Sequence[_Centres], generator: torch.Generator) -> _Centres:
    """A batch, in equal parts from all sources."""
    rows = [torch.randint(len(s.known), (_BATCH // len(sources),), generator=generator) for s in sources]
    names = [field.name for field in fields(_Centres)]
    return _Centres(*(torch.cat([getattr(s, name)[r] for s, r in zip(sources, rows)]) for name in names))


def _loss(entries: _Entries, batch: _Centres, pairs: Pairs, wrong: Tensor, temperature: float) -> Tensor:
    """The mean over a batch of what ``backbone_loss.losses`` calls place and turn, with all entries as places, and with one
    place off the object that everything else belongs to."""
    descriptors, vectors = entries()
    logits = batch.descriptors @ descriptors.T / temperature
    known = batch.known.unsqueeze(1)
    same = known & pairs.facing & (pairs.apart < SAME_REL)
    ignored = known & ~same & (pairs.apart < OTHER_REL)
    off = (entries.off_object / temperature + float(np.log(len(descriptors) * _CHANCE))).expand(len(logits), 1)
    everything = torch.logsumexp(torch.cat([logits.masked_fill(ignored, _NEVER), off], dim=1), dim=1)
    right = torch.logsumexp(logits.masked_fill(~same, _NEVER), dim=1)
    seen = same.any(1)
    place = torch.where(seen, everything - right, 0.0)
    elsewhere = torch.where(batch.known, 0.0, everything - off.squeeze(1))

    nearest = pairs.apart.masked_fill(~same, 9.0).argmin(1)
    A = pairs.turned(batch.vectors, nearest).transpose(1, 2) @ vectors[nearest]
    true = A.diagonal(dim1=1, dim2=2).sum(1)
    turn = torch.logsumexp(torch.cat([A.flatten(1) @ wrong.T, true.unsqueeze(1)], dim=1), dim=1) - true
    turn = torch.where(seen, turn, 0.0)
    count = seen.sum().clamp(min=1)
    losses = WEIGHTS["place"] * place.sum() / count + WEIGHTS["turn"] * turn.sum() / count
    return losses + _OFF_OBJECT * elsewhere.sum() / (~batch.known).sum().clamp(min=1)


def _centres_of(observations: Sequence[Observation]) -> _Centres:
    """The centres of all observations, vectors turned into the object's axes."""

    def stacked(rows: Sequence[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.concatenate(rows).astype(np.float32))

    turns = [
        np.eye(3) if o.T_camera_object is None else invert(o.T_camera_object)[:3, :3].T for o in observations
    ]  # x_object = x_camera @ R_camera_object
    return _Centres(
        stacked([o.features.descriptors for o in observations]),
        stacked([o.features.vectors @ R for o, R in zip(observations, turns)]),
        torch.from_numpy(np.concatenate([o.known for o in observations])),
        stacked([o.places for o in observations]),
        stacked([o.normals for o in observations]),
    )
