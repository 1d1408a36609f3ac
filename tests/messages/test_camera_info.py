"""CameraInfo to rays: rectified and raw images, regions of interest, binning, and lenses."""

from __future__ import annotations

from types import SimpleNamespace as Message

import numpy as np
import pytest
from message_makers import info_message, refused

from pose_node.messages import camera_info
from pose_node.messages.camera_info import camera_from_info, distort, undistort


def test_a_rectified_image_uses_p():
    info = info_message(d=[0.3, 0.1, 0.0, 0.0, 0.0], k=[59.0, 0, 30, 0, 59.0, 20, 0, 0, 1.0])
    camera = camera_from_info(info)
    np.testing.assert_array_equal(camera.K, [[60.0, 0, 31.5], [0, 61.0, 23.5], [0, 0, 1]])
    assert camera.distortion is None
    assert camera.shape == (48, 64)


@pytest.mark.parametrize("rectified", [True, False])
def test_an_identity_k_is_ignored_where_p_is_set(rectified):
    camera = camera_from_info(info_message(k=[1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0]), rectified)
    assert (camera.K[0, 0], camera.distortion) == (60.0, None)


def test_without_p_a_rectified_image_uses_k_if_there_is_no_distortion():
    camera = camera_from_info(info_message(p=[0.0] * 12))
    assert camera.K[0, 0] == 60.0
    with refused("distorted", "0.3", "rectified to false"):
        camera_from_info(info_message(p=[0.0] * 12, d=[0.3, 0, 0, 0, 0]))


@pytest.mark.parametrize("rectified", [True, False])
def test_zero_intrinsics_are_refused(rectified):
    with refused("no_intrinsics", "uncalibrated"):
        camera_from_info(info_message(k=[0.0] * 9, p=[0.0] * 12), rectified)


def test_zero_size_is_refused():
    with refused("size_mismatch", "camera info"):
        camera_from_info(info_message(height=0, width=0))


def test_camera_info_of_a_ros_1_bag():
    info = info_message()
    for name in "kpd":
        setattr(info, name.upper(), vars(info).pop(name))
    assert camera_from_info(info).K[1, 1] == 61.0


@pytest.mark.parametrize("model", ["equidistant", "fisheye", "kannala_brandt4"])
def test_other_lens_models_are_refused_by_name(model):
    with refused("distortion_model", repr(model)):
        camera_from_info(info_message(distortion_model=model), rectified=False)
    assert camera_from_info(info_message(distortion_model=model)).distortion is None  # rectified: P is used


def test_more_coefficients_than_the_model_has_are_refused():
    with refused("distortion_model", "at most 8"):
        camera_from_info(info_message(distortion_model="rational_polynomial", d=[0.01] * 12), rectified=False)


def test_region_of_interest_and_binning_move_the_intrinsics():
    roi = Message(x_offset=8, y_offset=4, height=32, width=48, do_rectify=False)
    camera = camera_from_info(info_message(roi=roi, binning_x=2, binning_y=4))
    assert camera.shape == (8, 24)
    np.testing.assert_allclose(camera.K, [[30.0, 0, (31.5 - 8) / 2], [0, 61.0 / 4, (23.5 - 4) / 4], [0, 0, 1]])


def test_an_image_of_another_size_than_its_camera_is_refused():
    with refused("size_mismatch", "32 x 24", "64 x 48"):
        camera_from_info(info_message()).cloud(np.ones((24, 32), np.float32))


LENSES = {
    "plumb_bob": [-0.28, 0.09, 0.0007, -0.0004, -0.011],
    "rational_polynomial": [0.51, -2.9, 0.0006, -0.0001, 1.7, 0.39, -2.7, 1.6],
}


@pytest.mark.parametrize("model", LENSES)
def test_rays_of_a_distorted_image_project_to_their_pixels(model):
    """Points projected through the lens (OpenCV's formulas, written out) come back from their pixels exactly."""
    d = np.zeros(8)
    d[: len(LENSES[model])] = LENSES[model]
    info = info_message(distortion_model=model, d=list(LENSES[model]))
    camera = camera_from_info(info, rectified=False)
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


def test_the_rays_of_a_lens_are_computed_once():
    camera = camera_from_info(info_message(d=LENSES["plumb_bob"]), rectified=False)
    before = camera_info._rays.cache_info().misses
    for _ in range(3):
        camera.cloud(np.ones((48, 64), np.float32))
    assert camera_info._rays.cache_info().misses <= before + 1


def test_pixels_that_no_ray_reaches_are_nan():
    """With strong barrel distortion the model folds back at some radius: no ray reaches the corners."""
    d = np.array([-0.9, 0, 0, 0, 0, 0, 0, 0.0])
    rays = undistort(np.array([[0.0, 0.0], [0.2, 0.1], [2.0, 2.0]]), d)
    assert np.isfinite(rays[:2]).all()
    assert np.isnan(rays[2]).all()
    np.testing.assert_allclose(distort(rays[:2], d)[0], [[0.0, 0.0], [0.2, 0.1]], atol=1e-12)


def test_the_jacobian_is_the_derivative_of_the_distortion():
    d = np.array(LENSES["rational_polynomial"])
    at = np.random.default_rng(1).uniform(-0.4, 0.4, (20, 2))
    _, jacobian = distort(at, d)
    step = 1e-6
    for axis in range(2):
        offset = np.eye(2)[axis] * step
        slope = (distort(at + offset, d)[0] - distort(at - offset, d)[0]) / (2 * step)
        np.testing.assert_allclose(jacobian[..., axis], slope, atol=1e-7)


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
def test_browns_model_without_coefficients_is_a_pinhole_under_any_name(model):
    for p in ([0.0] * 12, info_message().p):
        for rectified in (True, False):
            assert camera_from_info(info_message(distortion_model=model, p=p), rectified).distortion is None
    if model not in ("", "None"):
        with refused("distortion_model", repr(model)):
            camera_from_info(info_message(distortion_model=model, d=[0.1, 0, 0, 0, 0]), rectified=False)


def test_a_region_that_leaves_out_a_border_is_ignored_for_an_image_of_full_size():
    """Some drivers state the pixels that are valid after rectification; a smaller region is a real one."""
    roi = Message(x_offset=1, y_offset=0, height=47, width=63, do_rectify=False)
    camera = camera_from_info(info_message(roi=roi), shape=(48, 64))
    assert camera.shape == (48, 64)
    np.testing.assert_array_equal(camera.K, camera_from_info(info_message()).K)
    assert camera_from_info(info_message(roi=roi), shape=(47, 63)).K[0, 2] == 30.5
    small = Message(x_offset=0, y_offset=0, height=24, width=32, do_rectify=False)
    with refused("size_mismatch"):
        camera_from_info(info_message(roi=small), shape=(48, 64)).cloud(np.ones((48, 64), np.float32))
