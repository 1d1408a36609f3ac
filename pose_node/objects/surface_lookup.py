"""Looks up the model surface next to a measured point, by a table, so that refinement needs no search.

The table is in the object frame, so it turns with the object exactly. It has one layer for each of the six axis directions,
with only the samples that face that way, so that the two sides of a thin wall (a bowl, a mug) are never confused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from pose_node.arrays import Array, Indices
from pose_node.objects.surface import Surface

Floats = NDArray[np.float32]

_CELLS = 56  # along the longest side of the table
_MARGIN_REL = 0.25  # of the table around the samples, in diameters
_NEIGHBOURS = 12  # samples that the smooth surface at a point depends on
_BANDWIDTH = 0.7  # of the smooth surface, in spacings of the samples
_DIRECTIONS = np.concatenate([np.eye(3), -np.eye(3)])


@dataclass(slots=True, eq=False)
class _Patch:
    """K samples around each of N query points.

    offset: [3, K, N] from the samples to the query point.
    normal: [3, K, N] of the samples.
    d2:     [K, N] squared distances.
    facing: [K, N] cosine between their normals and the query's.
    best:   [N] the sample with the best combination of distance and normal.
    """

    offset: Floats
    normal: Floats
    d2: Floats
    facing: Floats
    best: Indices

    def replace(self, rows: Indices, patch: _Patch) -> None:
        """Replace the queries ``rows`` [M] by those of ``patch``; ``best`` is not changed."""
        self.offset[..., rows], self.normal[..., rows] = patch.offset, patch.normal
        self.d2[:, rows], self.facing[:, rows] = patch.d2, patch.facing


class SurfaceLookup:
    """Nearest surface samples of one object, and the smooth surface through them.

    points_m, normals: [S, 3] the samples, in the object frame.
    spacing_m:         median distance between neighbouring samples.
    neighbours:        [S, K] rows of each sample and of those around it on its side of the surface.
    table_error_m:     bound on how much farther than the nearest sample the one that ``nearest`` returns is.
    """

    def __init__(self, surface: Surface, diameter_m: float) -> None:
        """Build the table. diameter_m: the object's, for the margin of the table."""
        self.points_m = np.ascontiguousarray(surface.points_m, dtype=np.float64)
        self.normals = np.ascontiguousarray(surface.normals, dtype=np.float64)
        self.diameter_m = diameter_m
        tree = cKDTree(self.points_m[: min(len(self.points_m), 2048)])
        coarse = np.median(tree.query(self.points_m[:256], k=2)[0][:, 1])
        self.spacing_m = float(coarse * np.sqrt(min(len(self.points_m), 2048) / len(self.points_m)))
        self.neighbours = self._same_sheet_neighbours()
        # [S, 2 * 3 * K]: for each sample the offsets and the normals of its neighbours. In single precision these short offsets
        # are exact to a nanometre.
        offsets = self.points_m[self.neighbours] - self.points_m[:, None]
        patches = np.stack([offsets, self.normals[self.neighbours]], axis=1)
        self._patches = np.swapaxes(patches, -1, -2).reshape(len(offsets), -1).astype(np.float32)
        self._build_table()
        self.table_error_m = self._cell_m + self.spacing_m

    def nearest(self, x: Array, normal: Array) -> Indices:
        """Rows [...] of samples near ``x`` [..., 3] (object frame, metres) that face like ``normal`` [..., 3].

        Exact to about a table cell; outside of the table the cell nearest to ``x`` counts.
        """
        layer = np.abs(normal).argmax(axis=-1)
        layer = layer + 3 * (np.take_along_axis(normal, layer[..., None], axis=-1)[..., 0] < 0)
        return self._table[layer * int(np.prod(self._shape)) + self._cells(x)].astype(np.intp)

    def _cells(self, x: Array) -> Indices:
        """Cells [...] of the table for points x [..., 3]; outside of the table, the nearest ones."""
        cell = ((x - self._low) * (1.0 / self._cell_m)).astype(np.int64)
        np.clip(cell, 0, self._shape - 1, out=cell)
        return (cell[..., 0] * self._shape[1] + cell[..., 1]) * self._shape[2] + cell[..., 2]

    def distance_bound(self, x: Array) -> Array:
        """Distance [N] in metres from ``x`` [N, 3] to the surface; within the table at most ``table_error_m`` too large."""
        cells, best = self._cells(x), np.full(len(x), np.inf)
        for layer in self._table.reshape(len(_DIRECTIONS), -1):
            off = x - self.points_m[layer[cells].astype(np.intp)]
            np.minimum(best, np.einsum("ni,ni->n", off, off), out=best)
        return np.sqrt(best)

    def surface(self, x: Array, normal: Array, near: Indices | None = None) -> tuple[Array, Array, Array, Indices]:
        """Signed distance [N], its gradient [N, 3] and offset from the surface [N, 3] at ``x`` [N, 3].

        The surface is the implicit moving-least-squares one (Kolluri, "Provably good moving least squares", 2005) through the
        samples that face like ``normal`` [N, 3]. It is smooth in ``x``, so that refinement has one fixed point instead of
        many. Beyond an edge the offset also has a component perpendicular to the gradient. The last value, the nearest samples
        [N], saves time when passed as ``near`` for points that have moved a little.
        """
        if near is None:
            near = self._around(x, normal, self.nearest(x, normal)).best
        patch = self._around(x, normal, near)
        moved = np.flatnonzero(patch.best != near)
        near = patch.best
        patch.replace(moved, self._around(x[moved], normal[moved], near[moved]))
        bandwidth2 = (_BANDWIDTH * self.spacing_m) ** 2
        weight = np.exp((patch.d2.min(axis=0) - patch.d2) * np.float32(0.5 / bandwidth2))
        weight *= np.square(np.maximum(patch.facing, 0.0)) + np.float32(1e-9)
        weight /= weight.sum(axis=0)
        distance = np.einsum("kn,kn->n", weight, _dot(patch.offset, patch.normal)).astype(np.float64)
        gradient = np.einsum("kn,ikn->in", weight, patch.normal).T.astype(np.float64)
        gradient /= np.maximum(np.sqrt(np.einsum("ni,ni->n", gradient, gradient)), 1e-9)[:, None]
        return distance, gradient, np.einsum("kn,ikn->in", weight, patch.offset).T.astype(np.float64), near

    def _around(self, x: Array, normal: Array, near: Indices) -> _Patch:
        """The neighbours of the samples ``near`` [N] around ``x`` [N, 3]; normal: [N, 3]."""
        # Queries are the last axis, because numpy is faster on few long rows than on many short ones.
        sample, normals = np.ascontiguousarray(self._patches[near].T).reshape(2, 3, self.neighbours.shape[1], len(near))
        offset = (x - self.points_m[near]).T.astype(np.float32, order="C")[:, None] - sample
        d2 = _dot(offset, offset)
        facing = _dot(normals, normal.T.astype(np.float32, order="C")[:, None])
        merit = np.argmin(d2 - facing * np.float32((2.0 * self.spacing_m) ** 2), axis=0)
        return _Patch(offset, normals, d2, facing, self.neighbours[near, merit])

    def _same_sheet_neighbours(self) -> Indices:
        """[S, K]: each sample and its nearest ones, where a difference of normals counts as distance."""
        features = np.concatenate([self.points_m, 4.0 * self.spacing_m * self.normals], axis=1)
        k = min(_NEIGHBOURS, len(features))
        return cKDTree(features).query(features, k=k)[1].reshape(len(features), k)

    def _build_table(self) -> None:
        """Fill each layer with the sample nearest to each cell, of those that face the layer's direction (all if none does)."""
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


def _dot(a: Floats, b: Floats) -> Floats:
    """Sum over the first axis, of length 3, of the product of ``a`` and ``b``."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
