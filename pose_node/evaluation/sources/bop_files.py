"""The files of the BOP format: where they are in a folder, and what they contain, checked.

A scene is a folder with ``scene_camera.json``, either the folder given, in it, or in one of its folders (``scenes/000002``,
``test/000002``). Its files and folders may have the name of a camera (``scene_camera_cam1.json``, ``depth_cam1``): each camera
with depth is a scene then. Millimetres become metres here.
Format: https://github.com/thodan/bop_toolkit/blob/master/docs/bop_datasets_format.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.evaluation.sources.json_file import read_json
from pose_node.evaluation.sources.source import Label
from pose_node.geometry import se3

CAMERA, TRUTH, INFO = "scene_camera", "scene_gt", "scene_gt_info"
DEPTH, MASKS = "depth", "mask_visib"
TARGETS = ("test_targets_bop19.json", "test_targets_bop24.json")


class Scene(NamedTuple):
    """A scene of one camera. camera_type: suffix of the names of its files, empty without one."""

    path: Path
    camera_type: str
    name: str

    def file(self, stem: str) -> Path:
        return self.path / f"{self._named(stem)}.json"

    def folder(self, stem: str) -> Path:
        return self.path / self._named(stem)

    def _named(self, stem: str) -> str:
        return f"{stem}_{self.camera_type}" if self.camera_type else stem


def plain_name(name: str) -> str:
    """'006_mustard_bottle' -> 'mustard_bottle'."""
    return re.sub(r"^\d+[_-]", "", name).replace("-", "_")


def models_folder(folder: Path) -> Path | None:
    """The folder of the set's models, preferably ``models_eval``; None without one."""
    for place in _places(folder):
        for name in ("models_eval", "models"):
            if (place / name / "models_info.json").is_file():
                return place / name
    return None


def read_names(folder: Path) -> dict[int, str]:
    """{object id: plain name} of a set, empty where it has none; raises InputError for an invalid file."""
    models = models_folder(folder)
    for path in (*(place / "names.json" for place in _places(folder)), *([models / "names.json"] if models else [])):
        if path.is_file():
            return {int(key): plain_name(str(name)) for key, name in read_object(path).items()}
    return {}


def _places(folder: Path) -> tuple[Path, ...]:
    """Where files of the set may be: the folder given may be the set, a split of it, or a scene of a split."""
    return (folder, *folder.absolute().parents[:2])


def find_scenes(folder: Path) -> list[Scene]:
    """The scenes of the folder and of its subfolders, two levels down: one per camera.

    A camera without depth is left out if another one of its scene has depth.
    """
    types: dict[Path, list[str]] = {}
    for depth in ("", "*/", "*/*/"):
        for file in sorted(folder.glob(f"{depth}{CAMERA}*.json")):
            named = re.fullmatch(rf"{CAMERA}(?:_(.+))?", file.stem)
            if named:
                types.setdefault(file.parent, []).append(named[1] or "")
    scenes = []
    for path, names in types.items():
        with_depth = [name for name in names if Scene(path, name, "").folder(DEPTH).is_dir()] or names
        several = len(with_depth) > 1
        name = path.absolute().name
        scenes += [Scene(path, one, f"{name}_{one}" if several and one else name) for one in with_depth]
    return scenes


def scenes_of(folder: Path) -> list[Scene]:
    """The scenes of a folder, at least one of them with depth; raises InputError."""
    if not folder.is_dir():
        raise InputError(f"{folder}: found no such folder, expected a BOP data set.")
    scenes = find_scenes(folder)
    if not scenes:
        raise InputError(f"{folder}: found no scene, expected folders with {CAMERA}.json (or {CAMERA}_CAMERA.json).")
    if not any(scene.folder(DEPTH).is_dir() for scene in scenes):
        raise InputError(
            f"{folder}: found no folder {scenes[0].folder(DEPTH).name} in its scenes, expected depth images."
        )
    return scenes


def check_names(scenes: Sequence[Scene], folder: Path) -> None:
    """Raises InputError where two scenes have one name."""
    names = [scene.name for scene in scenes]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(f"{folder}: found scene {twice} in several splits, expected one split: pass its folder.")


def read_frames(path: Path) -> dict[int, Any]:
    """{frame number: entry} of a scene's JSON file; raises InputError."""
    try:
        return {int(key): value for key, value in read_object(path).items()}
    except ValueError as error:
        raise InputError(
            f"{path}: found a frame that is not a number ({error}), expected BOP's frame numbers."
        ) from None


def read_object(path: Path) -> dict[str, Any]:
    """The object of a JSON file; raises InputError."""
    values = read_json(path, "a file of a BOP set")
    if not isinstance(values, dict):
        raise InputError(f"{path}: found a {type(values).__name__}, expected a JSON object.")
    return values


Targets = Mapping[tuple[int, int], Mapping[int, int] | None]


def read_targets(folder: Path) -> Targets | None:
    """{(scene, frame): {object id: number of instances}}, with None for all instances of a frame; None without targets: all frames."""
    path = next((place / name for name in TARGETS for place in _places(folder) if (place / name).is_file()), None)
    if path is None:
        return None
    targets: dict[tuple[int, int], dict[int, int] | None] = {}
    try:
        for entry in read_json(path, "BOP's targets"):
            key = (int(entry["scene_id"]), int(entry["im_id"]))
            if "obj_id" in entry:
                wanted = targets.setdefault(key, {})
                if wanted is not None:
                    wanted[int(entry["obj_id"])] = int(entry["inst_count"])
            else:
                targets[key] = None
    except (ValueError, TypeError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read ({type(error).__name__}: {error}), expected BOP's targets.") from None
    return targets


def read_labels(entries: Any, shares: Any, path: Path, number: int) -> tuple[Label, ...]:
    """The labels of a frame. shares: its entries of ``scene_gt_info.json``, possibly fewer. Raises InputError."""
    labels = []
    try:
        for k, entry in enumerate(entries):
            share = shares[k].get("visib_fract") if k < len(shares) else None
            T = read_pose(entry["cam_R_m2c"], entry["cam_t_m2c"], path)
            labels.append(Label(int(entry["obj_id"]), k, T, None if share is None else float(share)))
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: frame {number} is invalid ({type(error).__name__}: {error}).") from None
    return tuple(labels)


def read_pose(rotation: Any, translation_mm: Any, path: Path) -> Array:
    """A pose [4, 4] in metres of nine numbers and a translation in millimetres; raises InputError."""
    R, t = np.array(rotation, float).ravel(), np.array(translation_mm, float).ravel()
    if R.shape != (9,) or t.shape != (3,) or not (np.isfinite(R).all() and np.isfinite(t).all()):
        raise InputError(f"{path}: found a pose of {R.size} and {t.size} numbers, expected 9 and 3 finite ones.")
    R = R.reshape(3, 3)
    if not np.allclose(R @ R.T, np.eye(3), atol=1e-2) or np.linalg.det(R) < 0:
        raise InputError(f"{path}: found a matrix that is not a rotation, expected an orthogonal one of determinant 1.")
    return se3.transform(se3.project_so3(R), t / 1000.0)


def visible_box(share: Any) -> tuple[int, int, int, int] | None:
    """(x, y, width, height) of an entry of ``scene_gt_info.json``; a box of one pixel has width 0. None without one."""
    try:
        x, y, width, height = (int(round(float(value))) for value in share["bbox_visib"])
    except (TypeError, KeyError, ValueError):
        return None
    return None if min(width, height) < 0 else (x, y, width, height)
