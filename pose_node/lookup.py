"""From a measured point with its normal to the model surface it may lie on, by table: no search while refining.

The table lives in the object frame, so it turns with the object exactly. It has one layer for each of the six axis
directions; a layer knows only samples that face its way, so the two sides of a thin wall (a bowl, a mug) never get mixed.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from pose_node.card import Surface
from pose_node.types import Array, Indices

_CELLS = 56
_MARGIN_REL = 0.25
_NEIGHBOURS = 12
_DIRECTIONS = np.concatenate([np.eye(3), -np.eye(3)])


class Lookup:
    """Nearest surface samples of one object, and the smooth surface through them.

    points_m, normals: [S, 3] the samples. spacing_m: median distance between neighbouring samples.
    table_error_m: how much farther than the nearest sample the one that ``nearest`` names may lie.
    """

    def __init__(self, surface: Surface, diameter_m: float) -> None:
        self.points_m = np.ascontiguousarray(surface.points_m, dtype=np.float64)
        self.normals = np.ascontiguousarray(surface.normals, dtype=np.float64)
        self.diameter_m = diameter_m
        tree = cKDTree(self.points_m[: min(len(self.points_m), 2048)])
        coarse = np.median(tree.query(self.points_m[:256], k=2)[0][:, 1])
        self.spacing_m = float(coarse * np.sqrt(min(len(self.points_m), 2048) / len(self.points_m)))
        self._neighbours = self._same_sheet_neighbours()
        self._build_table()
        self.table_error_m = self._cell_m + self.spacing_m

    def nearest(self, x: Array, normal: Array) -> Indices:
        """Samples near to ``x`` [..., 3] (object frame, metres) that face as ``normal`` [..., 3] does: indices [...].

        Right to about a table cell; beyond the table's box its border answers.
        """
        cell = ((x - self._low) * (1.0 / self._cell_m)).astype(np.int64)
        np.clip(cell, 0, self._shape - 1, out=cell)
        layer = np.abs(normal).argmax(axis=-1)
        layer = layer + 3 * (np.take_along_axis(normal, layer[..., None], axis=-1)[..., 0] < 0)
        flat = ((layer * self._shape[0] + cell[..., 0]) * self._shape[1] + cell[..., 1]) * self._shape[2] + cell[..., 2]
        return self._table[flat].astype(np.intp)

    def distance_bound(self, x: Array) -> Array:
        """Distance [N] in metres from ``x`` [N, 3] to the surface, at most ``table_error_m`` too large within the table's box."""
        best = np.full(len(x), np.inf)
        for direction in _DIRECTIONS:
            near = self.points_m[self.nearest(x, np.broadcast_to(direction, x.shape))]
            np.minimum(best, np.linalg.norm(x - near, axis=1), out=best)
        return best

    def surface(self, x: Array, normal: Array) -> tuple[Array, Array, Array]:
        """Signed distance [N], its gradient [N, 3] and squared distance to the surface [N] at ``x`` [N, 3].

        The surface is the implicit moving-least-squares one through the samples that face as ``normal`` [N, 3] does, a
        smooth function of ``x``: that is what gives refinement one fixed point instead of many.
        """
        index = self.nearest(x, normal)
        for _ in range(2):
            near = self._neighbours[index]
            d2, facing = self._distances(x, normal, near)
            best = np.argmin(d2 + (1.0 - facing) * (2.0 * self.spacing_m) ** 2, axis=1)
            index = near[np.arange(len(near)), best]
        near = self._neighbours[index]
        offset = x[:, None] - self.points_m[near]
        normals = self.normals[near]
        d2 = np.einsum("nki,nki->nk", offset, offset)
        facing = np.maximum(np.einsum("nki,ni->nk", normals, normal), 0.0)
        bandwidth2 = (0.7 * self.spacing_m) ** 2
        weight = np.exp((d2.min(axis=1, keepdims=True) - d2) / (2.0 * bandwidth2)) * (facing**2 + 1e-9)
        weight /= weight.sum(axis=1, keepdims=True)
        distance = np.einsum("nk,nki,nki->n", weight, offset, normals)
        gradient = np.einsum("nk,nki->ni", weight, normals)
        gradient /= np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), 1e-9)
        return distance, gradient, np.einsum("nk,nk->n", weight, d2)

    def _distances(self, x: Array, normal: Array, near: Indices) -> tuple[Array, Array]:
        offset = x[:, None] - self.points_m[near]
        return np.einsum("nki,nki->nk", offset, offset), np.einsum("nki,ni->nk", self.normals[near], normal)

    def _same_sheet_neighbours(self) -> Indices:
        """[S, K]: each sample and its nearest ones, those facing another way put farther off by their difference."""
        features = np.concatenate([self.points_m, 4.0 * self.spacing_m * self.normals], axis=1)
        k = min(_NEIGHBOURS, len(features))
        return cKDTree(features).query(features, k=k)[1].reshape(len(features), k)

    def _build_table(self) -> None:
        low, high = self.points_m.min(axis=0), self.points_m.max(axis=0)
        margin = _MARGIN_REL * self.diameter_m
        self._low = low - margin
        extent = high - low + 2.0 * margin
        self._cell_m = float(extent.max() / _CELLS)
        self._shape = np.ceil(extent / self._cell_m).astype(np.int64)
        cell = np.clip(((self.points_m - self._low) / self._cell_m).astype(np.int64), 0, self._shape - 1)
        flat = np.ravel_multi_index(tuple(cell.T), tuple(self._shape))
        layers = []
        for direction in _DIRECTIONS:
            members = np.flatnonzero(self.normals @ direction > 0.0)
            if len(members) == 0:
                members = np.arange(len(self.points_m))
            seed = np.full(int(np.prod(self._shape)), -1, dtype=np.int16)
            seed[flat[members[::-1]]] = members[::-1]  # the first sample of a cell wins
            seed = seed.reshape(tuple(self._shape))
            where = distance_transform_edt(seed < 0, return_distances=False, return_indices=True)
            layers.append(seed[tuple(where)].ravel())
        self._table = np.concatenate(layers)
