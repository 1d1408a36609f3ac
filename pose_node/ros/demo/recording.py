"""The demo's recording: real depth frames in BOP's layout, with the data set's own labels."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose_node.arrays import Array
from pose_node.geometry import se3

SCENES = Path(__file__).parent / "ycbv_demo" / "scenes"


@dataclass(frozen=True, eq=False)
class Recorded:
    """One frame: depth [H, W] float32 metres (0: no reading), K [3, 3], and labels ((BOP id, T_camera_object), ...)."""

    scene: str
    number: int
    depth_m: NDArray[np.float32]
    K: Array
    labels: tuple[tuple[int, Array], ...]

    def mask(self, label: int) -> NDArray[np.bool_]:
        """The visible mask [H, W] of the instance ``labels[label]``."""
        return _png(SCENES / self.scene / "mask_visib" / f"{self.number:06d}_{label:06d}.png") > 0


def scenes() -> list[str]:
    """Names of the recorded scenes; the one with more objects first."""
    return sorted((path.name for path in SCENES.iterdir() if path.is_dir()), reverse=True)


def read(scene: str) -> list[Recorded]:
    """All frames of a scene, in the order in which they were taken."""
    folder = SCENES / scene
    cameras = json.loads((folder / "scene_camera.json").read_text())
    labels = json.loads((folder / "scene_gt.json").read_text())
    return [_frame(folder, number, cameras[str(number)], labels[str(number)]) for number in sorted(map(int, cameras))]


def _frame(folder: Path, number: int, camera: dict[str, Any], labels: list[dict[str, Any]]) -> Recorded:
    millimetres = _png(folder / "depth" / f"{number:06d}.png") * camera["depth_scale"]
    poses = tuple(
        (label["obj_id"], se3.transform(np.reshape(label["cam_R_m2c"], (3, 3)), np.array(label["cam_t_m2c"]) / 1000.0))
        for label in labels
    )
    K = np.array(camera["cam_K"], dtype=np.float64).reshape(3, 3)
    return Recorded(folder.name, number, (millimetres / 1000.0).astype(np.float32), K, poses)


def _png(path: Path) -> NDArray[np.float64]:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image).astype(np.float64)
