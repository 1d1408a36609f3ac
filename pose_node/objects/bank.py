"""bank.npz: what the backbone says of an object, for places on its surface seen from all around.

``pose_node add-object`` renders the mesh from directions spread over the sphere and keeps, for the backbone's centres in each
view, descriptor, place and vectors. Turns of the camera about its axis need no views of their own: the vectors turn with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pose_node.errors import CardError
from pose_node.objects.archive import read_arrays

BANK_FILE = "bank.npz"
BANK_FORMAT = 1
DESCRIPTOR, VECTORS = 32, 8  # length of a descriptor; vectors of a centre
_HASH_LENGTH = 64  # hexadecimal digits of a sha256
_FARTHEST = 1.1  # diameters between the object's centre and a place on it

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """The E places that an object's views show; lengths in object diameters, relative to the card's centre.

    descriptors: [E, 32] of unit length.
    places:      [E, 3] in the object frame. vectors: [E, 8, 3] in the object frame.
    views:       [E] row of ``directions`` [V, 3], unit vectors from the object to the camera: the view that shows the place.
    backbone:    sha256 of the network that made it; no other network's descriptors can be compared with it.
    """

    descriptors: Floats
    places: Floats
    vectors: Floats
    views: NDArray[np.int64]
    directions: Floats
    backbone: str


def load_bank(path: Path) -> Bank:
    """Read bank.npz. Raises CardError for a missing or damaged file, another format, and invalid shapes or values."""
    shapes = {
        "format": (),
        "backbone": (),
        "descriptors": (-1, DESCRIPTOR),
        "places": (-1, 3),
        "vectors": (-1, VECTORS, 3),
        "views": (-1,),
        "directions": (-1, 3),
    }
    arrays = read_arrays(path, shapes, "the object's bank, which `pose_node add-object` makes")
    backbone = str(arrays["backbone"])
    if arrays["format"] != BANK_FORMAT or len(backbone) != _HASH_LENGTH:
        raise CardError(
            f"{path}: found bank format {arrays['format']} of backbone {backbone!r}, expected format 1 and a sha256."
        )
    count = len(arrays["descriptors"])
    for name in ("places", "vectors", "views"):
        if len(arrays[name]) != count:
            raise CardError(
                f"{path}: found {count} descriptors and {len(arrays[name])} {name}, expected equal numbers."
            )
    descriptors, places, vectors, directions = (
        arrays[name].astype(np.float32) for name in ("descriptors", "places", "vectors", "directions")
    )
    if not all(np.isfinite(a).all() for a in (descriptors, places, vectors, directions)):
        raise CardError(f"{path}: found values that are not finite.")
    length = np.linalg.norm(descriptors, axis=1)
    if not np.allclose(length, 1.0, atol=0.02):
        raise CardError(f"{path}: found descriptors of length {length.min():.2f} to {length.max():.2f}, expected 1.")
    farthest = float(np.linalg.norm(places, axis=1).max())
    if farthest > _FARTHEST:
        raise CardError(
            f"{path}: found a place {farthest:.1f} diameters from the centre, expected at most {_FARTHEST}."
        )
    views = arrays["views"].astype(np.int64)
    if not (views.min() >= 0 and views.max() < len(directions)):
        raise CardError(f"{path}: found views {views.min()} to {views.max()}, expected 0 to {len(directions) - 1}.")
    return Bank(descriptors / length[:, None], places, vectors, views, directions, backbone)


def save_bank(path: Path, bank: Bank) -> None:
    """Write bank.npz as ``load_bank`` reads it, with half precision: its rounding is a tenth of the backbone's own error."""
    np.savez_compressed(
        path,
        format=np.array(BANK_FORMAT, np.uint8),
        backbone=np.array(bank.backbone),
        descriptors=bank.descriptors.astype(np.float16),
        places=bank.places.astype(np.float16),
        vectors=bank.vectors.astype(np.float16),
        views=bank.views.astype(np.uint16),
        directions=bank.directions.astype(np.float32),
    )
