"""ROS messages -> arrays: point clouds, depth images, masks, stamps and poses. CameraInfo is in ``camera_info``.

Attributes only, so that rclpy's and rosbags' messages share this one parser. Each refusal is an ``InputError`` with a
stable ``code`` and one sentence: what was found, what was expected.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.geometry import se3
from pose_node.measurement.cloud import are_readings

_FLOATS: dict[int, np.dtype[Any]] = {7: np.dtype(np.float32), 8: np.dtype(np.float64)}  # sensor_msgs/PointField
# REP 118, and mono16, which some drivers write for 16UC1.
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
_NORM_TOLERANCE = 0.01  # of a quaternion: files and floats round


def stamp_ns(message: Any) -> int:
    """The header's stamp in nanoseconds (rosbags and rclpy both spell the fields sec and nanosec)."""
    return int(message.header.stamp.sec) * 1_000_000_000 + int(message.header.stamp.nanosec)


def rigid_motion(translation: Any, rotation: Any, what: str, code: str) -> Array:
    """A geometry_msgs position or translation, and quaternion -> [4, 4]; InputError where they are no rigid motion."""
    t = np.array([translation.x, translation.y, translation.z], float)
    quaternion = np.array([rotation.x, rotation.y, rotation.z, rotation.w], float)
    norm = float(np.linalg.norm(quaternion))
    if not np.isfinite(t).all() or not abs(norm - 1.0) < _NORM_TOLERANCE:
        raise InputError(
            f"{what}: found translation {t.tolist()} and a quaternion of norm {norm:g}, expected finite numbers and norm 1.",
            code,
        )
    return se3.transform(Rotation.from_quat(quaternion).as_matrix(), t)


def points_from_cloud(message: Any) -> NDArray[Any]:
    """PointCloud2 -> points [height * width, 3], row by row, in the fields' own float type, NaN rows included.

    Any field order, offset, point_step, row_step and endianness. Raises InputError when x, y or z is missing or is no
    float, and when layout and data do not agree.
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
    """Whether an Image of this encoding can be depth; mono16 only where the topic is named depth."""
    canonical = _canonical(encoding, _DEPTH)
    return canonical in _DEPTH and (named_depth or canonical != "mono16")


def holds_labels(encoding: str) -> bool:
    """Whether an Image of this encoding can be a mask."""
    return _canonical(encoding, _LABELS) in _LABELS


def same_frame(a: str, b: str) -> bool:
    """Whether two frame names may mean the same frame: a leading slash (ROS 1) does not count, an empty name fits all."""
    a, b = a.lstrip("/"), b.lstrip("/")
    return not a or not b or a == b


def depth_from_image(message: Any, scale_mm: float | None = None) -> NDArray[np.float32]:
    """Depth Image -> [H, W] float32 metres with NaN where there is no reading (REP 118): 16UC1 and mono16 in mm, 32FC1 in m.

    scale_mm: millimetres per count, or per 1.0 of 32FC1, instead.
    Raises InputError for any other encoding, and when step, height and data do not agree.
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
    """Label image [H, W] -> {object name: [bool mask of ``shape`` for each of its labels]}; other labels are skipped.

    shape: the cloud's: (height, width), or (rows,) for points. Raises InputError when the sizes differ.
    """
    if labels.shape != shape and (len(shape) != 1 or labels.size != shape[0]):
        raise InputError(
            f"mask: found {size_text(labels.shape)} labels, expected {size_text(shape)}.", "mask_size_mismatch"
        )
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


def _pixels(message: Any, encodings: Mapping[str, np.dtype[Any]], what: str) -> NDArray[Any]:
    """Image of a one-channel encoding -> [H, W], without step's padding."""
    encoding, height = _canonical(str(message.encoding), encodings), int(message.height)
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


def _canonical(encoding: str, encodings: Iterable[str]) -> str:
    """The one of ``encodings`` that is equal but for upper and lower case, else the encoding unchanged."""
    return next((known for known in encodings if known.lower() == encoding.strip().lower()), encoding)


def _buffer(data: Any, expected: int, what: str, formula: str) -> NDArray[np.uint8]:
    found = np.frombuffer(data, np.uint8) if len(data) else np.empty(0, np.uint8)
    if len(found) != expected:
        raise InputError(f"{what}: found {len(found)} bytes of data, expected {formula}.", "data_length")
    return found


def _ordered(dtype: np.dtype[Any], big_endian: Any) -> np.dtype[Any]:
    """``dtype`` in the message's byte order; native where they agree, which numpy reads faster."""
    return dtype if bool(big_endian) == (sys.byteorder == "big") else dtype.newbyteorder()


def size_text(shape: tuple[int, ...]) -> str:
    """(height, width) or (rows,) as errors state it: 640 x 480."""
    return " x ".join(str(n) for n in reversed(shape))
