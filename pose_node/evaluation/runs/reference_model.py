"""The model that errors are computed with: surface, diameter and symmetries, of the data set or of our own card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.evaluation import metrics
from pose_node.evaluation.runs.depth_rendering import render_depth
from pose_node.evaluation.sources.json_file import read_json
from pose_node.geometry import symmetry
from pose_node.geometry.symmetry import Axis, Symmetry
from pose_node.objects.card import ObjectCard
from pose_node.objects.card_values import check_diameter
from pose_node.objects.mesh_file import read_ply

Reference = Literal["set", "depth", "card"]
Symmetries = Literal["declared", "depth"]


@dataclass(frozen=True, eq=False)
class ReferenceModel:
    """A model of an object for errors.

    vertices_m [V, 3], faces [F, 3], centre_m [3]: object frame. symmetries: [K, 4, 4], continuous ones discretised as BOP
    does; symmetry: the same with continuous axes, for angles. declared: whether ADD(-S) is ADD-S. reference: as
    ``RunInfo.reference``. vsd_delta_m: tolerance of VSD's visibility behind the measurement.
    """

    name: str
    bop_id: int | None
    diameter_m: float
    centre_m: Array
    vertices_m: Array
    faces: Any
    symmetries: Array
    symmetry: Symmetry
    declared: bool
    reference: Reference
    vsd_delta_m: float = metrics.VSD_DELTA_M

    @cached_property
    def hull_m(self) -> Array:
        """Corners [H, 3] of the convex hull, which determine MSSD."""
        return metrics.hull_points(self.vertices_m)

    def depth(self, T_camera_object: Array, K: Array, shape: tuple[int, int]) -> Array:
        """Depth [H, W] of the model at a pose, in metres, 0 outside."""
        return render_depth(self.vertices_m, self.faces, T_camera_object, K, shape)


def read_models_info(folder: Path) -> dict[int, dict[str, Any]]:
    """models_info.json of a BOP models folder: {object id: entry}; raises InputError."""
    path = folder / "models_info.json"
    try:
        values = read_json(path, "BOP's models_info.json")
        return {int(key): dict(entry, diameter=float(entry["diameter"])) for key, entry in values.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: found {type(error).__name__}: {error}, expected {{id: {{diameter, ...}}}}."
        ) from None


def reference_of_set(
    name: str,
    bop_id: int,
    info: Mapping[str, Any],
    mesh: Path,
    symmetries: Symmetries = "declared",
    vsd_delta_m: float = metrics.VSD_DELTA_M,
) -> ReferenceModel:
    """The model of a BOP set (millimetres), with its declared symmetries or also those that depth cannot resolve
    (``symmetries_depth``, ``symmetries_depth_continuous``, where the set lists them).

    Raises MeshError, CardError or InputError where its files are invalid.
    """
    vertices, faces = read_ply(mesh)
    vertices /= 1000.0
    suffix = "_depth" if symmetries == "depth" else ""
    try:
        motions = metrics.bop_symmetries(info, suffix)
        discrete = metrics.bop_symmetries({k: v for k, v in info.items() if not k.endswith("_continuous")}, suffix)
        continuous = (suffix and info.get("symmetries_depth_continuous")) or info.get("symmetries_continuous", ())
        axes = tuple(
            Axis(np.array(a["axis"], float) / np.linalg.norm(a["axis"]), np.array(a["offset"], float) / 1000.0)
            for a in continuous
        )
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"models_info.json: the symmetries of object {bop_id} are invalid ({error}).") from None
    return ReferenceModel(
        name,
        bop_id,
        check_diameter(info["diameter"] / 1000.0, f"models_info.json: object {bop_id}"),
        (vertices.min(axis=0) + vertices.max(axis=0)) / 2,
        vertices,
        faces,
        motions,
        Symmetry(discrete, axes),
        len(metrics.bop_symmetries(info)) > 1,
        "depth" if suffix else "set",
        vsd_delta_m,
    )


def reference_of_card(card: ObjectCard) -> ReferenceModel:
    """The model of our own card, for sets without models; raises MeshError."""
    vertices, faces = read_ply(card.mesh_path)
    steps = int(np.ceil(np.pi / metrics.MAX_SYMMETRY_STEP)) if len(card.symmetry.axes) == 1 else 36
    motions = symmetry.symmetry_motions(card.symmetry, steps)
    return ReferenceModel(
        card.name,
        card.bop_id,
        card.diameter_m,
        card.centre_m,
        vertices,
        faces,
        motions,
        card.symmetry,
        len(motions) > 1,
        "card",
    )
