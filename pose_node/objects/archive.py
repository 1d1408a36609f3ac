"""Archives of arrays (.npz) in object folders: read whole, their names and shapes checked."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose_node.errors import CardError

# What numpy and zipfile raise for a damaged archive; NotImplementedError comes from flipped bytes in zipfile's flags, which then
# ask for encryption, patches or a version that it lacks.
_DAMAGED = (
    *(OSError, ValueError, EOFError, TypeError, AttributeError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)


def read_arrays(path: Path, shapes: Mapping[str, tuple[int, ...]], what: str) -> dict[str, NDArray[Any]]:
    """The arrays of an archive, by name.

    shapes: of all arrays that it must have; -1 stands for any length but zero. what: the content, for the errors.
    Raises CardError for a missing or damaged file, and for other names or shapes.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {key: data[key] for key in data.files}
    except FileNotFoundError as error:
        raise CardError(f"{path}: no such file, expected {what}.") from error
    except _DAMAGED as error:
        raise CardError(f"{path}: cannot be read ({error}), expected {what}.") from error
    if set(arrays) != set(shapes):
        raise CardError(f"{path}: found arrays {sorted(arrays)}, expected {sorted(shapes)}.")
    for key, shape in shapes.items():
        found = arrays[key].shape
        if len(found) != len(shape) or 0 in found or any(e not in (-1, f) for e, f in zip(shape, found)):
            raise CardError(f"{path}: {key} has shape {found}, expected {str(shape).replace('-1', 'N')}.")
    return arrays
