"""ROS messages -> arrays. Attributes only, so that rclpy's and rosbags' messages share this one parser.

Each refusal is an ``InputError`` with a stable ``code`` and one sentence: what was found, what was expected.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.geometry import se3
from pose_node.measurement.cloud import Cloud, are_readings, checked_intrinsics

_FLOATS: dict[int, np.dtype[Any]] = {7: np.dtype(np.float32), 8: np.dtype(np.float64)}  # sensor_msgs/PointField
# REP 118, and what drivers write for 16UC1 that hold an image of 16 bits for a grey one.
_DEPTH: dict[str, np.dtype[Any]] = {
    "16UC1": np.dtype(np.uint16),
    "32FC1": np.dtype(np.float32),
    "mono16": np.dtype(np.uint16),
}
_LABELS: dict[str, np.dtype[Any]] = {
    "mono8": np.dtype(np.uint8),
    "mono16": np.dtype(np.uint16),
    "8UC1": np.dtype(np.uint8),
    "16UC1": np.dtype(np.uint16),
}
_UNDISTORTED = ("", "none", "plumb_bob", "rational_polynomial")
# Brown's model under its names, letters alone: without coefficients all of them are a pinhole. A fisheye is none.
_BROWN = re.compile(r"|none|.*(plumbbob|rationalpolynomial|brown|radtan|radialtangential|pinhole|thinprism|opencv).*")
_UNIT = 0.01  # a quaternion's norm may be off by this much: files and floats round
_BORDER = 2  # pixels: one on each side
_COEFFICIENTS = 8  # k1 k2 p1 p2 k3 k4 k5 k6: what the two models that we undistort can hold


@dataclass(frozen=True)
class Camera:
    """How pixels become rays, from a CameraInfo.

    shape:      (height, width) of the images that it describes, after region of interest and binning.
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
                f"depth image: found {_size(depth_m.shape)} pixels, expected the camera info's {_size(self.shape)}.",
                "size_mismatch",
            )
        if self.distortion is None:
            return Cloud.from_depth(depth_m, self.K, stamp_ns, frame_id)
        rays = _rays(self.shape, self.K.tobytes(), self.distortion.tobytes())
        return Cloud.from_rays(depth_m, rays, stamp_ns, frame_id)


def stamp_ns(message: Any) -> int:
    """The header's stamp in nanoseconds (rosbags and rclpy both spell the fields sec and nanosec)."""
    return int(message.header.stamp.sec) * 1_000_000_000 + int(message.header.stamp.nanosec)


def rigid_motion(translation: Any, rotation: Any, what: str, code: str) -> Array:
    """A position or translation and a quaternion, as geometry_msgs has them -> [4, 4]; InputError where they are none."""
    t = np.array([translation.x, translation.y, translation.z], float)
    quaternion = np.array([rotation.x, rotation.y, rotation.z, rotation.w], float)
    norm = float(np.linalg.norm(quaternion))
    if not np.isfinite(t).all() or not abs(norm - 1.0) < _UNIT:
        raise InputError(
            f"{what}: found translation {t.tolist()} and a quaternion of norm {norm:g}, expected finite numbers and norm 1.",
            code,
        )
    return se3.transform(Rotation.from_quat(quaternion).as_matrix(), t)


