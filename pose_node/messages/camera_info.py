"""CameraInfo -> how pixels become rays: intrinsics, region of interest, binning and lens distortion.

Attributes only, so that rclpy's and rosbags' messages share it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.measurement.cloud import Cloud, checked_intrinsics
from pose_node.messages.convert import size_text

_UNDISTORTED = ("", "none", "plumb_bob", "rational_polynomial")
# Names of Brown's model, letters alone: without coefficients each is a pinhole. A fisheye model is not.
_BROWN = re.compile(r"|none|.*(plumbbob|rationalpolynomial|brown|radtan|radialtangential|pinhole|thinprism|opencv).*")
_MAX_BORDER_PX = 2  # one on each side
_COEFFICIENTS = 8  # k1 k2 p1 p2 k3 k4 k5 k6: of the two models that can be undistorted


@dataclass(frozen=True)
class Camera:
    """A camera's intrinsics.

    shape:      (height, width) of its images, after region of interest and binning.
    K:          [3, 3] for those images.
    distortion: [8] k1 k2 p1 p2 k3 k4 k5 k6 of the lens, or None for a pinhole.
    """

    shape: tuple[int, int]
    K: Array
    distortion: Array | None = None

    def cloud(self, depth_m: NDArray[Any], stamp_ns: int = 0, frame_id: str = "") -> Cloud:
        """Back-project a depth image [H, W] in metres; InputError when its size is not the camera's."""
        if depth_m.shape != self.shape:
            raise InputError(
                f"depth image: found {size_text(depth_m.shape)} pixels, expected the camera info's {size_text(self.shape)}.",
                "size_mismatch",
            )
        if self.distortion is None:
            return Cloud.from_depth(depth_m, self.K, stamp_ns, frame_id)
        rays = _rays(self.shape, self.K.tobytes(), self.distortion.tobytes())
        return Cloud.from_rays(depth_m, rays, stamp_ns, frame_id)


