"""Geometry far from the part: a forgotten triangle, a datum body. It would become part of the object's size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from pose_node.arrays import Array

_FAR_REL = 0.5  # of the part's own extent: bodies with a wider gap between them do not belong together
_SMALL = 0.2  # share of the surface: what is larger is kept, and said


@dataclass(frozen=True, slots=True, eq=False)
class Stray:
    """Bodies far from the part: how many of how many, their triangles, share of the surface, the farthest one's
    centre [3] and distance from the part in the file's unit, and whether they were left out."""

    bodies: int
    of: int
    triangles: int
    share: float
    centre: Array
    gap: float
    left_out: bool

    def in_words(self, unit_m: float) -> str:
        """A sentence for the user; ``unit_m``: the file's unit in metres."""
        place = ", ".join(f"{unit_m * x:.3g}" for x in self.centre)
        what = (
            f"{self.bodies} of {self.of} bodies ({self.triangles} triangles, {100 * self.share:.2g} % of the surface)"
        )
        where = (
            f"{'the farthest ' if self.bodies > 1 else ''}around ({place}) m, {unit_m * self.gap:.3g} m from the rest"
        )
        if self.left_out:
            return f"stray geometry: {what} {where}, left out"
        return f"far geometry: {what} {where}, kept; remove it from the mesh if it does not belong to the part"


def without_stray(vertices: Array, faces: Any) -> tuple[Array, Any, Stray | None]:
    """The mesh (vertices [V, 3], faces [F, 3]) without small bodies far from all others, and what is far from the part.

    One body is what is connected, or within half the part's own extent. Large far bodies are kept.
    """
    body = _bodies(vertices, faces)
    corners = vertices[faces]
    a, b, c = corners.transpose(1, 0, 2)
    area = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
    low = np.full((body.max() + 1, 3), np.inf)
    high = -low
    np.minimum.at(low, body, corners.min(axis=1))
    np.maximum.at(high, body, corners.max(axis=1))
    part = _around_largest(low, high, np.bincount(body, area))
    far = ~part[body]
    if not far.any():
        return vertices, faces, None
    share = float(area[far].sum() / area.sum())
    gaps = np.where(part, 0.0, _gaps(low, high, low[part].min(axis=0), high[part].max(axis=0)))
    farthest = np.argmax(gaps)
    stray = Stray(
        bodies=int((~part).sum()),
        of=len(part),
        triangles=int(far.sum()),
        share=share,
        centre=0.5 * (low[farthest] + high[farthest]),
        gap=float(gaps[farthest]),
        left_out=share <= _SMALL,
    )
    if not stray.left_out:
        return vertices, faces, stray
    used, index = np.unique(faces[~far], return_inverse=True)
    return vertices[used], index.reshape(-1, 3), stray


def _bodies(vertices: Array, faces: Any) -> Any:
    """The body [F] of each triangle: triangles that share a place are one."""
    same = cKDTree(vertices).query_pairs(1e-6 * float(np.ptp(vertices, axis=0).max()), output_type="ndarray")
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], same])
    graph = coo_matrix((np.ones(len(edges), dtype=bool), edges.T), shape=(len(vertices), len(vertices)))
    return connected_components(graph, directed=False)[1][faces[:, 0]]


def _around_largest(low: Array, high: Array, area: Array) -> Any:
    """Which bodies [B] belong to the one of largest surface: near it, or near what does."""
    part = np.zeros(len(low), dtype=bool)
    part[np.argmax(area)] = True
    while True:
        box = low[part].min(axis=0), high[part].max(axis=0)
        near = _gaps(low, high, *box) <= _FAR_REL * np.linalg.norm(box[1] - box[0])
        if (near <= part).all():
            return part
        part |= near


def _gaps(low: Array, high: Array, box_low: Array, box_high: Array) -> Array:
    """Distance [B] between boxes and one box."""
    return np.linalg.norm(np.maximum(0.0, np.maximum(low - box_high, box_low - high)), axis=1)
