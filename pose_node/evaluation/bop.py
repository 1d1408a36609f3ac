"""Folders in the layout of the BOP challenge: scenes of depth images with camera, ground truth and masks.

A scene is a folder with ``scene_camera.json`` and ``scene_gt.json``, either the folder given, below it, or below one of
its folders (``scenes/000002``, ``test/000002``). Names come from ``names.json`` where there is one ({id: name}), the
frames and instances to look at from ``test_targets_bop19.json`` where there is one. Millimetres become metres here.
Format: https://github.com/thodan/bop_toolkit/blob/master/docs/bop_datasets_format.md
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pose_node import se3
from pose_node.cloud import Cloud, checked_intrinsics
from pose_node.errors import InputError
from pose_node.evaluation.source import Frame, Label
from pose_node.image_files import read_depth, read_mask
from pose_node.jsonfile import read_json
from pose_node.types import Array

CAMERA, TRUTH, INFO = "scene_camera.json", "scene_gt.json", "scene_gt_info.json"
TARGETS = "test_targets_bop19.json"


def plain_name(name: str) -> str:
    """'006_mustard_bottle' -> 'mustard_bottle'."""
    return re.sub(r"^\d+[_-]", "", name).replace("-", "_")


def models_folder(folder: Path) -> Path | None:
    """The set's own models, the ones meant for evaluation first; None without."""
    for place in _places(folder):
        for name in ("models_eval", "models"):
            if (place / name / "models_info.json").is_file():
                return place / name
    return None


def read_names(folder: Path) -> dict[int, str]:
    """{object id: plain name} of a set, empty where it names none; raises InputError for what cannot be read."""
    models = models_folder(folder)
    for path in (*(place / "names.json" for place in _places(folder)), *([models / "names.json"] if models else [])):
        if path.is_file():
            return {int(key): plain_name(str(name)) for key, name in _read(path).items()}
    return {}


class BopFolder:
    """A BOP data set as a ``Source``. Everything but the images is read and checked at once.

    Raises InputError for a folder without scenes and for files that do not read.
    """

    def __init__(self, folder: str | Path, masks: bool = True) -> None:
        self.folder, self.masks = Path(folder), masks
        self.names = read_names(self.folder)
        self._scenes = [(path, *(_frames(path / name) for name in (CAMERA, TRUTH))) for path in _scenes(self.folder)]
        targets = _targets(self.folder)
        # (scene, frame number, camera, the labels to count)
        self._frames: list[tuple[Path, int, Mapping[str, Any], tuple[Label, ...]]] = []
        for path, cameras, truths in self._scenes:
            shares = _frames(path / INFO) if (path / INFO).is_file() else {}
            for number in sorted(truths):
                if number not in cameras:
                    raise InputError(f"{path / CAMERA}: found no frame {number}, expected every frame of {TRUTH}.")
                labels = _labels(truths[number], shares.get(number, ()), path / TRUTH, number)
                wanted = None if targets is None else targets.get((_number(path.name), number))
                if targets is None or wanted:
                    self._frames.append((path, number, cameras[number], _most_visible(labels, wanted)))
        self.labelled = dict(Counter(label.bop_id for *_, labels in self._frames for label in labels))

    def __len__(self) -> int:
        return len(self._frames)

    def frames(self) -> Iterator[Frame]:
        """All frames in order. Raises InputError for an image that is missing or does not fit."""
        for path, number, camera, labels in self._frames:
            yield self._frame(path, number, camera, labels)

    def depth(self, scene: str, frame: str) -> tuple[Array, Array]:
        """Depth [H, W] in metres and K [3, 3] of one frame, for pictures; raises InputError when there is no such frame."""
        for path, number, camera, _ in self._frames:
            if (path.name, f"{number:06d}") == (scene, frame):
                return _depth(path, number, camera)
        raise InputError(f"{self.folder}: found no frame {frame} in scene {scene}.")

    def _frame(self, path: Path, number: int, camera: Mapping[str, Any], labels: tuple[Label, ...]) -> Frame:
        depth_m, K = _depth(path, number, camera)
        T_fixed_camera = None
        if "cam_R_w2c" in camera:
            T_fixed_camera = se3.invert(_pose(camera["cam_R_w2c"], camera["cam_t_w2c"], path / CAMERA))
        if self.masks:
            labels = tuple(_masked(label, path, number, depth_m.shape) for label in labels)
        return Frame(path.name, f"{number:06d}", Cloud.from_depth(depth_m, K), labels, depth_m, T_fixed_camera)


def _places(folder: Path) -> tuple[Path, ...]:
    """Where a set's own files may lie: the folder given may be the set, a split of it, or a scene of a split."""
    return (folder, *folder.absolute().parents[:2])


