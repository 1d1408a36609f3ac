"""Messages to arrays: every layout that the messages allow, and one clear refusal for each that is invalid."""

from __future__ import annotations

from types import SimpleNamespace as Message

import numpy as np
import pytest
from message_makers import header, refused

from pose_node.errors import InputError
from pose_node.messages import convert

FLOAT32, FLOAT64, UINT8 = 7, 8, 2


def points_message(
    points, dtype="<f4", height=1, fields="xyz", offsets=None, point_step=None, padding=0, dense=True
) -> Message:
    """A PointCloud2 of points [height * width, 3] in any layout."""
    points = np.asarray(points, dtype=float)
    kind = np.dtype(dtype)
    offsets = offsets or [kind.itemsize * i for i in range(3)]
    point_step = point_step or kind.itemsize * 3
    width = len(points) // height
    row_step = width * point_step + padding
    data = np.full(height * row_step, 0xA5, np.uint8)
    for axis, offset in enumerate(offsets if len(points) else []):
        view = np.ndarray((height, width), kind, data, offset, (row_step, point_step))
        view[:] = points[:, axis].reshape(height, width)
    described = [
        Message(name=n, offset=o, datatype=FLOAT32 if kind.itemsize == 4 else FLOAT64, count=1)
        for n, o in zip(fields, offsets)
    ]
    return Message(
        header=header(), height=height, width=width, fields=described, is_bigendian=kind.byteorder == ">",
        point_step=point_step, row_step=row_step, data=data.tobytes(), is_dense=dense,
    )  # fmt: skip


def image_message(pixels, encoding: str, padding: int = 0) -> Message:
    """An Image of [H, W] pixels, rows padded; big-endian when the array's type is."""
    height, width = pixels.shape
    step = width * pixels.itemsize + padding
    data = np.full((height, step), 0xA5, np.uint8)
    data[:, : width * pixels.itemsize] = np.frombuffer(pixels.tobytes(), np.uint8).reshape(height, -1)
    big = pixels.dtype.byteorder == ">"
    return Message(
        header=header(), height=height, width=width, encoding=encoding, is_bigendian=int(big), step=step, data=data.tobytes()
    )  # fmt: skip


POINTS = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)


@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f4", ">f8"])
@pytest.mark.parametrize("height", [1, 3])
@pytest.mark.parametrize("padding", [0, 5])
def test_points_in_any_type_order_and_organisation(dtype, height, padding):
    found = convert.points_from_cloud(points_message(POINTS, dtype, height, padding=padding))
    np.testing.assert_array_equal(found, POINTS)
    assert found.dtype.isnative


def test_points_at_odd_offsets_and_steps():
    message = points_message(POINTS, offsets=[9, 1, 21], point_step=29)
    np.testing.assert_array_equal(convert.points_from_cloud(message), POINTS)


def test_points_whose_fields_are_in_another_order():
    message = points_message(POINTS[:, [2, 0, 1]], fields="zxy")
    np.testing.assert_array_equal(convert.points_from_cloud(message), POINTS)


@pytest.mark.parametrize("dense", [True, False])
def test_rows_without_a_reading_stay_whatever_is_dense_says(dense):
    points = POINTS.copy()
    points[3], points[4] = np.nan, np.inf
    found = convert.points_from_cloud(points_message(points, dense=dense))
    np.testing.assert_array_equal(found, points)


@pytest.mark.parametrize("kind", [bytes, bytearray, lambda b: np.frombuffer(b, np.uint8)])
def test_data_of_rclpy_and_of_rosbags(kind):
    message = points_message(POINTS)
    message.data = kind(message.data)
    np.testing.assert_array_equal(convert.points_from_cloud(message), POINTS)


def test_an_empty_cloud_has_no_points():
    assert convert.points_from_cloud(points_message(np.empty((0, 3)))).shape == (0, 3)


@pytest.mark.parametrize("missing", "xyz")
def test_a_missing_field_is_named(missing):
    message = points_message(POINTS)
    message.fields = [field for field in message.fields if field.name != missing]
    with refused("missing_field", f"expected {missing}"):
        convert.points_from_cloud(message)


def test_fields_of_other_types_than_float_are_refused():
    message = points_message(POINTS)
    message.fields[1].datatype = UINT8
    with refused("field_type", "field y", "datatype 2"):
        convert.points_from_cloud(message)


@pytest.mark.parametrize(
    "change",
    [
        {"data": b""},
        {"data": bytes(143)},
        {"data": bytes(145)},
        {"row_step": 145},
        {"height": 2},
    ],
)
def test_data_of_the_wrong_length_is_refused(change):
    message = points_message(POINTS)
    vars(message).update(change)
    with refused("data_length", "expected row_step * height"):
        convert.points_from_cloud(message)


@pytest.mark.parametrize("change", [{"row_step": 12}, {"point_step": 11}])
def test_steps_that_are_too_small_are_refused(change):
    message = points_message(POINTS)
    vars(message).update(change)
    with refused("bad_layout", "expected"):
        convert.points_from_cloud(message)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("padding", [0, 3])
