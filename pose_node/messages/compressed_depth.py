"""Losslessly compressed depth images of ROS -> Image, for ``convert``.

Layouts (ROS image_transport_plugins): compressed_depth_image_transport writes a 12-byte header, int32 format and float32 A and
B, then a 16-bit PNG, or int32 columns and rows and RVL. 16UC1 holds counts as they are; 32FC1 holds inverse depths,
depth = A / (value - B), 0 no reading. compressed_image_transport writes the bare PNG of a 16-bit image. Some drivers state the
format of either as "png" alone.
"""

from __future__ import annotations

import io
import struct
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose_node.errors import InputError
from pose_node.messages.rvl import unpack_rvl

_HEADER = struct.Struct("<iff")
_SIZE = struct.Struct("<ii")
_PNG = b"\x89PNG\r\n\x1a\n"
_COUNTS = ("16UC1", "mono16")  # mono16 only where the image is known to be depth
_MAX_PIXELS = 1 << 26  # more than any sensor has: a header that states more is corrupt


def is_compressed_depth(message: Any, named_depth: bool = False) -> bool:
    """Whether a CompressedImage is depth, by its format, or by its topic's name and its pixels' type.

    named_depth: whether the topic is named depth.
    """
    encoding, rest = _format(message)
    if "compressedDepth" in rest or encoding in ("16UC1", "32FC1"):
        return "jp" not in rest
    return named_depth and (encoding == "mono16" or (encoding == "" and "png" in rest and _is_16_bit_png(message)))


def image_from_compressed(message: Any) -> Any:
    """CompressedImage that is known to be depth -> an object with the attributes of sensor_msgs/Image, encoding 16UC1 or 32FC1.

    Raises InputError for another format (JPEG), and for data that are corrupt or not of 16 bits.
    """
    encoding, rest = _format(message)
    data = bytes(message.data)
    is_png = data.startswith(_PNG) or data[_HEADER.size :].startswith(_PNG)
    is_rvl = "rvl" in rest.lower()
    if encoding not in ("", "32FC1", *_COUNTS) or "jp" in rest:
        raise InputError(
            f"compressed depth: found format {message.format!r}, expected '16UC1; compressedDepth png' or rvl, 32FC1 of either, "
            "or '16UC1; png compressed'.",
            "encoding",
        )
    if not (is_rvl or is_png):
        raise InputError(
            f"compressed depth: found no PNG in data of format {message.format!r}, expected one, alone or after a header of "
            f"{_HEADER.size} bytes.",
            "encoding",
        )
    has_header = not data.startswith(_PNG)
    a, b = _HEADER.unpack_from(data)[1:] if has_header and len(data) >= _HEADER.size else (0.0, 0.0)
    packed = data[_HEADER.size :] if has_header else data
    values = _from_rvl(packed) if is_rvl else _from_png(packed)
    if encoding == "32FC1" and not has_header:
        raise InputError("compressed depth: found a bare PNG of 32FC1, expected the header that scales it.", "encoding")
    inverse = encoding == "32FC1" or (not encoding and a != 0.0)
    pixels = _inverse(values, a, b) if inverse else values.astype(np.uint16)
    height, width = pixels.shape
    return SimpleNamespace(
        header=message.header,
        encoding="32FC1" if inverse else "16UC1",
        height=height,
        width=width,
        step=width * pixels.itemsize,
        is_bigendian=0 if pixels.dtype.newbyteorder("<") == pixels.dtype else 1,
        data=pixels.tobytes(),
    )


def _format(message: Any) -> tuple[str, str]:
    """The encoding, empty where it is not stated, and the compression: "16UC1; compressedDepth png" has both.

    Old publishers state the encoding alone.
    """
    encoding, semicolon, rest = str(message.format).partition(";")
    alone = encoding.strip() in ("32FC1", *_COUNTS)
    return (encoding.strip(), rest.strip()) if semicolon or alone else ("", encoding.strip())


def _is_16_bit_png(message: Any) -> bool:
    data = bytes(message.data[:64])
    start = data.find(_PNG)
    return start in (0, _HEADER.size) and data[start + 24 : start + 26] == b"\x10\x00"  # depth 16, grey


def _from_png(data: bytes) -> NDArray[Any]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            values = np.asarray(image)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:  # Pillow's errors for a broken PNG
        raise InputError(
            f"compressed depth: found a PNG that cannot be read ({error}), expected one.", "data"
        ) from error
    if values.ndim != 2 or values.dtype not in (np.uint16, np.int32):  # Pillow before 11 gives 16 bits as int32
        raise InputError(
            f"compressed depth: found pixels of shape {values.shape} and type {values.dtype}, expected one 16-bit channel.",
            "encoding",
        )
    return values


def _from_rvl(data: bytes) -> NDArray[Any]:
    width, height = _SIZE.unpack_from(data) if len(data) >= _SIZE.size else (0, 0)
    if width <= 0 or height <= 0 or width * height > _MAX_PIXELS:
        raise InputError(f"compressed depth: found RVL of {width} x {height} pixels, expected an image's size.", "data")
    try:
        return unpack_rvl(data[_SIZE.size :], width * height).reshape(height, width)
    except ValueError as error:
        raise InputError(
            f"compressed depth: found RVL that cannot be read ({error}), expected {width} x {height} pixels.", "data"
        ) from error


def _inverse(values: NDArray[Any], a: float, b: float) -> NDArray[np.float32]:
    """Inverse depths [H, W] -> float32 metres, NaN where there is no reading."""
    depth = np.full(values.shape, np.nan, np.float32)
    seen = (values > 0) & (values != b)
    depth[seen] = a / (values[seen] - b)
    return depth
