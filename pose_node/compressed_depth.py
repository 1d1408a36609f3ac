"""Depth images as compressed_depth_image_transport packs them, unpacked into what ``convert`` parses.

Layout (ROS image_transport_plugins, compressed_depth_image_transport): a 12-byte header, int32 format and float32 A and B,
then a 16-bit PNG. 16UC1 holds millimetres as they are; 32FC1 holds inverse depths, depth = A / (value - B), 0 no reading.
"""

from __future__ import annotations

import io
import struct
from types import SimpleNamespace
from typing import Any

import numpy as np

from pose_node.errors import InputError

_HEADER = struct.Struct("<iff")
_PNG = b"\x89PNG\r\n\x1a\n"


def is_compressed_depth(message: Any) -> bool:
    """Whether a CompressedImage says that it holds depth."""
    return "compressedDepth" in str(message.format)


def image_from_compressed(message: Any) -> Any:
    """CompressedImage -> an object with the attributes of sensor_msgs/Image, of encoding 16UC1 or 32FC1.

    Raises InputError when the format is another (RVL, JPEG), or the PNG is broken or not of 16 bits.
    """
    from PIL import Image, UnidentifiedImageError

    if is_compressed_depth(message) and "rvl" in str(message.format).lower():
        raise InputError(
            f"compressed depth: found RVL packing (format {message.format!r}), expected PNG, which the publisher packs with "
            "its parameter format set to png.",
            "encoding",
        )
    encoding = str(message.format).split(";")[0].strip()
    if not is_compressed_depth(message) or encoding not in ("16UC1", "32FC1"):
        raise InputError(
            f"compressed depth: found format {message.format!r}, expected '16UC1; compressedDepth png' or 32FC1.",
            "encoding",
        )
    data = bytes(message.data)
    if data[_HEADER.size : _HEADER.size + len(_PNG)] != _PNG:
        raise InputError("compressed depth: found no PNG after the 12-byte header, expected one.", "encoding")
    try:
        with Image.open(io.BytesIO(data[_HEADER.size :])) as image:
            values = np.asarray(image)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:  # Pillow's words for a broken PNG
        raise InputError(
            f"compressed depth: found a PNG that cannot be read ({error}), expected one.", "data"
        ) from error
    if values.ndim != 2 or values.dtype not in (np.uint16, np.int32):  # Pillow before 11 gives 16 bits as int32
        raise InputError(
            f"compressed depth: found pixels of shape {values.shape} and type {values.dtype}, expected one 16-bit channel.",
            "encoding",
        )
    pixels = values.astype(np.uint16) if encoding == "16UC1" else _inverse(values, *_HEADER.unpack_from(data)[1:])
    height, width = pixels.shape
    return SimpleNamespace(
        header=message.header,
        encoding=encoding,
        height=height,
        width=width,
        step=width * pixels.itemsize,
        is_bigendian=0 if pixels.dtype.newbyteorder("<") == pixels.dtype else 1,
        data=pixels.tobytes(),
    )


def _inverse(values: np.ndarray, a: float, b: float) -> np.ndarray:
    """Inverse depths [H, W] -> float32 metres, NaN where there is no reading."""
    depth = np.full(values.shape, np.nan, np.float32)
    seen = (values > 0) & (values != b)
    depth[seen] = a / (values[seen] - b)
    return depth
