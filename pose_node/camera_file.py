"""Camera files as users and data sets have them: intrinsics, and millimetres per depth count where the file says.

Read are BOP's ``cam_K`` and camera.json (fx, fy, cx, cy), ``K`` beside ``resolution`` (MegaPose), Open3D's intrinsics, a ROS
calibration or a CameraInfo as ``ros2 topic echo`` prints it, what ``rs-enumerate-devices -c`` prints of one stream, and nine
numbers as text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pose_node.cloud import checked_intrinsics
from pose_node.errors import InputError
from pose_node.types import Array

_EXAMPLE = '{"cam_K": [600, 0, 320, 0, 600, 240, 0, 0, 1], "depth_scale": 1.0}'
_EXPECTED = f"expected cam_K with nine numbers row by row, as in {_EXAMPLE}, or fx, fy, cx, cy"
_MATRICES = ("cam_k", "k", "intrinsic_matrix", "camera_matrix")  # keys in lower case
_DISTORTIONS = ("d", "distortion_coefficients", "dist_coeffs", "dist_coeff", "coeffs", "k1", "k2", "k3", "p1", "p2")
_FOCAL = (("fx", "fy", "cx", "cy"), ("fx", "fy", "ppx", "ppy"))


@dataclass(frozen=True, eq=False)
class CameraFile:
    """What a camera file says.

    K:              [3, 3] intrinsics.
    depth_scale_mm: millimetres per count of an integer depth image, 1 where the file says nothing.
    shape:          (height, width) of its images, None where the file says nothing.
    notes:          sentences on what was assumed.
    """

    path: Path
    K: Array
    depth_scale_mm: float = 1.0
    shape: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()

    def check_size(self, shape: tuple[int, ...], image: Path) -> None:
        """Raises InputError when an image of ``shape`` is not one of this camera: its K would be another one."""
        if self.shape is not None and shape != self.shape:
            found, expected = (" x ".join(map(str, reversed(each))) for each in (shape, self.shape))
            raise InputError(
                f"{image}: found {found} pixels, expected {expected}, of which {self.path} states the intrinsics.",
                "size_mismatch",
            )


def read_camera(path: Path) -> CameraFile:
    """Read a camera file; raises InputError, which shows an example, for what is none or cannot be valid."""
    try:
        values = _parsed(path.read_text(encoding="utf-8"), path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}), {_EXPECTED}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no text, {_EXPECTED}.") from error
    if isinstance(values, Mapping):
        # A camera's own entry, where there is one: Open3D keeps a pose beside it, others a name or a scale.
        cameras = [entry for entry in values.values() if _holds_camera(entry)]
        values = {**values, **cameras[0]} if len(cameras) == 1 else values
    try:
        K, notes = _intrinsics(values, path)
        keys = {str(key).lower(): value for key, value in values.items()} if isinstance(values, Mapping) else {}
        return CameraFile(path, checked_intrinsics(K), float(keys.get("depth_scale", 1.0)), _shape(keys), notes)
    except InputError as error:
        raise InputError(str(error) if str(path) in str(error) else f"{path}: {error}", error.code) from None
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(f"{path}: found numbers that do not read ({error}), {_EXPECTED}.") from error


def _holds_camera(entry: Any) -> bool:
    keys = {str(key).lower() for key in entry} if isinstance(entry, Mapping) else set()
    return any(name in keys for name in _MATRICES) or any(keys.issuperset(names) for names in _FOCAL)


def _parsed(text: str, path: Path) -> Any:
    """The values of JSON, the numbers of plain text, the values of YAML, or the pairs of 'key: value' lines."""
    try:
        return json.loads(text)
    except ValueError as error:
        reason = str(error)
    words = re.sub(r"#.*", "", text).translate(str.maketrans("[](),;", "      ")).split()
    try:
        return [float(word) for word in words]
    except ValueError:
        pass
    try:
        # OpenCV's own YAML has a first line and a tag that others do not read.
        plain = re.sub(r"^%YAML.*\n(---\s*\n)?", "", text).replace("!!opencv-matrix", "")
        values = next(iter(yaml.safe_load_all(plain)), None)
        if isinstance(values, Mapping):
            return values
    except yaml.YAMLError:
        pass
    pairs = re.findall(r"^\s*(\w+):\s*(\S.*?)\s*$", text, re.MULTILINE)
    if [key.lower() for key, _ in pairs].count("fx") == 1:
        return dict(pairs)
    raise InputError(f"{path}: is not JSON ({reason}), nor YAML, nor nine numbers, {_EXPECTED}.")


def _intrinsics(values: Any, path: Path) -> tuple[Array, tuple[str, ...]]:
    if isinstance(values, list):
        return _matrix(values, "", path), ()
    if not isinstance(values, Mapping):
        raise InputError(f"{path}: found {type(values).__name__}, {_EXPECTED}.")
    keys = {str(key).lower(): value for key, value in values.items()}
    name = next((name for name in _MATRICES if name in keys), None)
    if name is not None:
        spelt = next(key for key in values if str(key).lower() == name)
        K = _matrix(keys[name], f"{spelt} ", path)
        K = K.T if name == "intrinsic_matrix" else K  # Open3D writes column by column
    else:
        focal = next((names for names in _FOCAL if all(one in keys for one in names)), None)
        if focal is None:
            several = any(map(_holds_camera, values.values()))
            hint = " (it holds several, as of each frame: put one of them into a file)" if several else ""
            raise InputError(f"{path}: found {', '.join(map(str, list(values)[:5])) or 'no keys'}, {_EXPECTED}{hint}.")
        fx, fy, cx, cy = (float(keys[one]) for one in focal)
        K = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    D = [_data(keys[one]) for one in _DISTORTIONS if one in keys]
    return _rectified(K, np.concatenate([np.empty(0), *D]), _data(keys.get("projection_matrix", keys.get("p"))), path)


def _rectified(K: Array, D: Array, P: Array, path: Path) -> tuple[Array, tuple[str, ...]]:
    """K of the images without the lens's distortion D, and what has to be said; P: [12] of them, empty where nobody gave it."""
    if not D.any():
        return K, ()
    if P.size != 12 or not P.any():
        raise InputError(
            f"{path}: found a lens with distortion {D.tolist()} and no projection matrix, expected the intrinsics of a "
            "rectified image (fx, fy, cx, cy alone take the depth image as rectified)."
        )
    note = (
        f"{path}: the lens has distortion, so the depth image is taken as rectified, by the file's projection matrix."
    )
    return P.reshape(3, 4)[:, :3], (note,)


