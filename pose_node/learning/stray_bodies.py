"""Bodies far from the part, such as a forgotten triangle or a datum body. They would inflate the object's diameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import trimesh
from scipy.spatial import cKDTree

from pose_node.arrays import Array

_MAX_GAP_REL = 0.5  # of the part's own extent: bodies with a wider gap between them are separate
_MAX_STRAY_SHARE = 0.2  # of the surface: larger bodies are kept, with a note


@dataclass(frozen=True, slots=True, eq=False)
class StrayBodies:
    """Bodies far from the part: their number, the number of all bodies, their triangles and share of the surface.

    centre [3] and gap: those of the farthest one, in the file's unit; removed: whether they were taken out of the mesh.
    """

    bodies: int
    all_bodies: int
    triangles: int
    share: float
    centre: Array
    gap: float
    removed: bool

    def describe(self, unit_m: float) -> str:
        """A sentence for the user; ``unit_m``: the file's unit in metres."""
        position = ", ".join(f"{unit_m * x:.3g}" for x in self.centre)
        bodies = f"{self.bodies} of {self.all_bodies} bodies ({self.triangles} triangles, {100 * self.share:.2g} % of the surface)"
        farthest = "the farthest " if self.bodies > 1 else ""
        found = f"{bodies} {farthest}around ({position}) m, {unit_m * self.gap:.3g} m from the rest"
        if self.removed:
            return f"stray geometry: {found}, removed"
        return f"far geometry: {found}, kept; remove it from the mesh if it does not belong to the part"


def remove_stray_bodies(mesh: trimesh.Trimesh) -> StrayBodies | None:
    """Remove small bodies far from the part, in place; returns what is far from the part, large bodies (kept) included.

    The part is the body of largest surface and every body within half the part's own extent of it.
    """
    body = _body_of_faces(mesh)
    low = np.full((body.max() + 1, 3), np.inf)
    high = -low
    np.minimum.at(low, body, mesh.triangles.min(axis=1))
    np.maximum.at(high, body, mesh.triangles.max(axis=1))
    part = _near_largest(low, high, np.bincount(body, mesh.area_faces))
    far = ~part[body]
    if not far.any():
        return None
    share = float(mesh.area_faces[far].sum() / mesh.area)
    gaps = np.where(part, 0.0, _gaps(low, high, low[part].min(axis=0), high[part].max(axis=0)))
    farthest = np.argmax(gaps)
    stray = StrayBodies(
        bodies=int((~part).sum()),
        all_bodies=len(part),
        triangles=int(far.sum()),
        share=share,
        centre=0.5 * (low[farthest] + high[farthest]),
        gap=float(gaps[farthest]),
        removed=share <= _MAX_STRAY_SHARE,
    )
    if stray.removed:
        mesh.update_faces(~far)
        mesh.remove_unreferenced_vertices()
    return stray


def _body_of_faces(mesh: trimesh.Trimesh) -> Any:
    """The body [F] of each triangle. Triangles are connected by vertices at the same place, which may be several rows."""
    same = cKDTree(mesh.vertices).query_pairs(1e-6 * float(mesh.extents.max()), output_type="ndarray")
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], same])
    return trimesh.graph.connected_component_labels(edges, node_count=len(mesh.vertices))[mesh.faces[:, 0]]


def _near_largest(low: Array, high: Array, area: Array) -> Any:
    """Which bodies [B] belong to the part: the one of largest surface, those near it, and those near these."""
    part = np.zeros(len(low), dtype=bool)
    part[np.argmax(area)] = True
    while True:
        box = low[part].min(axis=0), high[part].max(axis=0)
        near = _gaps(low, high, *box) <= _MAX_GAP_REL * np.linalg.norm(box[1] - box[0])
        if (near <= part).all():
            return part
        part |= near


def _gaps(low: Array, high: Array, box_low: Array, box_high: Array) -> Array:
    """Distance [B] between boxes and one box."""
    return np.linalg.norm(np.maximum(0.0, np.maximum(low - box_high, box_low - high)), axis=1)
