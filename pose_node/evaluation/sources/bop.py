"""Folders in the layout of the BOP challenge: scenes of depth images with camera, and ground truth and masks where there are some.

A scene is a folder with ``scene_camera.json``, either the folder given, below it, or below one of its folders
(``scenes/000002``, ``test/000002``). Its files and folders may carry the name of a camera (``scene_camera_cam1.json``,
``depth_cam1``): each camera with depth is a scene then. Without any ``scene_gt.json`` the set is one whose ground truth is kept
for BOP's server. Names come from ``names.json`` where there is one ({id: name}), the frames and instances to look at from the
targets of BOP where there are some. Millimetres become metres here.
Format: https://github.com/thodan/bop_toolkit/blob/master/docs/bop_datasets_format.md
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.evaluation.sources.json_file import read_json
from pose_node.evaluation.sources.source import Frame, Label
from pose_node.geometry import se3
from pose_node.measurement.cloud import Cloud, checked_intrinsics
from pose_node.measurement.image_files import read_depth, read_mask
from pose_node.types import Rejected

Crops = Literal["mask", "box", "none"]
CAMERA, TRUTH, INFO = "scene_camera", "scene_gt", "scene_gt_info"
DEPTH, MASKS = "depth", "mask_visib"
TARGETS = ("test_targets_bop19.json", "test_targets_bop24.json")


class Scene(NamedTuple):
    """A scene of one camera. camera_type: what the names of its files end in, empty where they end in nothing."""

    path: Path
    camera_type: str
    name: str

    def file(self, stem: str) -> Path:
        return self.path / f"{self._named(stem)}.json"

    def folder(self, stem: str) -> Path:
        return self.path / self._named(stem)

    def _named(self, stem: str) -> str:
        return f"{stem}_{self.camera_type}" if self.camera_type else stem


class _Entry(NamedTuple):
    """A frame before its images are read; camera: its entry of ``scene_camera.json``, None where that has none."""

    scene: Scene
    number: int
    camera: Mapping[str, Any] | None
    labels: tuple[Label, ...] = ()
    uncounted: tuple[Label, ...] = ()
    shares: Sequence[Any] = ()


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

    crops: which part of each label is used as input: its mask, the box of it, or neither.
    Raises InputError for a folder without scenes, for files that do not read, and where a crop is asked for that the set lacks.
    """

    def __init__(self, folder: str | Path, crops: Crops = "mask") -> None:
        self.folder = Path(folder)
        self.names = read_names(self.folder)
        self.notes: list[str] = []
        scenes = _scenes(self.folder)
        labelled = [scene for scene in scenes if scene.file(TRUTH).is_file()]
        self.has_truth = bool(labelled)
        _check_names(labelled or scenes, self.folder)
        self._crops: Crops = crops if labelled else "none"
        targets = _targets(self.folder)
        self._entries: list[_Entry] = []
        for scene in labelled or scenes:
            self._entries += self._of_scene(scene, targets)
        if labelled:
            self.notes += [
                f"{x.name}: found no {x.file(TRUTH).name}, so it is left out." for x in scenes if x not in labelled
            ]
            self.labelled = dict(Counter(label.bop_id for entry in self._entries for label in entry.labels))
        else:
            self.labelled = self._looked_for(targets)
            self.notes.append(
                f"found no {scenes[0].file(TRUTH).name}, so nothing can be scored: objects are looked for without a mask, and "
                "results.csv is for the server that has the ground truth."
            )
        types = sorted({x.camera_type for x in scenes})
        if any(not _is_number(x.name) for x in scenes) and len(types) > 1:
            self.notes.append(
                f"found cameras {', '.join(types)}: results.csv has no room for several, so it is left empty."
            )

    def __len__(self) -> int:
        return len(self._entries)

    def frames(self) -> Iterator[Frame]:
        """All frames in order; one with an image or a camera that is missing or does not fit has no cloud but the reason."""
        for entry in self._entries:
            try:
                frame = self._frame(entry)
            except InputError as error:
                reason = str(error).replace(f"{self.folder}/", "")
                frame = replace(_empty(entry), refused=Rejected(error.code, reason))
            yield frame

    def depth(self, scene: str, frame: str) -> tuple[Array, Array]:
        """Depth [H, W] in metres and K [3, 3] of one frame, for pictures; raises InputError when there is no such frame."""
        for entry in self._entries:
            if (entry.scene.name, f"{entry.number:06d}") == (scene, frame):
                return _depth(entry)
        raise InputError(f"{self.folder}: found no frame {frame} in scene {scene}.")

    def _of_scene(self, scene: Scene, targets: _Targets | None) -> Iterator[_Entry]:
        cameras = _frames(scene.file(CAMERA))
        truths = _frames(scene.file(TRUTH)) if self.has_truth else dict.fromkeys(cameras, ())
        shares = _frames(scene.file(INFO)) if self.has_truth and scene.file(INFO).is_file() else {}
        if self._crops != "none" and any(truths.values()):
            self._check_crops(scene, shares)
        for number in sorted(truths):
            labels = _labels(truths[number], shares.get(number, ()), scene.file(TRUTH), number)
            place = (_number(scene.path.name), number)
            if targets is not None and place not in targets:
                continue
            counted = _most_visible(labels, None if targets is None else targets[place])
            others = tuple(label for label in labels if label not in counted)
            yield _Entry(scene, number, cameras.get(number), counted, others, shares.get(number, ()))

    def _check_crops(self, scene: Scene, shares: Mapping[int, Any]) -> None:
        if scene.folder(MASKS).is_dir():
            return
        boxes = any(_visible_box(entry) is not None for entries in shares.values() for entry in entries)
        if self._crops == "box" and boxes:
            return
        instead = f", or --crops box for the boxes of {scene.file(INFO).name}" if boxes else ""
        raise InputError(
            f"{scene.path}: found no folder {scene.folder(MASKS).name}, expected a mask of each label; pass --crops none to "
            f"look for objects without one{instead}."
        )

    def _looked_for(self, targets: _Targets | None) -> dict[int, int]:
        """{object id: instances} of the targets, else the set's models with no number of instances; empty where neither is."""
        if targets is not None:
            places = {(_number(entry.scene.path.name), entry.number) for entry in self._entries}
            found: Counter[int] = Counter()
            for place in places:
                found.update(targets[place] or {})
            if found:
                return dict(found)
        models = models_folder(self.folder)
        return dict.fromkeys(map(int, _read(models / "models_info.json")), 0) if models else {}

    def _frame(self, entry: _Entry) -> Frame:
        depth_m, K = _depth(entry)
        T_fixed_camera, camera, labels = None, entry.camera or {}, entry.labels
        if "cam_R_w2c" in camera:
            pose = _pose(camera["cam_R_w2c"], camera.get("cam_t_w2c", ()), entry.scene.file(CAMERA))
            T_fixed_camera = se3.invert(pose)
        if self._crops != "none":
            labels = tuple(_masked(label, entry, depth_m.shape) for label in labels)
        return replace(
            _empty(entry),
            cloud=Cloud.from_depth(depth_m, K),
            labels=labels,
            depth_m=depth_m,
            T_fixed_camera=T_fixed_camera,
        )


