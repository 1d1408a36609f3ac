"""Folders in the layout of the BOP challenge -> frames with labels, and models, in metres.

The data lives outside the repository: in ``$POSE_NODE_DATA``, or else in ``../shared/data`` beside it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pose_node.arrays import Array
from pose_node.evaluation import metrics
from pose_node.geometry import se3
from pose_node.geometry.symmetry import Axis, Symmetry
from pose_node.measurement.image_files import read_depth

ROOT = Path(__file__).resolve().parents[1]
MODELS_OF = {"ycbv_demo": "ycbv"}  # sets without models of their own


def data_folder() -> Path:
    """Folder of the sets. Raises FileNotFoundError, which names the variable to set."""
    folder = Path(os.environ.get("POSE_NODE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        raise FileNotFoundError(f"data: found no folder {folder}, expected BOP sets there (or set POSE_NODE_DATA).")
    return folder


def cache_folder() -> Path:
    """Folder of intermediate results, outside the repository."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pose_node_benchmarks"
    folder = Path(os.environ.get("POSE_NODE_BENCH_CACHE", default))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass(frozen=True, eq=False)
class Model:
    """A model of a set: ``vertices_m`` [V, 3], ``faces`` [F, 3], and what models_info.json says about it.

    symmetries:       [K, 4, 4] the declared ones; symmetries_depth: those and the ones that depth cannot distinguish.
    hull_m:           [H, 3] corners of the convex hull, for MSSD.
    """

    object_id: int
    name: str
    path: Path
    vertices_m: Array
    faces: Any
    hull_m: Array
    centre_m: Array
    diameter_m: float
    symmetries: Array
    symmetries_depth: Array
    info: Mapping[str, Any]

    @property
    def symmetry_depth(self) -> Symmetry:
        """``symmetries_depth`` with continuous axes not discretised, for rotation errors finer than a discretised axis."""
        lines = self.info.get("symmetries_depth_continuous", ())
        plain = {k: v for k, v in self.info.items() if not k.endswith("continuous")}
        axes = tuple(
            Axis(np.array(a["axis"], float) / np.linalg.norm(a["axis"]), np.array(a["offset"], float) / 1000.0)
            for a in lines
        )
        return Symmetry(metrics.bop_symmetries(plain, "_depth"), axes)

    @property
    def declared_symmetric(self) -> bool:
        """Whether ADD(-S) is ADD-S for this model."""
        return len(self.symmetries) > 1


@dataclass(frozen=True, eq=False)
class Label:
    """One instance in one frame. ``T_original`` is the pose as published, where the set also has a refined one."""

    object_id: int
    name: str
    T_camera_object: Array
    T_original: Array | None
    mask: Any


@dataclass(frozen=True, eq=False)
class Frame:
    """One depth image: ``depth_m`` [H, W], 0 = no reading, ``K`` [3, 3], and its labels."""

    set_name: str
    scene: str
    frame: int
    depth_m: Array
    K: Array
    labels: tuple[Label, ...]

    @property
    def key(self) -> str:
        return f"{self.set_name}/{self.scene}/{self.frame:06d}"


def plain_name(name: str) -> str:
    """'006_mustard_bottle' -> 'mustard_bottle'."""
    return re.sub(r"^\d+[_-]", "", name).replace("-", "_")


def models_folder(set_name: str) -> Path:
    """Where a set's models are."""
    return data_folder() / MODELS_OF.get(set_name, set_name) / "models"


@cache
def names(set_name: str) -> dict[int, str]:
    """Object id -> plain name."""
    raw = json.loads((models_folder(set_name) / "names.json").read_text())
    return {int(k): plain_name(v) for k, v in raw.items()}


@cache
def model(set_name: str, object_id: int) -> Model:
    """Read one model of a set; millimetres become metres."""
    import trimesh

    folder = models_folder(set_name)
    info = json.loads((folder / "models_info.json").read_text())[str(object_id)]
    path = folder / f"obj_{object_id:06d}.ply"
    mesh = trimesh.load(path, process=False, force="mesh")
    vertices = np.asarray(mesh.vertices, float) / 1000.0
    low = np.array([info["min_x"], info["min_y"], info["min_z"]]) / 1000.0
    size = np.array([info["size_x"], info["size_y"], info["size_z"]]) / 1000.0
    return Model(
        object_id,
        names(set_name)[object_id],
        path,
        vertices,
        np.asarray(mesh.faces),
        metrics.hull_points(vertices),
        low + size / 2,
        info["diameter"] / 1000.0,
        metrics.bop_symmetries(info),
        metrics.bop_symmetries(info, "_depth"),
        info,
    )


def frames(set_name: str) -> Iterator[Frame]:
    """All frames of a set, in order."""
    for scene in sorted((data_folder() / set_name / "scenes").iterdir()):
        if not (scene / "scene_gt.json").exists():
            continue
        cameras = json.loads((scene / "scene_camera.json").read_text())
        truths = json.loads((scene / "scene_gt.json").read_text())
        original_path = scene / "scene_gt_original.json"
        originals = json.loads(original_path.read_text()) if original_path.exists() else {}
        for number in sorted(map(int, truths)):
            depth_m, K = _measured(scene, number, cameras[str(number)])
            first = originals.get(str(number), [])  # labels may have been added behind the published ones
            labels = tuple(
                Label(
                    entry["obj_id"],
                    names(set_name)[entry["obj_id"]],
                    _pose(entry),
                    _pose(old) if old is not None and old["obj_id"] == entry["obj_id"] else None,
                    np.asarray(Image.open(scene / "mask_visib" / f"{number:06d}_{k:06d}.png")) > 0,
                )
                for k, (entry, old) in enumerate(zip_longest(truths[str(number)], first))
            )
            yield Frame(set_name, scene.name, number, depth_m, K, labels)


def bare_keys(set_name: str) -> list[str]:
    """'SCENE/NUMBER' of every frame of a set, labelled or not, in order."""
    keys = []
    for path in sorted((data_folder() / set_name / "scenes").glob("*/scene_camera.json")):
        keys += [f"{path.parent.name}/{number}" for number in sorted(map(int, json.loads(path.read_text())))]
    return keys


def bare_frame(set_name: str, key: str) -> Frame:
    """One of ``bare_keys``, without labels."""
    name, number = key.split("/")
    scene = data_folder() / set_name / "scenes" / name
    camera = json.loads((scene / "scene_camera.json").read_text())[number]
    return Frame(set_name, name, int(number), *_measured(scene, int(number), camera), ())


def _measured(scene: Path, number: int, camera: Mapping[str, Any]) -> tuple[Array, Array]:
    """depth_m [H, W] and K [3, 3]."""
    depth_m = read_depth(scene / "depth" / f"{number:06d}.png", camera["depth_scale"])
    return depth_m, np.array(camera["cam_K"], float).reshape(3, 3)


def _pose(entry: Mapping[str, Any]) -> Array:
    R = se3.project_so3(np.array(entry["cam_R_m2c"], float).reshape(3, 3))
    return se3.transform(R, np.array(entry["cam_t_m2c"], float) / 1000.0)