def find_scenes(folder: Path) -> list[Path]:
    """The folders with camera and ground truth: the one given, those in it, and those one further down."""
    found = [p.parent for depth in ("", "*/", "*/*/") for p in sorted(folder.glob(f"{depth}{TRUTH}"))]
    return [path for path in found if (path / CAMERA).is_file()]


def _scenes(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: found no such folder, expected a BOP data set.")
    scenes = find_scenes(folder)
    if not scenes:
        raise InputError(f"{folder}: found no scene, expected folders with {CAMERA} and {TRUTH}.")
    names = [path.name for path in scenes]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(
            f"{folder}: found scene {twice} twice (of several splits), expected one split: name its folder."
        )
    return scenes


def _frames(path: Path) -> dict[int, Any]:
    try:
        return {int(key): value for key, value in _read(path).items()}
    except ValueError as error:
        raise InputError(f"{path}: found a frame that is no number ({error}), expected BOP's frame numbers.") from None


def _read(path: Path) -> dict[str, Any]:
    values = read_json(path, "a file of a BOP set")
    if not isinstance(values, dict):
        raise InputError(f"{path}: found a {type(values).__name__}, expected one entry for each key.")
    return values


def _targets(folder: Path) -> dict[tuple[int, int], dict[int, int]] | None:
    """(scene, frame) -> {object id: how many instances are looked for}; None: everything is."""
    path = next((p / TARGETS for p in _places(folder) if (p / TARGETS).is_file()), None)
    if path is None:
        return None
    targets: dict[tuple[int, int], dict[int, int]] = {}
    try:
        for entry in json.loads(path.read_text(encoding="utf-8")):
            place = targets.setdefault((int(entry["scene_id"]), int(entry["im_id"])), {})
            place[int(entry["obj_id"])] = int(entry["inst_count"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: does not read ({type(error).__name__}: {error}), expected BOP's targets.") from None
    return targets


def _labels(entries: Any, shares: Any, path: Path, number: int) -> tuple[Label, ...]:
    labels = []
    try:
        for k, entry in enumerate(entries):
            share = shares[k].get("visib_fract") if k < len(shares) else None
            T = _pose(entry["cam_R_m2c"], entry["cam_t_m2c"], path)
            labels.append(Label(int(entry["obj_id"]), k, T, None if share is None else float(share)))
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: frame {number} does not read ({type(error).__name__}: {error}).") from None
    return tuple(labels)


def _most_visible(labels: tuple[Label, ...], wanted: Mapping[int, int] | None) -> tuple[Label, ...]:
    """The instances that BOP counts: of each object the ``wanted`` most visible ones."""
    if wanted is None:
        return labels
    left, kept = dict(wanted), []
    for label in sorted(labels, key=lambda one: -(one.visible_share or 0.0)):
        if left.get(label.bop_id, 0) > 0:
            left[label.bop_id] -= 1
            kept.append(label)
    return tuple(sorted(kept, key=lambda one: one.instance))


def _pose(rotation: Any, translation_mm: Any, path: Path) -> Array:
    R, t = np.array(rotation, float).ravel(), np.array(translation_mm, float).ravel()
    if R.shape != (9,) or t.shape != (3,) or not (np.isfinite(R).all() and np.isfinite(t).all()):
        raise InputError(f"{path}: found a pose of {R.size} and {t.size} numbers, expected 9 and 3 finite ones.")
    R = R.reshape(3, 3)
    if not np.allclose(R @ R.T, np.eye(3), atol=1e-2) or np.linalg.det(R) < 0:
        raise InputError(f"{path}: found a matrix that is not a rotation, expected no scale and no mirror.")
    return se3.transform(se3.project_so3(R), t / 1000.0)


def _depth(path: Path, number: int, camera: Mapping[str, Any]) -> tuple[Array, Array]:
    try:
        K = checked_intrinsics(np.array(camera["cam_K"], float).reshape(3, 3))
        scale = float(camera["depth_scale"])
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path / CAMERA}: frame {number} has no readable cam_K and depth_scale ({error}).") from None
    stem = path / "depth" / f"{number:06d}"
    image = next(
        (p for p in (stem.with_suffix(end) for end in (".png", ".tif")) if p.is_file()), stem.with_suffix(".png")
    )
    return read_depth(image, scale, scale_floats=True), K


def _masked(label: Label, path: Path, number: int, shape: tuple[int, ...]) -> Label:
    file = path / "mask_visib" / f"{number:06d}_{label.instance:06d}.png"
    mask = read_mask(file, shape)
    return Label(label.bop_id, label.instance, label.T_camera_object, label.visible_share, mask)


def _number(name: str) -> int:
    return int(name) if name.isdigit() else -1