def points_from_cloud(message: Any) -> NDArray[Any]:
    """PointCloud2 -> points [height * width, 3], row by row, in the fields' own float type; bad rows stay.

    Any field order, offset, point_step, row_step and endianness. Raises InputError when x, y or z is missing or is no
    float, or when the layout does not add up to the data.
    """
    fields = {field.name: field for field in message.fields}
    height, width = int(message.height), int(message.width)
    point_step, row_step = int(message.point_step), int(message.row_step)
    dtypes, offsets = [], []
    for name in "xyz":
        if name not in fields:
            raise InputError(
                f"point cloud: found fields {', '.join(fields) or 'none'}, expected {name} among them.", "missing_field"
            )
        field = fields[name]
        if field.datatype not in _FLOATS or field.count > 1:
            raise InputError(
                f"point cloud: found field {name} of datatype {field.datatype} and count {field.count}, "
                "expected one FLOAT32 (7) or FLOAT64 (8).",
                "field_type",
            )
        dtypes.append(_ordered(_FLOATS[field.datatype], message.is_bigendian))
        offsets.append(int(field.offset))
    if height * width == 0:
        return np.empty((0, 3))
    if any(offset + dtype.itemsize > point_step for offset, dtype in zip(offsets, dtypes)):
        raise InputError(
            f"point cloud: found point_step {point_step} and x, y, z at offsets {offsets}, expected room for all.",
            "bad_layout",
        )
    if row_step < width * point_step:
        raise InputError(
            f"point cloud: found row_step {row_step}, expected at least width * point_step = {width * point_step}.",
            "bad_layout",
        )
    data = _buffer(message.data, row_step * height, "point cloud", f"row_step * height = {row_step} * {height}")
    points = np.empty((height, width, 3), np.result_type(*(dtype.newbyteorder("=") for dtype in dtypes)))
    for axis, (dtype, offset) in enumerate(zip(dtypes, offsets)):
        points[..., axis] = np.ndarray((height, width), dtype, data, offset, (row_step, point_step))
    return points.reshape(-1, 3)


def holds_depth(encoding: str, named_depth: bool) -> bool:
    """Whether an Image of this encoding can be depth; grey ones only where the topic's name says so."""
    spelled = _spelled(encoding, _DEPTH)
    return spelled in _DEPTH and (named_depth or spelled != "mono16")


def holds_labels(encoding: str) -> bool:
    """Whether an Image of this encoding can be a mask."""
    return _spelled(encoding, _LABELS) in _LABELS


def same_frame(a: str, b: str) -> bool:
    """Whether two frame names can mean one frame: ROS 1 writes some with a slash in front, and no name contradicts nothing."""
    a, b = a.lstrip("/"), b.lstrip("/")
    return not a or not b or a == b


def depth_from_image(message: Any, scale_mm: float | None = None) -> NDArray[np.float32]:
    """Depth Image -> [H, W] float32 metres with NaN where there is no reading (REP 118): 16UC1 and mono16 in mm, 32FC1 in m.

    scale_mm: millimetres that a count, or 1.0 of 32FC1, stands for instead.
    Raises InputError for any other encoding (by name), and when step, height and data do not agree.
    """
    pixels = _pixels(message, _DEPTH, "depth image")
    if pixels.dtype.kind == "f":
        depth = pixels.astype(np.float32)
        return depth if scale_mm is None else depth * np.float32(scale_mm / 1000.0)
    depth = pixels.astype(np.float32)
    if scale_mm is None:
        depth /= np.float32(1000.0)
    else:
        depth *= np.float32(scale_mm / 1000.0)
    depth[~are_readings(pixels)] = np.nan
    return depth


def labels_from_image(message: Any) -> NDArray[Any]:
    """Mask Image -> integer labels [H, W]; 0 is background. Raises InputError for other encodings than _LABELS."""
    return _pixels(message, _LABELS, "mask")


def masks_from_labels(
    labels: NDArray[Any], names: Mapping[int, str], shape: tuple[int, ...]
) -> dict[str, list[NDArray[np.bool_]]]:
    """Label image [H, W] -> {object name: [bool mask of ``shape`` for each of its labels]}; others are skipped.

    shape: the cloud's own: (height, width), or (rows,) for points. Raises InputError when the sizes differ.
    """
    if labels.shape != shape and (len(shape) != 1 or labels.size != shape[0]):
        raise InputError(f"mask: found {_size(labels.shape)} labels, expected {_size(shape)}.", "mask_size_mismatch")
    masks: dict[str, list[NDArray[np.bool_]]] = {}
    for label in np.unique(labels):
        if int(label) in names:
            masks.setdefault(names[int(label)], []).append((labels == label).reshape(shape))
    return masks


def parse_labels(texts: Any) -> dict[int, str]:
    """["5:mustard_bottle", ...] -> {5: "mustard_bottle"}; InputError when a text is not of that form."""
    names: dict[int, str] = {}
    for text in texts:
        number, _, name = str(text).partition(":")
        if not number.strip().isdigit() or int(number) == 0 or not name.strip():
            raise InputError(f"mask_labels: found {text!r}, expected 'LABEL:OBJECT' with a label above 0.")
        if int(number) in names:
            raise InputError(f"mask_labels: found label {int(number)} twice, expected each label once.")
        names[int(number)] = name.strip()
    return names


