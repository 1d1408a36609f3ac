"""Procedural shapes: objects and clutter for training, and clutter of other kinds for held-out views.

A shape follows from its seed, in metres, centred on its bounding box, with faces wound outward. Training and held-out
shapes differ in kind, not only in size: no builder serves both families. Half of the training shapes carry small features
off their symmetry axes (``shape_kinds.details``), and half are mirrored: a shape's handedness says nothing about its kind.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pose_node.learning.mesh_building import Shape, finish
from pose_node.learning.shape_kinds import (
    assemblies,
    curved,
    machine,
    packages,
    primitives,
    profiles,
    sheet_metal,
    thin,
    tools,
    tubes,
    turned,
)
from pose_node.learning.shape_kinds import (
    held_out as held_out_kinds,
)
from pose_node.learning.shape_kinds.details import with_details

_WITH_DETAILS = 0.5  # the share of training shapes
_FAMILIES = (
    primitives, turned, profiles, tubes, sheet_metal, thin, machine, packages, curved, tools, assemblies
)  # fmt: skip

TRAINING_KINDS: dict[str, Callable] = {f.__name__: f for family in _FAMILIES for f in family.KINDS}
HELD_OUT_KINDS: dict[str, Callable] = {f.__name__: f for f in held_out_kinds.KINDS}


def training(seed: int, size_m: tuple[float, float] = (0.05, 0.3)) -> Shape:
    """A training shape: the seed chooses the kind in turn and draws the rest. Bounding-box diagonal within ``size_m``."""
    rng, name, diameter = _drawn("training", TRAINING_KINDS, seed, size_m)
    vertices, faces = TRAINING_KINDS[name](rng)
    if rng.random() < _WITH_DETAILS:
        vertices, faces = with_details(rng, (vertices, faces))
    if rng.random() < 0.5:
        vertices = vertices * (-1, 1, 1)
    return finish(f"training_{name}_{seed}", (vertices, faces), diameter)


def held_out(seed: int, size_m: tuple[float, float] = (0.05, 0.3)) -> Shape:
    """A shape of a kind that training never uses."""
    rng, name, diameter = _drawn("held_out", HELD_OUT_KINDS, seed, size_m)
    return finish(f"held_out_{name}_{seed}", HELD_OUT_KINDS[name](rng), diameter)


def training_set(count: int = 40, first_seed: int = 0, size_m: tuple[float, float] = (0.05, 0.3)) -> list[Shape]:
    """``count`` training shapes of consecutive seeds."""
    return [training(s, size_m) for s in range(first_seed, first_seed + count)]


def held_out_set(count: int = 20, first_seed: int = 0, size_m: tuple[float, float] = (0.05, 0.3)) -> list[Shape]:
    """``count`` held-out shapes of consecutive seeds."""
    return [held_out(s, size_m) for s in range(first_seed, first_seed + count)]


def _drawn(
    family: str, kinds: dict[str, Callable], seed: int, size_m: tuple[float, float]
) -> tuple[np.random.Generator, str, float]:
    """Generator, kind and diameter of a seed."""
    rng = np.random.default_rng([len(family), seed])
    name = list(kinds)[seed % len(kinds)]
    return rng, name, float(np.exp(rng.uniform(*np.log(size_m))))
