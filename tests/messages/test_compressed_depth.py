"""Packed depth images come out as they went in, or are refused in a sentence."""

from __future__ import annotations

import io
import struct
from types import SimpleNamespace as Message

import numpy as np
import pytest
from PIL import Image
from rvl_packing import pack_rvl

from pose_node.errors import InputError
from pose_node.messages import convert
from pose_node.messages.compressed_depth import image_from_compressed


def packed(values, encoding, a=0.0, b=0.0) -> Message:
    """What compressed_depth_image_transport publishes for 16-bit ``values`` [H, W]."""
    file = io.BytesIO()
    Image.fromarray(values.astype(np.uint16)).save(file, "PNG")
    header = Message(stamp=Message(sec=1, nanosec=2), frame_id="camera")
    data = struct.pack("<iff", 0, a, b) + file.getvalue()
    return Message(header=header, format=f"{encoding}; compressedDepth png", data=np.frombuffer(data, np.uint8))


def test_millimetres_are_kept(rng):
    values = rng.integers(0, 5000, (6, 8))
    image = image_from_compressed(packed(values, "16UC1"))
    assert convert.stamp_ns(image) == 1_000_000_002
    depth = convert.depth_from_image(image)
    np.testing.assert_allclose(np.nan_to_num(depth), values / 1000.0, atol=1e-6)


def test_inverse_depths_follow_the_header(rng):
    """As the transport quantises: value = A / depth + B, with A and B from its depth_quantization and depth_max."""
    depth_m = rng.uniform(0.3, 5.0, (6, 8)).astype(np.float32)
    a = 100.0 * 101.0
    b = 1.0 - a / 10.0
    values = np.round(a / depth_m + b)
    values[0, 0] = 0
    depth = convert.depth_from_image(image_from_compressed(packed(values, "32FC1", a, b)))
    assert np.isnan(depth[0, 0])
    error = np.abs(depth - depth_m)[1:]
    assert (error <= 0.51 * depth_m[1:] ** 2 / a + 1e-6).all()


@pytest.mark.parametrize(
    "change",
    [
        {"format": "jpeg"},
        {"format": "bgr8; compressedDepth png"},
        {"data": np.zeros(0, np.uint8)},
    ],
)
def test_invalid_messages_are_refused(change):
    message = packed(np.ones((4, 4)), "16UC1")
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(InputError, match="expected"):
        image_from_compressed(message)


@pytest.mark.parametrize("a", [0.0, 10100.0])
def test_rvl_gives_what_png_gives(rng, a):
    values = rng.integers(0, 3000, (6, 8)).astype(np.uint16)
    encoding = "32FC1" if a else "16UC1"
    as_png = packed(values, encoding, a, 1.0)
    as_rvl = packed(values, encoding, a, 1.0)
    as_rvl.format = f"{encoding}; compressedDepth rvl"
    as_rvl.data = np.frombuffer(bytes(as_png.data[:12]) + struct.pack("<ii", 8, 6) + pack_rvl(values), np.uint8)
    expected, found = (convert.depth_from_image(image_from_compressed(message)) for message in (as_png, as_rvl))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", [(), (0, 6), (-8, 6), (1 << 20, 1 << 20), (8, 7)])
def test_corrupt_rvl_is_refused(size):
    message = packed(np.ones((4, 4)), "16UC1")
    message.format = "16UC1; compressedDepth RVL"
    body = struct.pack(f"<{len(size)}i", *size) + (pack_rvl(np.ones(48, np.uint16)) if size else b"")
    message.data = np.frombuffer(bytes(12) + body, np.uint8)
    with pytest.raises(InputError, match=r"^compressed depth: found RVL .*, expected .*\.$"):
        image_from_compressed(message)


@pytest.mark.parametrize(
    ("form", "headed"),
    [
        ("16UC1; png compressed ", False),
        ("16UC1; png compressed", True),
        ("mono16; png compressed ", False),
        ("png", False),
        ("png", True),
        ("16UC1; compressedDepth", True),
        ("16UC1", True),
    ],
)
def test_png_with_and_without_header_and_name(rng, form, headed):
    values = rng.integers(1, 5000, (6, 8))
    message = packed(values, "16UC1")
    message.format, message.data = form, message.data[0 if headed else 12 :]
    np.testing.assert_allclose(convert.depth_from_image(image_from_compressed(message)), values / 1000.0, atol=1e-6)


def test_a_png_of_no_named_encoding_is_scaled_by_its_header(rng):
    message = packed(rng.integers(1, 5000, (6, 8)), "32FC1", 10100.0, 1.0)
    expected = convert.depth_from_image(image_from_compressed(message))
    message.format = "png"
    np.testing.assert_array_equal(convert.depth_from_image(image_from_compressed(message)), expected)
    message.format, message.data = "32FC1; png compressed ", message.data[12:]
    with pytest.raises(InputError, match="expected the header"):
        image_from_compressed(message)


def test_a_png_cut_short_is_refused():
    message = packed(np.arange(4096).reshape(64, 64), "16UC1")
    message.data = message.data[: len(message.data) // 2]
    with pytest.raises(InputError, match="cannot be read"):
        image_from_compressed(message)


def test_colour_is_not_depth():
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    message = packed(np.ones((4, 4)), "16UC1")
    message.data = np.frombuffer(b"\0" * 12 + file.getvalue(), np.uint8)
    with pytest.raises(InputError, match="16-bit"):
        image_from_compressed(message)
