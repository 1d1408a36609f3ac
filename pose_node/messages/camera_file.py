"""Camera files of users and data sets -> intrinsics, and millimetres per depth count where the file has them.

Formats: BOP's ``cam_K`` and camera.json (fx, fy, cx, cy), ``K`` beside ``resolution`` (MegaPose), Open3D's intrinsics, a ROS
calibration or a CameraInfo as ``ros2 topic echo`` prints it, Kalibr's, nerfstudio's and ORB-SLAM's, the output of
``rs-enumerate-devices -c`` for one stream, and as text or .npy nine numbers, the twelve of a projection matrix, the sixteen
of a 4x4 matrix, or fx fy cx cy. The camera may be nested anywhere in the file, and repeated, but there must be only one.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import yaml

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.measurement.cloud import checked_intrinsics
from pose_node.messages.camera_info import camera_from_info

_EXAMPLE = '{"cam_K": [600, 0, 320, 0, 600, 240, 0, 0, 1], "depth_scale": 1.0}'
_EXPECTED = f"expected cam_K with nine numbers row by row, as in {_EXAMPLE}, or fx, fy, cx, cy"
_INTRINSICS = ("intrinsics", "intrinsic", "camera_intrinsics", "cam_intrinsics")
_MATRICES = ("cam_k", "k", "intrinsic_matrix", "camera_matrix", *_INTRINSICS)  # keys in lower case
_DISTORTIONS = (
    *("d", "distortion_coefficients", "distortion_coeffs", "dist_coeffs", "dist_coeff", "coeffs"),
    *("k1", "k2", "k3", "p1", "p2"),
)
_MATRIX_KEYS = {"rows", "cols", "dt", "data"}  # of a matrix in files of ROS and OpenCV
_NPY, _UTF_16 = b"\x93NUMPY", (b"\xff\xfe", b"\xfe\xff")
_FOCAL = (("fx", "fy", "cx", "cy"), ("fx", "fy", "ppx", "ppy"), ("fl_x", "fl_y", "cx", "cy"))


@dataclass(frozen=True, eq=False)
class CameraFile:
    """The contents of a camera file.

    K:              [3, 3] intrinsics.
    depth_scale_mm: millimetres per count of an integer depth image; 1 where the file does not state it.
    shape:          (height, width) of its images; None where the file does not state it.
    notes:          sentences on what was assumed.
    """

    path: Path
    K: Array
    depth_scale_mm: float = 1.0
    shape: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()

    def check_size(self, shape: tuple[int, ...], image: Path) -> None:
        """Raises InputError for an image of another size, whose intrinsics are different."""
        if self.shape is not None and shape != self.shape:
            found, expected = (" x ".join(map(str, reversed(each))) for each in (shape, self.shape))
            raise InputError(
                f"{image}: found {found} pixels, expected {expected}, the size that the intrinsics in {self.path} are for.",
                "size_mismatch",
            )


def read_camera(path: Path) -> CameraFile:
    """Read a camera file. Raises InputError, which shows an example, for another file and for invalid intrinsics."""
    values = _values(path)
    cameras = list(_cameras(values)) if isinstance(values, Mapping) else []
    try:
        read = [_of_entry(entry, path) for entry in cameras] or [_of_entry(values, path)]
    except InputError as error:
        raise InputError(str(error) if str(path) in str(error) else f"{path}: {error}", error.code) from None
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise InputError(f"{path}: found invalid numbers ({error}), {_EXPECTED}.") from error
    first = read[0]
    if any(not np.array_equal(one.K, first.K) or one.depth_scale_mm != first.depth_scale_mm for one in read[1:]):
        raise InputError(f"{path}: found {len(read)} different cameras, expected one: copy it to a file of its own.")
    return first


def _values(path: Path) -> Any:
    try:
        data = path.read_bytes()
        if data.startswith(_NPY):
            return np.load(io.BytesIO(data)).ravel().tolist()
        return _parsed(data.decode("utf-16" if data.startswith(_UTF_16) else "utf-8-sig"), path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}), {_EXPECTED}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not text, {_EXPECTED}.") from error
    except InputError:
        raise
    except (ValueError, EOFError, SyntaxError) as error:
        raise InputError(f"{path}: cannot be read as .npy ({error}), {_EXPECTED}.") from error


def _cameras(values: Any) -> Iterator[Mapping[str, Any]]:
    """The entries of a file that are a camera, each with the keys of the levels above it: scale and size may be there."""
    if _is_camera(values):
        yield values
        return
    inner = values.values() if isinstance(values, Mapping) else values if isinstance(values, list) else ()
    for entry in inner:
        siblings = values.items() if isinstance(values, Mapping) else ()
        outer = {key: value for key, value in siblings if value is not entry}
        yield from ({**outer, **camera} for camera in _cameras(entry))


def _of_entry(values: Any, path: Path) -> CameraFile:
    K, notes = _intrinsics(values, path)
    keys = _keys(values)
    scale_mm = float(keys.get("depth_scale", 1.0))
    K, shape = _binned_or_cropped(checked_intrinsics(K), _shape(keys), keys)
    return CameraFile(path, K, scale_mm, shape, notes)


def _binned_or_cropped(
    K: Array, shape: tuple[int, int] | None, keys: Mapping[str, Any]
) -> tuple[Array, tuple[int, int] | None]:
    """K and shape after the binning and the region of interest of a CameraInfo, if there are any."""
    roi = {key: int(_keys(keys.get("roi")).get(key, 0)) for key in ("x_offset", "y_offset", "height", "width")}
    binning = {key: int(keys.get(key, 0)) for key in ("binning_x", "binning_y")}
    if shape is None or not (any(roi.values()) or max(binning.values()) > 1):
        return K, shape
    info = SimpleNamespace(k=K, p=np.zeros(12), d=np.empty(0), distortion_model="", height=shape[0], width=shape[1])
    camera = camera_from_info(SimpleNamespace(**vars(info), **binning, roi=SimpleNamespace(**roi)))
    return camera.K, camera.shape


def _keys(values: Any) -> dict[str, Any]:
    """Keys in lower case, without a prefix ("Camera.fx"); empty for values without keys."""
    items = values.items() if isinstance(values, Mapping) else ()
    return {str(key).lower().rpartition(".")[2]: value for key, value in items}


def _is_camera(entry: Any) -> bool:
    keys = _keys(entry)
    named = any(name in keys and not _keys(keys[name]).keys() - _MATRIX_KEYS for name in _MATRICES)
    return named or any(keys.keys() >= set(names) for names in _FOCAL)


def _parsed(text: str, path: Path) -> Any:
    """The values of JSON, the numbers of plain text, the values of YAML, or the pairs of 'key: value' lines."""
    try:
        return json.loads(text)
    except ValueError as error:
        reason = str(error)
    bare = re.sub(r"#.*|\b(np|numpy)\.|\barray\b|\bdtype=[\w.]+", "", text)  # comments, and repr's spelling of an array
    words = bare.translate(str.maketrans("[](),;", "      ")).split()
    try:
        return [float(word) for word in words]
    except ValueError:
        pass
    try:
        # OpenCV's YAML has a first line and a tag that PyYAML does not read.
        plain = re.sub(r"^%YAML.*\n(---\s*\n)?", "", text).replace("!!opencv-matrix", "")
        values = next(iter(yaml.safe_load_all(plain)), None)
        if isinstance(values, Mapping):
            return values
    except yaml.YAMLError:
        pass
    pairs = re.findall(r"^\s*(\w+)\s*[:=]\s*(\S.*?)\s*$", text, re.MULTILINE)
    if [key.lower() for key, _ in pairs].count("fx") == 1:
        return dict(pairs)
    raise InputError(f"{path}: is not JSON ({reason}), nor YAML, nor nine numbers, {_EXPECTED}.")


def _intrinsics(values: Any, path: Path) -> tuple[Array, tuple[str, ...]]:
    if isinstance(values, list):
        return _matrix(values, "", path), ()
    if not isinstance(values, Mapping):
        raise InputError(f"{path}: found {type(values).__name__}, {_EXPECTED}.")
    keys = _keys(values)
    focal = next((names for names in _FOCAL if all(one in keys for one in names)), None)
    name = next((name for name in _MATRICES if name in keys and not (focal and name in _INTRINSICS)), None)
    if name is not None:
        K = _matrix(keys[name], f"{next(key for key in values if name in str(key).lower())} ", path)
        K = K.T if name == "intrinsic_matrix" else K  # Open3D's is column by column
    elif focal is None:
        raise InputError(f"{path}: found {', '.join(map(str, list(values)[:5])) or 'no keys'}, {_EXPECTED}.")
    else:
        fx, fy, cx, cy = (float(keys[one]) for one in focal)
        K = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    D = [_data(keys[one]) for one in _DISTORTIONS if one in keys]
    return _rectified(K, np.concatenate([np.empty(0), *D]), _data(keys.get("projection_matrix", keys.get("p"))), path)


def _rectified(K: Array, D: Array, P: Array, path: Path) -> tuple[Array, tuple[str, ...]]:
    """K of the rectified images, and notes. D: distortion; P: [12] projection matrix, empty where the file has none."""
    if not D.any():
        return K, ()
    if P.size != 12 or not P.any():
        raise InputError(
            f"{path}: found a lens with distortion {D.tolist()} and no projection matrix, expected the intrinsics of a "
            "rectified image (a file of fx, fy, cx, cy alone is taken as those)."
        )
    note = f"{path}: the lens has distortion; the depth image is assumed to be rectified, with the file's projection matrix."
    return P.reshape(3, 4)[:, :3], (note,)


def _matrix(values: Any, what: str, path: Path) -> Array:
    """Nine numbers, the twelve or sixteen of a 3x4 or 4x4 matrix, or fx fy cx cy, as [3, 3]."""
    try:
        numbers = _data(values)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.size in (12, 16):
        whole = numbers.reshape(-1, 4)
        if not whole[:3, 3].any() and (len(whole) == 3 or np.array_equal(whole[3], (0.0, 0.0, 0.0, 1.0))):
            return whole[:3, :3]
    if numbers.size == 4:
        fx, fy, cx, cy = numbers
        return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    if numbers.size != 9:
        shown = str(values) if len(str(values)) < 80 else f"{numbers.size} numbers"
        raise InputError(f"{path}: found {what}{shown}, {_EXPECTED}.")
    return numbers.reshape(3, 3)


def _data(values: Any) -> Array:
    """Numbers, flat; files of ROS and OpenCV have a matrix's below ``data``, printed output has them as one text."""
    if isinstance(values, Mapping):
        values = values["data"]
    if isinstance(values, str):
        values = values.split()
    return np.array([] if values is None else values, dtype=np.float64).ravel()


def _shape(keys: Mapping[str, Any]) -> tuple[int, int] | None:
    """(height, width) in the file, None where there is none."""
    if "resolution" in keys:
        height, width = keys["resolution"]
        if "camera_model" in keys:  # Kalibr: width first
            height, width = width, height
        return int(height), int(width)
    for height, width in (("height", "width"), ("image_height", "image_width"), ("h", "w")):
        if keys.get(height) and keys.get(width):
            return int(keys[height]), int(keys[width])
    return None
