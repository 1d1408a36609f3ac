"""Messages to arrays: every layout that the messages allow, and one clear refusal for each that they do not."""

from __future__ import annotations

import time
from types import SimpleNamespace as Message

import numpy as np
import pytest

from pose_node.errors import InputError
from pose_node.messages import convert

FLOAT32, FLOAT64, UINT8 = 7, 8, 2


def header(stamp_ns: int = 5_000_000_007, frame_id: str = "camera") -> Message:
    return Message(stamp=Message(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9), frame_id=frame_id)


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
    told = [
        Message(name=n, offset=o, datatype=FLOAT32 if kind.itemsize == 4 else FLOAT64, count=1)
        for n, o in zip(fields, offsets)
    ]
    return Message(
        header=header(), height=height, width=width, fields=told, is_bigendian=kind.byteorder == ">",
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


def info_message(**changes) -> Message:
    """A CameraInfo of a 64 x 48 pinhole camera."""
    values = {
        "header": header(), "height": 48, "width": 64, "distortion_model": "plumb_bob", "d": [0.0] * 5,
        "k": [60.0, 0.0, 31.5, 0.0, 61.0, 23.5, 0.0, 0.0, 1.0], "r": [1.0, 0, 0, 0, 1, 0, 0, 0, 1],
        "p": [60.0, 0.0, 31.5, 0.0, 0.0, 61.0, 23.5, 0.0, 0.0, 0.0, 1.0, 0.0], "binning_x": 0, "binning_y": 0,
        "roi": Message(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
    }  # fmt: skip
    return Message(**{**values, **changes})


def refused(code: str, *words: str):
    """The refusal with this code, whose sentence holds these words."""

    class Refusal:
        def __enter__(self):
            return self

        def __exit__(self, kind, error, trace):
            assert isinstance(error, InputError), f"found {error!r}, expected an InputError"
            assert error.code == code
            for word in words:
                assert word in str(error)
            assert str(error).endswith(".")
            assert "\n" not in str(error)
            return True

    return Refusal()


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


def test_points_whose_fields_stand_in_another_order():
    message = points_message(POINTS[:, [2, 0, 1]], fields="zxy")
    np.testing.assert_array_equal(convert.points_from_cloud(message), POINTS)


@pytest.mark.parametrize("dense", [True, False])
def test_rows_without_a_reading_stay_in_place_whatever_is_dense_says(dense):
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


def test_ten_million_points_in_seconds():
    message = points_message(np.zeros((1, 3)))
    message.width, message.row_step, message.data = 10_000_000, 120_000_000, bytes(120_000_000)
    start = time.perf_counter()
    assert convert.points_from_cloud(message).shape == (10_000_000, 3)
    assert time.perf_counter() - start < 5.0


@pytest.mark.parametrize("missing", "xyz")
def test_a_missing_field_is_named(missing):
    message = points_message(POINTS)
    message.fields = [field for field in message.fields if field.name != missing]
    with refused("missing_field", f"expected {missing}"):
        convert.points_from_cloud(message)


def test_fields_that_are_no_floats_are_refused():
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
def test_steps_that_leave_no_room_are_refused(change):
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
def test_images_that_do_not_add_up_are_refused(change, code):
    message = image_message(np.zeros((2, 3), np.uint16), "16UC1")
    vars(message).update(change)
    with refused(code, "depth image", "expected"):
        convert.depth_from_image(message)


@pytest.mark.parametrize(("encoding", "dtype"), [("mono8", "u1"), ("mono16", "<u2"), ("mono16", ">u2")])
def test_labels_become_one_mask_an_instance(encoding, dtype):
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


def test_a_rectified_image_is_seen_through_p():
    info = info_message(d=[0.3, 0.1, 0.0, 0.0, 0.0], k=[59.0, 0, 30, 0, 59.0, 20, 0, 0, 1.0])
    camera = convert.camera_from_info(info)
    np.testing.assert_array_equal(camera.K, [[60.0, 0, 31.5], [0, 61.0, 23.5], [0, 0, 1]])
    assert camera.distortion is None
    assert camera.shape == (48, 64)


@pytest.mark.parametrize("rectified", [True, False])
def test_a_k_that_was_left_the_identity_says_nothing_where_p_is_set(rectified):
    camera = convert.camera_from_info(info_message(k=[1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0]), rectified)
    assert (camera.K[0, 0], camera.distortion) == (60.0, None)


def test_without_p_a_rectified_image_is_seen_through_k_if_the_lens_is_ideal():
    camera = convert.camera_from_info(info_message(p=[0.0] * 12))
    assert camera.K[0, 0] == 60.0
    with refused("distorted", "0.3", "rectified to false"):
        convert.camera_from_info(info_message(p=[0.0] * 12, d=[0.3, 0, 0, 0, 0]))


@pytest.mark.parametrize("rectified", [True, False])
def test_zero_intrinsics_are_refused(rectified):
    with refused("no_intrinsics", "uncalibrated"):
        convert.camera_from_info(info_message(k=[0.0] * 9, p=[0.0] * 12), rectified)


def test_zero_size_is_refused():
    with refused("size_mismatch", "camera info"):
        convert.camera_from_info(info_message(height=0, width=0))


def test_camera_info_of_a_ros_1_bag():
    info = info_message()
    for name in "kpd":
        setattr(info, name.upper(), vars(info).pop(name))
    assert convert.camera_from_info(info).K[1, 1] == 61.0


@pytest.mark.parametrize("model", ["equidistant", "fisheye", "kannala_brandt4"])
def test_other_lens_models_are_refused_by_name(model):
    with refused("distortion_model", repr(model)):
        convert.camera_from_info(info_message(distortion_model=model), rectified=False)
    assert convert.camera_from_info(info_message(distortion_model=model)).distortion is None  # rectified: P holds


def test_more_coefficients_than_the_model_has_are_refused():
    with refused("distortion_model", "at most 8"):
        convert.camera_from_info(info_message(distortion_model="rational_polynomial", d=[0.01] * 12), rectified=False)


def test_region_of_interest_and_binning_move_the_intrinsics():
    roi = Message(x_offset=8, y_offset=4, height=32, width=48, do_rectify=False)
    camera = convert.camera_from_info(info_message(roi=roi, binning_x=2, binning_y=4))
    assert camera.shape == (8, 24)
    np.testing.assert_allclose(camera.K, [[30.0, 0, (31.5 - 8) / 2], [0, 61.0 / 4, (23.5 - 4) / 4], [0, 0, 1]])


def test_an_image_of_another_size_than_its_camera_is_refused():
    with refused("size_mismatch", "32 x 24", "64 x 48"):
        convert.camera_from_info(info_message()).cloud(np.ones((24, 32), np.float32))


LENSES = {
    "plumb_bob": [-0.28, 0.09, 0.0007, -0.0004, -0.011],
    "rational_polynomial": [0.51, -2.9, 0.0006, -0.0001, 1.7, 0.39, -2.7, 1.6],
}


@pytest.mark.parametrize("model", LENSES)
def test_a_distorted_pixel_sees_where_the_lens_looks(model):
    """Points projected through the lens (OpenCV's formulas, written out) come back from their pixels exactly."""
    d = np.zeros(8)
    d[: len(LENSES[model])] = LENSES[model]
    info = info_message(distortion_model=model, d=list(LENSES[model]))
    camera = convert.camera_from_info(info, rectified=False)
    v, u = np.mgrid[:48, :64]
    depth = (1.0 + 0.01 * u + 0.02 * v).astype(np.float32)
    cloud = camera.cloud(depth, 7, "camera")
    assert len(cloud) == depth.size
    assert (cloud.K is None, cloud.shape, cloud.stamp_ns, cloud.frame_id) == (True, (48, 64), 7, "camera")
    x, y = cloud.points_m[:, 0] / cloud.points_m[:, 2], cloud.points_m[:, 1] / cloud.points_m[:, 2]
    r2 = x * x + y * y
    radial = (1 + d[0] * r2 + d[1] * r2**2 + d[4] * r2**3) / (1 + d[5] * r2 + d[6] * r2**2 + d[7] * r2**3)
    xd = x * radial + 2 * d[2] * x * y + d[3] * (r2 + 2 * x * x)
    yd = y * radial + d[2] * (r2 + 2 * y * y) + 2 * d[3] * x * y
    np.testing.assert_allclose(60.0 * xd + 31.5, u.ravel(), atol=1e-9)
    np.testing.assert_allclose(61.0 * yd + 23.5, v.ravel(), atol=1e-9)
    np.testing.assert_allclose(cloud.points_m[:, 2], depth.ravel(), rtol=1e-12)


def test_a_lens_is_inverted_once_for_all_images():
    camera = convert.camera_from_info(info_message(d=LENSES["plumb_bob"]), rectified=False)
    before = convert._rays.cache_info().misses
    for _ in range(3):
        camera.cloud(np.ones((48, 64), np.float32))
    assert convert._rays.cache_info().misses <= before + 1


def test_pixels_beyond_the_fold_of_a_lens_have_no_ray():
    """A strong barrel turns back at some radius: no ray reaches the corners, and none is invented."""
    d = np.array([-0.9, 0, 0, 0, 0, 0, 0, 0.0])
    rays = convert.undistort(np.array([[0.0, 0.0], [0.2, 0.1], [2.0, 2.0]]), d)
    assert np.isfinite(rays[:2]).all()
    assert np.isnan(rays[2]).all()
    np.testing.assert_allclose(convert.distort(rays[:2], d)[0], [[0.0, 0.0], [0.2, 0.1]], atol=1e-12)


def test_the_jacobian_of_the_lens_is_its_derivative():
    d = np.array(LENSES["rational_polynomial"])
    at = np.random.default_rng(1).uniform(-0.4, 0.4, (20, 2))
    _, jacobian = convert.distort(at, d)
    step = 1e-6
    for axis in range(2):
        offset = np.eye(2)[axis] * step
        slope = (convert.distort(at + offset, d)[0] - convert.distort(at - offset, d)[0]) / (2 * step)
        np.testing.assert_allclose(jacobian[..., axis], slope, atol=1e-7)


@pytest.mark.parametrize("encoding", ["16uc1", "16UC1 ", "MONO16"])
def test_encodings_in_other_letters_are_the_same(encoding):
    pixels = np.array([[1, 800, 900]], np.uint16)
    np.testing.assert_allclose(convert.depth_from_image(image_message(pixels, encoding)), pixels / 1000.0)
    np.testing.assert_array_equal(convert.labels_from_image(image_message(pixels, encoding)), pixels)
    assert convert.holds_depth(encoding, True) and convert.holds_labels(encoding)


def test_grey_of_16_bits_on_a_topic_of_depth_is_millimetres():
    pixels = np.array([[0, 800, 65535]], np.uint16)
    depths = [convert.depth_from_image(image_message(pixels, encoding)) for encoding in ("16UC1", "mono16")]
    np.testing.assert_array_equal(*depths)


@pytest.mark.parametrize(("encoding", "scale_mm"), [("16UC1", 0.25), ("mono16", 0.1), ("32FC1", 1.0)])
def test_a_scale_that_is_told_counts(encoding, scale_mm):
    pixels = np.array([[0, 800, 3000]], "f4" if encoding == "32FC1" else "u2")
    depth = convert.depth_from_image(image_message(pixels, encoding), scale_mm)
    np.testing.assert_allclose(np.nan_to_num(depth), scale_mm * pixels / 1000.0, rtol=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        "Brown Conrady",
        "Inverse Brown Conrady",
        "modified_brown_conrady",
        "brown_conrady",
        "radtan",
        "None",
        "Plumb Bob",
        "",
    ],
)
def test_without_coefficients_browns_model_is_a_pinhole_under_any_name(model):
    for p in ([0.0] * 12, info_message().p):
        for rectified in (True, False):
            assert convert.camera_from_info(info_message(distortion_model=model, p=p), rectified).distortion is None
    if model not in ("", "None"):
        with refused("distortion_model", repr(model)):
            convert.camera_from_info(info_message(distortion_model=model, d=[0.1, 0, 0, 0, 0]), rectified=False)


def test_an_image_of_full_size_whose_region_leaves_out_a_border_was_not_cut():
    """As the drivers that state what rectification left valid; a region that leaves out more is meant."""
    roi = Message(x_offset=1, y_offset=0, height=47, width=63, do_rectify=False)
    camera = convert.camera_from_info(info_message(roi=roi), shape=(48, 64))
    assert camera.shape == (48, 64)
    np.testing.assert_array_equal(camera.K, convert.camera_from_info(info_message()).K)
    assert convert.camera_from_info(info_message(roi=roi), shape=(47, 63)).K[0, 2] == 30.5
    small = Message(x_offset=0, y_offset=0, height=24, width=32, do_rectify=False)
    with refused("size_mismatch"):
        convert.camera_from_info(info_message(roi=small), shape=(48, 64)).cloud(np.ones((48, 64), np.float32))
