"""Reads image files of users and data sets, for all commands: depth in metres, masks as booleans.

What is background in a mask file:

- grey, colour, 1-bit, 16-bit: 0 in all channels; in a lossy format (JPEG), less than half of the largest value.
- palette: index 0, whatever its colour. Where black has another index, as in palettes that programs make of a mask's colours:
  of the two indices the one that covers more of the image's border.
- alpha: ignored where it is constant. Where it varies, transparent pixels are background; so are black ones, if the opaque part
  has no colours but black and one other.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.measurement.cloud import are_readings

if TYPE_CHECKING:
    from PIL.Image import Image

_LOSSY = ("JPEG", "MPO", "JPEG2000", "WEBP", "AVIF")  # Pillow's names: 0 becomes another value next to an edge


def read_depth(path: Path, scale_mm: float, scale_floats: bool = False) -> Array:
    """A depth image [H, W] in metres, 0 where there is no reading.

    Integers are counts of ``scale_mm`` millimetres each; floats are metres, or such counts with ``scale_floats``.
    Raises InputError when the file cannot be read or is no depth image, and for a scale that is not above 0.
    """
    with _opened(path, "depth image") as image:
        values = np.asarray(image.convert("RGB") if image.mode == "P" else image)
    if values.ndim != 2 or values.dtype == np.uint8 or values.dtype == bool:
        kind = (
            f"{values.dtype} with {values.shape[2]} channels"
            if values.ndim == 3
            else f"{8 * values.dtype.itemsize}-bit"
        )
        raise InputError(f"{path}: found a {kind} image, expected one channel of 16-bit counts or floats in metres.")
    if not np.isfinite(scale_mm) or scale_mm <= 0:
        raise InputError(f"depth scale: found {scale_mm:g}, expected millimetres per count, above 0.")
    depth = values.astype(np.float64)
    if np.issubdtype(values.dtype, np.floating):
        return depth * (scale_mm / 1000.0) if scale_floats else depth
    depth *= scale_mm / 1000.0
    depth[~are_readings(values)] = 0.0
    return depth


def read_mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask [H, W] of ``shape``, the depth image's: all that is not background (see above); it may be empty.

    Raises InputError when the file cannot be read, has another size, or has no background at all.
    """
    with _opened(path, "mask") as image:
        mask = _object_pixels(image)
    if mask.shape != shape:
        raise InputError(
            f"{path}: found a mask of {size(mask.shape)} pixels, expected the depth image's {size(shape)}.",
            "mask_size_mismatch",
        )
    if mask.all():
        raise InputError(
            f"{path}: found a mask that covers all {size(shape)} pixels, expected some background: 0 in a grey or colour "
            "image, index 0 of a palette, or transparent.",
            "mask_covers_all",
        )
    return mask


def size(shape: Sequence[int]) -> str:
    """(height, width) as width x height: '640 x 480'."""
    return f"{shape[1]} x {shape[0]}" if len(shape) == 2 else "x".join(map(str, shape))


def _object_pixels(image: Image) -> NDArray[np.bool_]:
    """Which pixels [H, W] are not background."""
    alpha = _alpha(image)
    if image.mode in ("P", "PA"):
        # A PA image has its indices in its first band.
        indices = np.asarray(image.getchannel(0)) if image.mode == "PA" else np.asarray(image)
        if alpha is None:
            return indices != _background_index(indices, image)
    elif image.mode not in ("1", "L", "LA", "I", "I;16", "I;16L", "I;16B", "F", "RGB", "RGBA"):
        image = image.convert("RGB")  # CMYK and others in which black is not 0
    if alpha is None:
        values = np.asarray(image)
        values = values[..., : 1 if image.mode == "LA" else 3] if values.ndim == 3 else values
        if image.format in _LOSSY:
            return _over_channels(values > max(int(values.max(initial=0)) / 2, 0))
        return _over_channels((values != 0) & ~np.isnan(values))
    opaque = alpha > (float(alpha.min()) + float(alpha.max())) / 2
    colours = np.asarray(image.convert("RGB"))
    inside = np.unique(colours[opaque], axis=0)
    if len(inside) == 2 and not inside[0].any():
        return opaque & colours.any(axis=2)
    return opaque


def _background_index(indices: NDArray[Any], image: Image) -> int:
    """The index of a palette image's background; indices: [H, W]."""
    colours = np.array(image.getpalette()).reshape(-1, 3)
    border = np.concatenate([indices[0], indices[-1], indices[:, 0], indices[:, -1]])
    black = np.flatnonzero(~colours.any(axis=1))
    if len(black) == 0 or 0 in black:
        return 0
    return max((0, *map(int, black)), key=lambda index: int((border == index).sum()))


def _alpha(image: Image) -> NDArray[np.uint8] | None:
    """The opacity [H, W], 0 for a colour that the file declares transparent; None where it is the same everywhere."""
    declared = "transparency" in image.info and image.mode in ("P", "L", "RGB")
    if "A" not in image.getbands() and not declared:
        return None
    alpha = np.asarray(image.convert("RGBA"))[..., 3]
    return None if (alpha == alpha.flat[0]).all() else alpha


def _over_channels(values: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a pixel [H, W] is True in any channel."""
    return values if values.ndim == 2 else values.any(axis=2)


def _opened(path: Path, what: str) -> Any:
    """The loaded PIL image of a file, as a context manager. Raises InputError, code mask_unreadable or depth_unreadable."""
    from PIL import Image, UnidentifiedImageError

    code = f"{what.split()[0]}_unreadable"
    try:
        image = Image.open(path)
        image.load()
        return image
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file, expected a {what}.", code) from error
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: is not an image, expected a {what}.", code) from error
    except (OSError, ValueError, SyntaxError) as error:  # Pillow reports a broken PNG as SyntaxError
        raise InputError(f"{path}: cannot be read ({error}), expected a {what}.", code) from error