def _empty(entry: _Entry) -> Frame:
    """The frame with its labels and nothing measured."""
    return Frame(entry.scene.name, f"{entry.number:06d}", None, entry.labels, uncounted=entry.uncounted)


def _places(folder: Path) -> tuple[Path, ...]:
    """Where a set's own files may lie: the folder given may be the set, a split of it, or a scene of a split."""
    return (folder, *folder.absolute().parents[:2])


def find_scenes(folder: Path) -> list[Scene]:
    """The scenes of the folder given, of those in it, and of those one further down: one for each camera, those with depth first.

    A camera without depth is left out where another one of its scene has some.
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


def _scenes(folder: Path) -> list[Scene]:
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


def _check_names(scenes: Sequence[Scene], folder: Path) -> None:
    names = [scene.name for scene in scenes]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(
            f"{folder}: found scene {twice} twice (of several splits), expected one split: name its folder."
        )


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


_Targets = Mapping[tuple[int, int], Mapping[int, int] | None]


def _targets(folder: Path) -> _Targets | None:
    """(scene, frame) -> {object id: how many instances are looked for}, None: all of the frame; None alone: all frames."""
    path = next((place / name for name in TARGETS for place in _places(folder) if (place / name).is_file()), None)
    if path is None:
        return None
    targets: dict[tuple[int, int], dict[int, int] | None] = {}
    try:
        for entry in json.loads(path.read_text(encoding="utf-8")):
            place = (int(entry["scene_id"]), int(entry["im_id"]))
            if "obj_id" in entry:
                wanted = targets.setdefault(place, {})
                if wanted is not None:
                    wanted[int(entry["obj_id"])] = int(entry["inst_count"])
            else:
                targets[place] = None
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


def _depth(entry: _Entry) -> tuple[Array, Array]:
    scene, number = entry.scene, entry.number
    if entry.camera is None:
        raise InputError(
            f"{scene.file(CAMERA)}: found no frame {number}, expected every frame of {scene.file(TRUTH).name}.",
            "no_camera",
        )
    try:
        K = checked_intrinsics(np.array(entry.camera["cam_K"], float).reshape(3, 3))
        scale_mm = float(entry.camera["depth_scale"])
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{scene.file(CAMERA)}: frame {number} has no readable cam_K and depth_scale ({error}).", "no_camera"
        ) from None
    stem = scene.folder(DEPTH) / f"{number:06d}"
    files = [stem.with_suffix(end) for end in (".png", ".tif", ".tiff")]
    return read_depth(next((file for file in files if file.is_file()), files[0]), scale_mm, scale_floats=True), K


def _masked(label: Label, entry: _Entry, shape: tuple[int, ...]) -> Label:
    folder = entry.scene.folder(MASKS)
    if folder.is_dir():
        return replace(label, mask=read_mask(folder / f"{entry.number:06d}_{label.instance:06d}.png", shape))
    mask = np.zeros(shape, bool)
    box = _visible_box(entry.shares[label.instance]) if label.instance < len(entry.shares) else None
    if box is not None:
        x, y, width, height = box
        mask[max(y, 0) : max(y + height + 1, 0), max(x, 0) : max(x + width + 1, 0)] = True
    return replace(label, mask=mask)


def _visible_box(share: Any) -> tuple[int, int, int, int] | None:
    """(x, y, width, height) of an entry of ``scene_gt_info.json``, the last two from pixel to pixel; None without one."""
    try:
        x, y, width, height = (int(round(float(value))) for value in share["bbox_visib"])
    except (TypeError, KeyError, ValueError):
        return None
    return None if min(width, height) < 0 else (x, y, width, height)


def _is_number(name: str) -> bool:
    return _number(name) >= 0


def _number(name: str) -> int:
    return int(name) if name.isdigit() else -1