def camera_from_info(message: Any, rectified: bool = True, shape: tuple[int, int] | None = None) -> Camera:
    """CameraInfo -> Camera.

    shape:     (height, width) of the image, where it is known. A region of interest that is smaller by a border of a pixel is
               ignored for an image of full size: some drivers state there which pixels are valid after rectification.
    rectified: True for images on a rectified topic (image_rect): P describes them, D the raw camera; where P is unset, K does,
               and then there must be no distortion. False for raw images: K and D; or P where K is the identity, as some drivers
               leave it, and there is no distortion.
    P's fourth column and R are a rectified camera's pose and do not affect its rays: points stay in the image's own optical
    frame, as depth_image_proc leaves them. Region of interest and binning are applied as image_geometry does.
    Raises InputError for zero intrinsics, unknown lens models, and sizes that are not set.
    """
    K = _numbers(message, "k").reshape(3, 3)
    P = _numbers(message, "p").reshape(3, 4)[:, :3]
    D = _numbers(message, "d")
    distortion = None
    if P[0, 0] != 0.0 and (rectified or (not D.any() and np.array_equal(K, np.eye(3)))):
        K = P
    elif rectified and D.any():
        raise InputError(
            f"camera info: found distortion {D.tolist()} and no projection matrix P, expected P for a rectified image "
            "(for raw images set the parameter rectified to false).",
            "distorted",
        )
    else:
        distortion = _distortion(str(message.distortion_model), D)
    K = checked_intrinsics(K)
    roi, full = message.roi, (int(message.height), int(message.width))
    height, width = int(roi.height) or full[0], int(roi.width) or full[1]
    x_offset, y_offset = int(roi.x_offset), int(roi.y_offset)
    if shape == full and 0 <= full[0] - height <= _MAX_BORDER_PX and 0 <= full[1] - width <= _MAX_BORDER_PX:
        (height, width), x_offset, y_offset = full, 0, 0
    if height <= 0 or width <= 0:
        raise InputError(f"camera info: found {width} x {height} pixels, expected the image's size.", "size_mismatch")
    binning_x, binning_y = max(int(message.binning_x), 1), max(int(message.binning_y), 1)
    K = K.copy()
    K[0, 2] -= x_offset
    K[1, 2] -= y_offset
    K[0] /= binning_x
    K[1] /= binning_y
    return Camera((height // binning_y, width // binning_x), K, distortion)


def distort(xy: Array, distortion: Array) -> tuple[Array, Array]:
    """Ideal points [..., 2] on the plane z = 1 -> distorted points, and the Jacobian [..., 2, 2].

    distortion: [8] k1 k2 p1 p2 k3 k4 k5 k6: plumb_bob, and with k4..k6 rational_polynomial (OpenCV's formulas).
    """
    k1, k2, p1, p2, k3, k4, k5, k6 = distortion
    x, y = xy[..., 0], xy[..., 1]
    r2 = x * x + y * y
    above, below = 1 + r2 * (k1 + r2 * (k2 + r2 * k3)), 1 + r2 * (k4 + r2 * (k5 + r2 * k6))
    radial = above / below
    slope = (k1 + r2 * (2 * k2 + 3 * k3 * r2) - radial * (k4 + r2 * (2 * k5 + 3 * k6 * r2))) / below  # d radial / d r2
    moved = np.stack(
        [x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y], -1
    )
    mixed = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y
    jacobian = np.stack(
        [
            np.stack([radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x, mixed], -1),
            np.stack([mixed, radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x], -1),
        ],
        -2,
    )
    return moved, jacobian


def undistort(xy: Array, distortion: Array) -> Array:
    """The inverse of ``distort`` by Newton's method: points [..., 2]; NaN where the lens model has no inverse."""
    target = np.asarray(xy, dtype=np.float64)
    found = target.copy()
    with np.errstate(all="ignore"):  # where the model has no inverse the iteration diverges, and becomes NaN below
        for _ in range(30):
            moved, jacobian = distort(found, distortion)
            error = moved - target
            det = jacobian[..., 0, 0] * jacobian[..., 1, 1] - jacobian[..., 0, 1] * jacobian[..., 1, 0]
            step_x = (jacobian[..., 1, 1] * error[..., 0] - jacobian[..., 0, 1] * error[..., 1]) / det
            step_y = (jacobian[..., 0, 0] * error[..., 1] - jacobian[..., 1, 0] * error[..., 0]) / det
            found = found - np.stack([step_x, step_y], -1)
            if not np.fmax.reduce(np.abs(error), axis=None, initial=0.0) > 1e-13:  # fmax ignores NaN
                break
        moved, jacobian = distort(found, distortion)
        missed = np.abs(moved - target).max(-1)
        det = jacobian[..., 0, 0] * jacobian[..., 1, 1] - jacobian[..., 0, 1] * jacobian[..., 1, 0]
    found[~((missed < 1e-9) & (det > 0))] = np.nan
    return found


@lru_cache(maxsize=4)
def _rays(shape: tuple[int, int], K_bytes: bytes, distortion_bytes: bytes) -> Array:
    """Rays [H, W, 2] of a distorted camera; cached, as images of one camera share them."""
    K = np.frombuffer(K_bytes).reshape(3, 3)
    v, u = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    y = (v - K[1, 2]) / K[1, 1]
    x = (u - K[0, 2] - K[0, 1] * y) / K[0, 0]
    rays = undistort(np.stack([x, y], -1), np.frombuffer(distortion_bytes))
    rays.flags.writeable = False
    return rays


def _numbers(message: Any, name: str) -> Array:
    """A field of CameraInfo: ``k`` in ROS 2, ``K`` in bags of ROS 1."""
    values = getattr(message, name) if hasattr(message, name) else getattr(message, name.upper())
    return np.array(values, dtype=np.float64).ravel()


def _distortion(model: str, D: Array) -> Array | None:
    """The lens as [8] coefficients, None for a pinhole. Raises InputError for a model that cannot be undistorted."""
    if not D.any() and _BROWN.fullmatch(re.sub("[^a-z]", "", model.lower())):
        return None
    if model.lower() not in _UNDISTORTED:
        raise InputError(
            f"camera info: found distortion model {model!r}, expected plumb_bob or rational_polynomial "
            "(rectify the image first, with image_proc for example).",
            "distortion_model",
        )
    if not np.isfinite(D).all() or D[_COEFFICIENTS:].any() or not model:
        raise InputError(
            f"camera info: found distortion {D.tolist()} with model {model!r}, expected at most {_COEFFICIENTS} finite "
            "coefficients of plumb_bob or rational_polynomial.",
            "distortion_model",
        )
    distortion = np.zeros(_COEFFICIENTS)
    distortion[: min(len(D), _COEFFICIENTS)] = D[:_COEFFICIENTS]
    return distortion
