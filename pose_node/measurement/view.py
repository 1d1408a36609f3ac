"""What the sensor measured in and around one segment: a sample of its points, and a raster of the rays around it.

A ``Scene`` makes views of any cloud, a ``Patch`` views of a part of a depth image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from scipy.spatial import cKDTree

from pose_node.arrays import Array, Indices
from pose_node.types import Segment, SegmentSource

BORDER_CELLS = 2  # a mask's border may be wrong by this many cells
_HOLE_PITCHES = 0.8  # a direction with no ray nearer than this is a hole
_SPARE_CELLS = 5  # margin of the search tree around the queries, so that later ones need no new tree


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The measurement around one segment, in a raster of directions seen from the viewpoint.

    points_m, normals: [P, 3] an even sample of the segment, normals towards the viewpoint.
    count:             points of the segment before sampling.
    range_m:           distance of its centroid from ``viewpoint_m`` [3].
    basis:             [3, 3] rows: the raster's two axes and its viewing direction; for a depth image scaled intrinsics.
    cell, low, shape:  the raster of tangents: cell size, lower corner [2], (rows, columns).
    rays:              [2, cells] nearest and farthest measured point of each cell, rows of ``ray_points_m``; -1: none.
    ray_points_m:      [R, 3] relative to the viewpoint.
    ray_range_m:       [R] their distances.
    ray_inside:        [R] bool: in the segment.
    ray_untrimmed:     [R] bool: in the segment as it was before the network trimmed it (``Segment.untrimmed``), whose border
                       follows the object's outline more closely.
    ray_cell:          [R] the raster's cell of each.
    border:            [cells] bool: within ``BORDER_CELLS`` of the segment.
    source:            where the segment comes from, see ``types.Segment``.
    pitch:             distance between neighbouring rays, as a tangent.
    off_support_m:     [C, 3] sample of the segment without its points next to the support, where it was found by its
                       surface ("cluster"); [0, 3] otherwise.
    """

    points_m: Array
    normals: Array
    count: int
    range_m: float
    viewpoint_m: Array
    basis: Array
    cell: float
    low: Array
    shape: tuple[int, int]
    rays: Indices
    ray_points_m: Array
    ray_range_m: Array
    ray_inside: NDArray[np.bool_]
    ray_untrimmed: NDArray[np.bool_]
    ray_cell: Indices
    border: NDArray[np.bool_]
    source: SegmentSource
    pitch: float
    off_support_m: Array

    @property
    def trusted(self) -> bool:
        """Whether the segment comes from a mask, so that nearly all of it is the object."""
        return self.source == "mask"

    def cells(self, points_m: Array) -> tuple[Indices, NDArray[np.bool_]]:
        """Raster cells [...] of points [..., 3] relative to the viewpoint, and bool [...] whether they lie in the raster."""
        uvw = points_m @ self.basis.T
        ahead = uvw[..., 2] > 1e-6
        scale = 1.0 / (np.where(ahead, uvw[..., 2], 1.0) * self.cell)
        column = np.floor(uvw[..., 0] * scale - self.low[0] / self.cell).astype(np.int64)
        row = np.floor(uvw[..., 1] * scale - self.low[1] / self.cell).astype(np.int64)
        inside = ahead & (row >= 0) & (row < self.shape[0]) & (column >= 0) & (column < self.shape[1])
        return np.where(inside, row * self.shape[1] + column, 0), inside


class Rays:
    """Finds the measured ray nearest to any direction of one view.

    The search tree has only the rays near the segment and near earlier queries, and grows on demand.
    """

    def __init__(self, view: View) -> None:
        """view: whose rays are searched; none is in the tree yet."""
        self._view = view
        self._covered = view.border.reshape(view.shape)  # cells of the raster
        self._rows = np.zeros(0, dtype=np.intp)
        self._tree: Any = None

    def nearest(self, points_m: Array) -> tuple[Indices, NDArray[np.bool_]]:
        """Rows [...] of the rays nearest to points [..., 3] (relative to the viewpoint), and bool [...] where there is none (a hole)."""
        query = tangents(points_m.reshape(-1, 3), self._view.basis)
        self._cover(query)
        distance, found = self._tree.query(query, distance_upper_bound=_HOLE_PITCHES * self._view.pitch)
        row = np.append(self._rows, 0)[found]  # cKDTree gives one beyond the last for a hole
        return row.reshape(points_m.shape[:-1]), np.isinf(distance).reshape(points_m.shape[:-1])

    def _cover(self, query: Array) -> None:
        """Extend the search tree to the cells around the tangents [N, 2]: rays of other cells are too far to be nearest."""
        view = self._view
        place = np.floor((query - view.low) / view.cell).astype(np.int64)
        column, row = np.clip(place, 0, np.array(view.shape[::-1]) - 1).T[..., None] + np.arange(-1, 2)
        wanted = np.zeros((view.shape[0] + 2, view.shape[1] + 2), dtype=bool)
        wanted[row[:, :, None] + 1, column[:, None] + 1] = True
        wanted = wanted[1:-1, 1:-1]
        if self._tree is None or np.any(wanted & ~self._covered):
            self._covered = binary_dilation(wanted | self._covered, iterations=_SPARE_CELLS)
            self._rows = np.flatnonzero(self._covered.ravel()[view.ray_cell])
            self._tree = cKDTree(
                tangents(view.ray_points_m[self._rows], view.basis), compact_nodes=False, balanced_tree=False
            )


class Views(Protocol):
    """What refinement needs of a frame: ``Scene`` and ``Patch`` offer it."""

    def view(self, segment: Segment) -> View:
        """The view of ``segment``."""

    def rays(self, segment: Segment) -> Rays:
        """The rays of ``segment``'s view, for looking up directions."""


def tangents(points: Array, basis: Array) -> Array:
    """Tangents [N, 2] of points [N, 3] relative to the viewpoint: where their rays meet the raster's plane at distance one."""
    uvw = points @ basis.T
    return uvw[:, :2] / np.maximum(uvw[:, 2:], 1e-6)
