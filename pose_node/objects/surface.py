"""surface.npz: samples of an object's surface, and which of them are visible from where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pose_node.arrays import Array
from pose_node.errors import CardError
from pose_node.objects.archive import read_arrays

SURFACE_FILE = "surface.npz"


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Samples of an object's surface in the object frame, in farthest-point order: the first n cover it evenly for any n.

    points_m, normals:  [S, 3] float64, outward unit normals.
    view_directions:    [V, 3] unit vectors from the object's centre towards a viewpoint.
    visible:            [V, S'] bool: which of the first S' samples are visible from there, a few diameters away (the others
                        face away or are hidden by the object itself).
    """

    points_m: Array
    normals: Array
    view_directions: Array
    visible: NDArray[np.bool_]

    @property
    def box_m(self) -> Array:
        """[2, 3] lowest and highest corner of the samples' bounding box in the object frame."""
        return np.stack([self.points_m.min(axis=0), self.points_m.max(axis=0)])


def load_surface(path: Path, diameter_m: float) -> Surface:
    """Read surface.npz. Raises CardError for a missing or damaged file, and for invalid shapes, units or normals.

    diameter_m: the object's, which the samples' extent must match.
    """
    shapes = {"points_m": (-1, 3), "normals": (-1, 3), "view_directions": (-1, 3), "visible": (-1, -1)}
    arrays = read_arrays(path, shapes, "the object's surface samples")
    points, normals = arrays["points_m"].astype(float), arrays["normals"].astype(float)
    directions = arrays["view_directions"].astype(float)
    if len(points) != len(normals):
        raise CardError(f"{path}: found {len(points)} points and {len(normals)} normals, expected equal numbers.")
    if not (np.isfinite(points).all() and _are_unit(normals) and _are_unit(directions)):
        raise CardError(f"{path}: found values that are not finite or normals that are not of length one.")
    if arrays["visible"].dtype != np.uint8 or len(arrays["visible"]) != len(directions):
        raise CardError(
            f"{path}: visible is {arrays['visible'].dtype} of {len(arrays['visible'])} rows, "
            f"expected packed bits (uint8) for {len(directions)} view directions."
        )
    extent = float(np.linalg.norm(np.ptp(points, axis=0)))
    if not 0.8 * diameter_m <= extent <= 1.8 * diameter_m:
        raise CardError(f"{path}: the samples span {extent:.4g} m, expected about the diameter, {diameter_m:.4g} m.")
    visible = np.unpackbits(arrays["visible"], axis=1).astype(bool)
    return Surface(points, normals, directions, visible[:, : len(points)])


def save_surface(path: Path, surface: Surface) -> None:
    """Write surface.npz as ``load_surface`` reads it; the number S' of samples with visibility must be a multiple of 8."""
    np.savez_compressed(
        path,
        points_m=surface.points_m.astype(np.float32),
        normals=surface.normals.astype(np.float32),
        view_directions=surface.view_directions.astype(np.float32),
        visible=np.packbits(surface.visible, axis=1),
    )


def _are_unit(vectors: Array) -> bool:
    """Whether all vectors [N, 3] have length one."""
    return bool(np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-3))