def test_16uc1_is_millimetres_and_zero_and_the_largest_are_no_reading(order, padding):
    pixels = np.array([[0, 1, 1000], [65535, 2, 500]], dtype=f"{order}u2")
    depth = convert.depth_from_image(image_message(pixels, "16UC1", padding))
    np.testing.assert_array_equal(depth, np.array([[np.nan, 0.001, 1.0], [np.nan, 0.002, 0.5]], np.float32))
    assert depth.dtype == np.float32


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("padding", [0, 6])
def test_32fc1_is_metres_to_the_bit(order, padding):
    pixels = np.array([[np.nan, 0.1, np.inf], [0.0, -1.0, 2.5]], dtype=f"{order}f4")
    depth = convert.depth_from_image(image_message(pixels, "32FC1", padding))
    np.testing.assert_array_equal(depth, pixels)


@pytest.mark.parametrize("encoding", ["rgb8", "mono8", "64FC1", "16SC1", ""])
def test_other_encodings_are_refused_by_name(encoding):
    with refused("encoding", repr(encoding), "16UC1, 32FC1"):
        convert.depth_from_image(image_message(np.zeros((2, 3), np.uint16), encoding))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"data": bytes(11)}, "data_length"),
        ({"data": bytes(13)}, "data_length"),
        ({"step": 5}, "bad_layout"),
        ({"height": 0}, "empty_image"),
        ({"width": 0}, "empty_image"),
    ],
)
def test_images_whose_layout_and_data_disagree_are_refused(change, code):
    message = image_message(np.zeros((2, 3), np.uint16), "16UC1")
    vars(message).update(change)
    with refused(code, "depth image", "expected"):
        convert.depth_from_image(message)


@pytest.mark.parametrize(("encoding", "dtype"), [("mono8", "u1"), ("mono16", "<u2"), ("mono16", ">u2")])
def test_each_label_becomes_a_mask(encoding, dtype):
    pixels = np.array([[0, 5, 5], [7, 9, 0]], dtype)
    labels = convert.labels_from_image(image_message(pixels, encoding, 1))
    masks = convert.masks_from_labels(labels, {5: "mug", 7: "mug", 8: "bowl"}, (2, 3))
    assert list(masks) == ["mug"]
    np.testing.assert_array_equal(masks["mug"], [pixels == 5, pixels == 7])
    flat = convert.masks_from_labels(labels, {5: "mug"}, (6,))
    np.testing.assert_array_equal(flat["mug"][0], (pixels == 5).ravel())


def test_a_mask_of_another_size_or_encoding_is_refused():
    labels = np.ones((2, 3), np.uint8)
    with refused("mask_size_mismatch", "3 x 2", "4 x 2"):
        convert.masks_from_labels(labels, {1: "mug"}, (2, 4))
    with refused("encoding", "mask", "'rgb8'"):
        convert.labels_from_image(image_message(labels, "rgb8"))


def test_label_names():
    assert convert.parse_labels(["5:mug", " 14 : bowl"]) == {5: "mug", 14: "bowl"}
    for bad in (["mug"], ["x:mug"], ["0:mug"], ["5:"], ["5:mug", "5:bowl"]):
        with pytest.raises(InputError, match="mask_labels"):
            convert.parse_labels(bad)


def test_stamp_in_nanoseconds():
    assert convert.stamp_ns(Message(header=header(1_700_000_000_123_456_789))) == 1_700_000_000_123_456_789


@pytest.mark.parametrize("encoding", ["16uc1", "16UC1 ", "MONO16"])
def test_encodings_in_other_case_are_the_same(encoding):
    pixels = np.array([[1, 800, 900]], np.uint16)
    np.testing.assert_allclose(convert.depth_from_image(image_message(pixels, encoding)), pixels / 1000.0)
    np.testing.assert_array_equal(convert.labels_from_image(image_message(pixels, encoding)), pixels)
    assert convert.holds_depth(encoding, True) and convert.holds_labels(encoding)


def test_mono16_on_a_depth_topic_is_millimetres():
    pixels = np.array([[0, 800, 65535]], np.uint16)
    depths = [convert.depth_from_image(image_message(pixels, encoding)) for encoding in ("16UC1", "mono16")]
    np.testing.assert_array_equal(*depths)


@pytest.mark.parametrize(("encoding", "scale_mm"), [("16UC1", 0.25), ("mono16", 0.1), ("32FC1", 1.0)])
def test_a_given_scale_is_applied(encoding, scale_mm):
    pixels = np.array([[0, 800, 3000]], "f4" if encoding == "32FC1" else "u2")
    depth = convert.depth_from_image(image_message(pixels, encoding), scale_mm)
    np.testing.assert_allclose(np.nan_to_num(depth), scale_mm * pixels / 1000.0, rtol=1e-6)
