"""Camera files: every kind that people have gives the same K; what is none is answered with an example."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pose_node.errors import InputError
from pose_node.messages.camera_file import read_camera

K = np.array([[615.5, 0.0, 320.25], [0.0, 616.0, 240.5], [0.0, 0.0, 1.0]])
FLAT, COLUMNS = K.ravel().tolist(), K.T.ravel().tolist()
P = [615.5, 0.0, 320.25, 0.0, 0.0, 616.0, 240.5, 0.0, 0.0, 0.0, 1.0, 0.0]
FOCAL = {"fx": 615.5, "fy": 616.0, "cx": 320.25, "cy": 240.5}
SIZE = {"width": 640, "height": 480}
ROS = f"""
image_width: 640
image_height: 480
camera_name: depth
camera_matrix:
  rows: 3
  cols: 3
  data: {FLAT}
"""
LENS = f"""
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [0.1, -0.2, 0.0, 0.0, 0.0]
projection_matrix:
  rows: 3
  cols: 4
  data: {P}
"""
RS = """ Intrinsic of "Depth" / 640x480 / {Z16}
  Width:      \t640
  Height:     \t480
  PPX:        \t320.25
  PPY:        \t240.5
  Fx:         \t615.5
  Fy:         \t616.0
  Distortion: \tBrown Conrady
  Coeffs:     \t0  \t0  \t0  \t0  \t0
  FOV (deg):  \t55.0 x 42.6