def camera_from_info(message: Any, rectified: bool = True, shape: tuple[int, int] | None = None) -> Camera:
    """CameraInfo -> Camera.

    shape:     (height, width) of the image, where it is known. One of the full size was not cut to a region of interest that
               leaves out no more than a border of a pixel, as some drivers state what rectification left valid.
    rectified: True for images on a rectified topic (image_rect): P describes them, whatever D says of the raw camera;
               where P is unset, K does, and then the lens must have no distortion. False for raw images: K and D, unless
               there is no distortion and K was left the identity where P is set.
    P's fourth column and R say where a rectified camera stands, not how its pixels see: points stay in the image's own
    optical frame, as depth_image_proc leaves them. Region of interest and binning are applied as image_geometry does.
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
    if shape == full and 0 <= full[0] - height <= _BORDER and 0 <= full[1] - width <= _BORDER:
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
    """Where a lens moves ideal points [..., 2] on the plane z = 1, and the Jacobian [..., 2, 2] of that motion.

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
    with np.errstate(all="ignore"):  # points beyond the lens's fold run away and become NaN below
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
    """Rays [H, W, 2] of a distorted camera; kept, as a camera's lens does not change from image to image."""
    K = np.frombuffer(K_bytes).reshape(3, 3)
    v, u = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    y = (v - K[1, 2]) / K[1, 1]
    x = (u - K[0, 2] - K[0, 1] * y) / K[0, 0]
    rays = undistort(np.stack([x, y], -1), np.frombuffer(distortion_bytes))
    rays.flags.writeable = False
    return rays


def _numbers(message: Any, name: str) -> Array:
    """A field of CameraInfo: ``k`` in ROS 2, ``K`` in the bags of ROS 1."""
    values = getattr(message, name) if hasattr(message, name) else getattr(message, name.upper())
    return np.array(values, dtype=np.float64).ravel()


def _distortion(model: str, D: Array) -> Array | None:
    """The lens as [8] coefficients, None for a pinhole; InputError names a model that we cannot undistort."""
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


def _pixels(message: Any, encodings: Mapping[str, np.dtype[Any]], what: str) -> NDArray[Any]:
    """Image -> [H, W] of a one-channel encoding, step padding removed."""
    encoding, height = _spelled(str(message.encoding), encodings), int(message.height)
    width, step = int(message.width), int(message.step)
    if encoding not in encodings:
        raise InputError(f"{what}: found encoding {encoding!r}, expected one of {', '.join(encodings)}.", "encoding")
    if height == 0 or width == 0:
        raise InputError(f"{what}: found {width} x {height} pixels, expected a non-empty image.", "empty_image")
    dtype = _ordered(encodings[encoding], message.is_bigendian)
    if step < width * dtype.itemsize:
        raise InputError(f"{what}: found step {step}, expected at least {width * dtype.itemsize} bytes.", "bad_layout")
    data = _buffer(message.data, step * height, what, f"step * height = {step} * {height}")
    return np.ndarray((height, width), dtype, data, 0, (step, dtype.itemsize))


def _spelled(encoding: str, encodings: Iterable[str]) -> str:
    """The one of ``encodings`` that differs from an encoding in small and large letters alone, else the encoding as it is."""
    return next((known for known in encodings if known.lower() == encoding.strip().lower()), encoding)


def _buffer(data: Any, expected: int, what: str, formula: str) -> NDArray[np.uint8]:
    found = np.frombuffer(data, np.uint8) if len(data) else np.empty(0, np.uint8)
    if len(found) != expected:
        raise InputError(f"{what}: found {len(found)} bytes of data, expected {formula}.", "data_length")
    return found


def _ordered(dtype: np.dtype[Any], big_endian: Any) -> np.dtype[Any]:
    """``dtype`` in the message's byte order; native where they agree, which keeps numpy's fast paths."""
    return dtype if bool(big_endian) == (sys.byteorder == "big") else dtype.newbyteorder()


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in reversed(shape))