def _matrix(values: Any, what: str, path: Path) -> Array:
    """Nine numbers, or the sixteen of a 4x4 matrix that holds them, as [3, 3]."""
    try:
        numbers = _data(values)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.size == 16:
        whole = numbers.reshape(4, 4)
        if np.array_equal(whole[3], (0.0, 0.0, 0.0, 1.0)) and not whole[:3, 3].any():
            return whole[:3, :3]
    if numbers.size != 9:
        shown = str(values) if len(str(values)) < 80 else f"{numbers.size} numbers"
        raise InputError(f"{path}: found {what}{shown}, {_EXPECTED}.")
    return numbers.reshape(3, 3)


def _data(values: Any) -> Array:
    """Numbers, flat; ROS and OpenCV keep those of a matrix below ``data``, and a tool's print has them as one text."""
    if isinstance(values, Mapping):
        values = values["data"]
    if isinstance(values, str):
        values = values.split()
    return np.array([] if values is None else values, dtype=np.float64).ravel()


def _shape(keys: Mapping[str, Any]) -> tuple[int, int] | None:
    """(height, width) that the file states."""
    if "resolution" in keys:
        height, width = keys["resolution"]
        return int(height), int(width)
    for height, width in (("height", "width"), ("image_height", "image_width")):
        if keys.get(height) and keys.get(width):
            return int(keys[height]), int(keys[width])
    return None