"""
OPENCV = f"""%YAML:1.0
---
camera_matrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: {FLAT}
"""
FILES = {
    "cam_K": (json.dumps({"cam_K": FLAT, "depth_scale": 0.1}), 0.1, None),
    "rows": (json.dumps({"cam_K": K.tolist()}), 1.0, None),
    "text": ("615.5 0 320.25\n0 616 240.5\n0 0 1\n", 1.0, None),
    "text with commas": ("# depth camera\n615.5, 0, 320.25, 0, 616, 240.5, 0, 0, 1", 1.0, None),
    "numpy's text": (str(K), 1.0, None),
    "list": (json.dumps(K.tolist()), 1.0, None),
    "4x4": ("615.5 0 320.25 0\n0 616 240.5 0\n0 0 1 0\n0 0 0 1", 1.0, None),
    "bop": (json.dumps({**FOCAL, **SIZE, "depth_scale": 0.1}), 0.1, (480, 640)),
    "ppx": (json.dumps({"fx": 615.5, "fy": 616.0, "ppx": 320.25, "ppy": 240.5, "coeffs": [0] * 5}), 1.0, None),
    "open3d": (json.dumps({**SIZE, "intrinsic_matrix": COLUMNS}), 1.0, (480, 640)),
    "open3d with a pose": (json.dumps({"intrinsic": {**SIZE, "intrinsic_matrix": COLUMNS}}), 1.0, (480, 640)),
    "one entry": (json.dumps({"1": {"cam_K": FLAT, "depth_scale": 0.1}}), 0.1, None),
    "entry beside a scale": (json.dumps({"depth_scale": 0.1, "intrinsics": FOCAL}), 0.1, None),
    "megapose": (json.dumps({"K": K.tolist(), "resolution": [480, 640]}), 1.0, (480, 640)),
    "ros calibration": (ROS, 1.0, (480, 640)),
    "ros calibration of a lens": (ROS.replace("616.0", "600.0") + LENS, 1.0, (480, 640)),
    "camera info": (f"height: 480\nwidth: 640\nd: [0.0]\nk: {FLAT}\np: {P}\n---\nheight: 480\n", 1.0, (480, 640)),
    "camera info of ros 1": (json.dumps({"D": [0.1], "K": [1.0] * 9, "P": P}), 1.0, None),
    "rs-enumerate-devices": (RS, 1.0, (480, 640)),
    "opencv": (OPENCV, 1.0, None),
    "text of a projection matrix": (" ".join(map(str, P)), 1.0, None),
    "fx fy cx cy": ("# fx fy cx cy\n615.5 616 320.25 240.5", 1.0, None),
    "pairs": ("fx = 615.5\nfy = 616\ncx = 320.25\ncy = 240.5\n", 1.0, None),
    "numpy's repr": (repr(K), 1.0, None),
    "notepad": ("\ufeff615.5 0 320.25\r\n0 616 240.5\r\n0 0 1\r\n", 1.0, None),
    "matrix named intrinsics": (json.dumps({"camera_intrinsics": K.tolist(), "depth_scale": 0.1}), 0.1, None),
    "nerfstudio": (
        json.dumps({"fl_x": 615.5, "fl_y": 616.0, "cx": 320.25, "cy": 240.5, "w": 640, "h": 480}),
        1.0,
        (480, 640),
    ),
    "orb-slam": ("%YAML:1.0\n" + "".join(f"Camera.{key}: {value}\n" for key, value in FOCAL.items()), 1.0, None),
    "kalibr": (
        "cam0:\n  camera_model: pinhole\n  intrinsics: [615.5, 616, 320.25, 240.5]\n  resolution: [640, 480]\n",
        1.0,
        (480, 640),
    ),
    "two levels down": (json.dumps({"camera_data": {**SIZE, "intrinsics": FOCAL}}), 1.0, (480, 640)),
    "in a list": (json.dumps({"camera_settings": [{"intrinsic_settings": FOCAL}]}), 1.0, None),
    "frames that say the same": (
        json.dumps({str(k): {"cam_K": FLAT, "depth_scale": 0.1} for k in range(3)}),
        0.1,
        None,
    ),
    "binned camera info": (
        "height: 960\nwidth: 1280\nk: [1231, 0, 640.5, 0, 1232, 481, 0, 0, 1]\nbinning_x: 2\nbinning_y: 2\nroi: {width: 0}\n",
        1.0,
        (480, 640),
    ),
    "camera info of a region": (
        "height: 600\nwidth: 800\nk: [615.5, 0, 420.25, 0, 616, 300.5, 0, 0, 1]\n"
        "roi: {x_offset: 100, y_offset: 60, width: 640, height: 480}\n",
        1.0,
        (480, 640),
    ),
    "opencv as json": (json.dumps({"camera_matrix": K.tolist(), "dist_coeffs": [[0.0] * 5]}), 1.0, None),
}


@pytest.mark.parametrize("kind", FILES)
def test_every_format_gives_the_same_camera(tmp_path, kind):
    text, scale_mm, shape = FILES[kind]
    (tmp_path / "camera").write_text(text)
    camera = read_camera(tmp_path / "camera")
    np.testing.assert_array_equal(camera.K, K)
    assert camera.depth_scale_mm == scale_mm and camera.shape == shape
    assert bool(camera.notes) == ("lens" in kind or "ros 1" in kind)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (json.dumps({"cam_K": COLUMNS}), r"expected \[0, fy, cy\]"),
        (json.dumps({"intrinsic_matrix": FLAT}), r"expected \[0, fy, cy\]"),
        (ROS + LENS.partition("projection")[0], "distortion .* no projection matrix"),
        (json.dumps({**FOCAL, "k1": 0.1}), "distortion .0.1. and no projection matrix"),
        (json.dumps({"camera_matrix": K.tolist(), "dist_coeffs": [[0.0, 0.2]]}), "distortion"),
        (json.dumps({"dist_coeffs": [0.1], "intrinsics": FOCAL}), "distortion"),
        (json.dumps({"depth": FOCAL, "color": {**FOCAL, "cx": 1.0}}), "2 different cameras"),
        (RS + RS, "is not JSON .* nor nine numbers"),
        ("1 2 3 4 5", "found .*5.*, expected cam_K"),
        (" ".join(map(str, range(16))), "expected cam_K"),
        (json.dumps({"K": K.tolist(), "resolution": "vga"}), "invalid numbers"),
        (json.dumps({"fx": None, "fy": 1, "cx": 1, "cy": 1}), "invalid numbers"),
        ("just words", "nor nine numbers"),
        ("", "is not JSON|found"),
    ],
)
def test_an_invalid_camera_file_is_refused_by_name(tmp_path, text, words):
    (tmp_path / "camera.txt").write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        read_camera(tmp_path / "camera.txt")
    assert "camera.txt" in str(caught.value) and "\n" not in str(caught.value)


def test_npy_and_utf_16_files_are_read(tmp_path):
    np.save(tmp_path / "K.npy", K)
    (tmp_path / "utf16.txt").write_text(str(K), encoding="utf-16")
    for name in ("K.npy", "utf16.txt"):
        np.testing.assert_array_equal(read_camera(tmp_path / name).K, K)


@pytest.mark.parametrize("data", [b"\x93NUMPY\xff\xfe", b"\xff\xfe\x00", b"\x80\x81\x82"])
def test_a_binary_file_is_refused(tmp_path, data):
    (tmp_path / "camera").write_bytes(data)
    with pytest.raises(InputError, match=r"is not text|cannot be read as \.npy"):
        read_camera(tmp_path / "camera")
