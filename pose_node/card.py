"""models/<object>/ -> ObjectCard: the facts about one object that the chain relies on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pose_node.types import Array


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """A line in the object frame: unit ``direction`` [3] through ``origin_m`` [3]."""

    direction: Array
    origin_m: Array


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Samples of the object's surface in the object frame, in farthest-point order: any prefix covers the object evenly.

    points_m, normals:  [S, 3] float64, outward unit normals.
    view_directions:    [V, 3] unit vectors from the object's centre towards a viewpoint.
    visible:            [V, S'] bool: which of the first S' samples that viewpoint sees (self-occlusion, rendered at
                        ``view_distance_rel`` diameters).
    """

    points_m: Array
    normals: Array
    view_directions: Array
    visible: Any


@dataclass(frozen=True, slots=True, eq=False)
class Symmetry:
    """The motions that leave the object as it is: products of the discrete ones and turns about the axes.

    discrete: [D, 4, 4], the identity first. axes: continuous symmetry axes (none, or one; three mean a ball).
    """

    discrete: Array
    axes: tuple[Axis, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ObjectCard:
    """What ``models/<name>/card.yaml`` and the files beside it say.

    symmetry:    exact, as found or declared: estimates equal up to it are one.
    confusions:  [E, 4, 4] motions (identity not among them) that leave MOST of the surface in place: a box's half-turns, a
                 mug's turn about its body. Never used to merge, only to propose: the judge tells them apart if it can.
    confusion_axes: axes about which most of the surface is round (a mug's body).
    network:     file name, sha256, opset, input and output shapes; None before export.
    training, scores: what ``train`` and the benchmarks wrote down, as data.
    """

    name: str
    folder: Path
    diameter_m: float
    centre_m: Array
    symmetry: Symmetry
    confusions: Array
    confusion_axes: tuple[Axis, ...]
    surface: Surface
    mesh_path: Path
    bop_id: int | None = None
    network: Mapping[str, Any] | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)
    meshes_seen: tuple[str, ...] = ()
