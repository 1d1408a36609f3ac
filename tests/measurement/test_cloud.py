"""Clouds: back-projection, which values are readings, and one sentence for each invalid input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pose_node.errors import InputError
from pose_node.measurement.cloud import Cloud, are_readings, checked_intrinsics

K = np.array([[500.0, 0.0, 3.2], [0.0, 510.0, 2.1], [0.0, 0.0, 1.0]])

any_depth = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.one_of(st.floats(0.0, 10.0, width=32), st.sampled_from([0.0, -1.0, np.nan, np.inf, -np.inf])),
)
skews = st.floats(-5.0, 5.0)


@given(any_depth, skews)
def test_every_point_projects_to_the_centre_of_its_pixel(depth, skew):
    camera = K.copy()
    camera[0, 1] = skew
    cloud = Cloud.from_depth(depth, camera)
    pixels = (camera @ cloud.points_m.T).T
    v, u = np.unravel_index(cloud.source_index, cloud.shape)
    np.testing.assert_allclose(pixels[:, :2] / pixels[:, 2:], np.stack([u, v], axis=1), atol=1e-6)
    np.testing.assert_array_equal(cloud.points_m[:, 2], depth.ravel()[cloud.source_index].astype(float))


@given(any_depth)
def test_readings_are_the_finite_positive_ones_in_order(depth):
    cloud = Cloud.from_depth(depth, K, stamp_ns=5, frame_id="camera")
    usable = [i for i, z in enumerate(depth.ravel()) if np.isfinite(z) and z > 0]
    assert cloud.source_index.tolist() == usable
    assert len(cloud) == len(usable)
    assert (cloud.shape, cloud.stamp_ns, cloud.frame_id) == (depth.shape, 5, "camera")
    assert np.isfinite(cloud.points_m).all()
    np.testing.assert_array_equal(cloud.viewpoint_m, np.zeros(3))


@given(any_depth)
def test_rays_of_a_pinhole_give_the_pinholes_cloud(depth):
    v, u = np.indices(depth.shape)
    rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1]], axis=-1)
    pinhole, general = Cloud.from_depth(depth, K), Cloud.from_rays(depth, rays)
    np.testing.assert_allclose(general.points_m, pinhole.points_m, atol=1e-12)
    np.testing.assert_array_equal(general.source_index, pinhole.source_index)
    assert general.K is None


@pytest.mark.parametrize("nothing", [0.0, -1.0, np.nan, np.inf, np.finfo(np.float32).max, 1e10, 1000.0, 65.535])
def test_values_that_drivers_write_for_no_reading_are_none(nothing):
    depth = np.array([[1.0, nothing], [2.0, 3.0]], np.float32)
    np.testing.assert_array_equal(Cloud.from_depth(depth, K).source_index, [0, 2, 3])
    points = np.column_stack([np.zeros((4, 2)), depth.ravel()])
    if nothing not in (-1.0, 65.535):  # of a point these are places
        np.testing.assert_array_equal(Cloud.from_points(points).source_index, [0, 2, 3])


@pytest.mark.parametrize("dtype", ["u2", ">u2", "i2", "u4", "i4"])
def test_the_smallest_and_largest_count_are_no_readings(dtype):
    counts = np.array([0, 1, 70, np.iinfo(dtype).max], dtype)
    assert are_readings(counts).tolist() == [False, True, True, False]


def test_a_16_bit_image_in_a_wider_type_is_recognised():
    assert are_readings(np.array([[0, 1, 65535]], np.int32)).tolist() == [[False, True, False]]
    assert are_readings(np.array([[0, 65535, 65536]], np.int32)).tolist() == [[False, True, True]]
    assert are_readings(np.empty((0, 3), np.int32)).shape == (0, 3)


def test_pixels_without_a_ray_are_no_reading():
    rays = np.zeros((2, 2, 2))
    rays[0, 1] = np.nan
    assert Cloud.from_rays(np.ones((2, 2)), rays).source_index.tolist() == [0, 2, 3]


@given(arrays(float, (6, 3), elements=st.one_of(st.floats(-5, 5), st.sampled_from([np.nan, np.inf, -np.inf]))))
def test_bare_points_must_be_finite(points):
    cloud = Cloud.from_points(points, viewpoint_m=(9.0, 0.0, 0.0))
    assert cloud.source_index.tolist() == [i for i, p in enumerate(points) if np.isfinite(p).all()]
    np.testing.assert_array_equal(cloud.points_m, points[cloud.source_index])
    np.testing.assert_array_equal(cloud.viewpoint_m, [9.0, 0.0, 0.0])
    assert cloud.shape == (6,)


def test_rows_at_the_viewpoint_are_no_reading():
    cloud = Cloud.from_points([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [1.0, 0.0, 0.0]], viewpoint_m=[1.0, 2.0, 3.0])
    assert cloud.source_index.tolist() == [0, 2]


def test_the_input_is_not_changed():
    depth, points = np.full((3, 4), 0.5, np.float32), np.random.default_rng(0).normal(size=(5, 3))
    depth_before, points_before = depth.copy(), points.copy()
    Cloud.from_depth(depth, K).points_m[:] = 7.0
    Cloud.from_points(points).points_m[:] = 7.0
    np.testing.assert_array_equal(depth, depth_before)
    np.testing.assert_array_equal(points, points_before)


@pytest.mark.parametrize(
    "depth",
    [np.zeros((4, 5)), np.full((4, 5), np.nan), np.full((4, 5), np.inf), np.full((4, 5), -1.0)],
    ids=["all zero", "all NaN", "all infinite", "all negative"],
)
def test_an_image_without_readings_is_an_empty_cloud(depth):
    cloud = Cloud.from_depth(depth, K)
    assert len(cloud) == 0
    assert cloud.points_m.shape == (0, 3)


@pytest.mark.parametrize(
    "points",
    [np.zeros((0, 3)), np.full((9, 3), np.nan), np.full((9, 3), np.inf), np.zeros((9, 3))],
    ids=["empty", "all NaN", "all infinite", "all zero"],
)
def test_points_without_readings_are_an_empty_cloud(points):
    assert len(Cloud.from_points(points)) == 0


def test_few_readings_among_nan_are_kept():
    points = np.full((500, 3), np.nan)
    points[::100] = [0.1, 0.2, 0.7]
    assert Cloud.from_points(points).source_index.tolist() == [0, 100, 200, 300, 400]


@pytest.mark.parametrize(
    ("depth", "said"),
    [
        (np.zeros((0, 5)), r"found shape \(0, 5\), expected a non-empty \(height, width\)"),
        (np.zeros(5), r"found shape \(5,\)"),
        (np.zeros((4, 5, 1)), r"found shape \(4, 5, 1\)"),
        (np.full((4, 5), 700, np.uint16), "found uint16, expected floats in metres"),
        (np.full((4, 5), True), "found bool"),
        (np.full((4, 5), 700.0), "found a median range of 700 m, expected metres"),
    ],
    ids=["no rows", "one axis", "three axes", "16UC1 as it is", "bool", "millimetres"],
)
def test_invalid_depth_images_are_refused(depth, said):
    with pytest.raises(InputError, match=f"^depth image: {said}"):
        Cloud.from_depth(depth, K)


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (np.zeros((4, 2)), r"found shape \(4, 2\), expected \(N, 3\)"),
        (np.zeros(3), r"found shape \(3,\)"),
        (np.zeros((2, 4, 3)), r"found shape \(2, 4, 3\)"),
        (np.full((4, 3), 700.0), "found a median range of 1212 m, expected metres"),
    ],
    ids=["two columns", "one axis", "organised", "millimetres"],
)
def test_invalid_points_are_refused(points, said):
    with pytest.raises(InputError, match=f"^points: {said}"):
        Cloud.from_points(points)


@pytest.mark.parametrize("viewpoint", [(0.0, 0.0), (0.0, 0.0, np.nan), (np.inf, 0.0, 0.0), 1.0, np.zeros((1, 3))])
def test_invalid_viewpoints_are_refused(viewpoint):
    with pytest.raises(InputError, match=r"^viewpoint: found .*expected three finite numbers"):
        Cloud.from_points(np.ones((4, 3)), viewpoint_m=viewpoint)


def test_rays_must_fit_the_image():
    with pytest.raises(InputError, match=r"^rays: found shape \(4, 5, 2\), expected \(5, 4, 2\)"):
        Cloud.from_rays(np.ones((5, 4)), np.zeros((4, 5, 2)))


def changed(row: int, column: int, value: float) -> np.ndarray:
    camera = K.copy()
    camera[row, column] = value
    return camera


@pytest.mark.parametrize(
    ("camera", "said"),
    [
        (np.zeros((3, 3)), "found fx=0, fy=0, expected positive focal lengths"),
        (changed(0, 0, -500.0), "found fx=-500"),
        (changed(1, 1, np.nan), "fy=nan"),
        (changed(0, 2, np.inf), "expected positive focal lengths"),
        (changed(1, 0, 2.0), "expected .0, fy, cy. and .0, 0, 1."),
        (changed(2, 2, 2.0), "expected .0, fy, cy. and .0, 0, 1."),
        (K.T.copy(), "expected .0, fy, cy. and .0, 0, 1."),
        (K.ravel(), r"found shape \(9,\), expected \(3, 3\)"),
        (np.eye(4), r"found shape \(4, 4\), expected \(3, 3\)"),
    ],
    ids=["zeros", "negative", "NaN", "infinite", "K10", "K22", "transposed", "flat", "4x4"],
)
def test_invalid_intrinsics_are_refused(camera, said):
    with pytest.raises(InputError, match=f"^camera matrix K: .*{said}"):
        Cloud.from_depth(np.ones((4, 5)), camera)


def test_errors_have_codes_for_counting():
    with pytest.raises(InputError) as no_intrinsics:
        checked_intrinsics(np.zeros((3, 3)))
    with pytest.raises(InputError) as not_metres:
        Cloud.from_points(np.full((4, 3), 700.0))
    with pytest.raises(InputError) as other:
        Cloud.from_points(np.zeros(3))
    assert [e.value.code for e in (no_intrinsics, not_metres, other)] == ["no_intrinsics", "not_metres", "bad_input"]


@pytest.mark.parametrize("scale", [1e-3, 1e-6])
def test_depth_too_small_to_be_metres_is_refused(scale):
    """Millimetres divided twice, a scale in metres per count, no scale at all, for a scene between 0.4 and 9 m."""
    depth = scale * np.linspace(0.4, 9.0, 400).reshape(20, 20)
    said = r"found a median range of [0-9.e-]+ m, nearer than any depth camera sees, expected metres \("
    with pytest.raises(InputError, match=f"^depth image: {said}") as caught:
        Cloud.from_depth(depth, K)
    assert caught.value.code == "not_metres"
    with pytest.raises(InputError, match=f"^points: {said}"):
        Cloud.from_points(Cloud.from_depth(depth / scale, K).points_m * scale)
    with pytest.raises(InputError, match=f"^depth image: {said}"):
        Cloud.from_rays(depth, np.zeros((20, 20, 2)))


def test_near_scenes_are_accepted_as_metres():
    """Neither a few readings at the lens nor an image with few readings is refused."""
    depth = np.full((20, 20), 0.02)
    depth[:9] = 0.001
    assert len(Cloud.from_depth(depth, K)) == 400
    assert len(Cloud.from_depth(np.full((3, 3), 0.001), K)) == 9


def test_a_few_far_points_do_not_make_it_millimetres():
    depth = np.full((10, 10), 0.8)
    depth[:4] = 5000.0
    assert len(Cloud.from_depth(depth, K)) == 60
