"""A BOP data set: scenes of depth images with cameras, and with ground truth and masks where the set has them.

Without any ``scene_gt.json`` it is a set whose ground truth only BOP's server has. Object names come from ``names.json``
({id: name}), frames and instances from BOP's targets, where the set has these files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.evaluation.sources.bop_files import (
    CAMERA,
    DEPTH,
    INFO,
    MASKS,
    TRUTH,
    Scene,
    Targets,
    check_names,
    models_folder,
    read_frames,
    read_labels,
    read_names,
    read_object,
    read_pose,
    read_targets,
    scenes_of,
    visible_box,
)
from pose_node.evaluation.sources.source import Frame, Label
from pose_node.geometry import se3
from pose_node.measurement.cloud import Cloud, checked_intrinsics
from pose_node.measurement.image_files import read_depth, read_mask
from pose_node.types import Rejected

Crops = Literal["mask", "box", "none"]


class _Entry(NamedTuple):
    """A frame before its images are read; camera: its entry of ``scene_camera.json``, None where that has none."""

    scene: Scene
    number: int
    camera: Mapping[str, Any] | None
    labels: tuple[Label, ...] = ()
    uncounted: tuple[Label, ...] = ()
    shares: Sequence[Any] = ()


class BopFolder:
    """A BOP data set as a ``Source``. All files but the images are read and checked at once.

    crops: which part of each label is used as input: its mask, the box of it, or neither.
    Raises InputError for a folder without scenes, for invalid files, and for crops that the set does not have.
    """

    def __init__(self, folder: str | Path, crops: Crops = "mask") -> None:
        self.folder = Path(folder)
        self.names = read_names(self.folder)
        self.notes: list[str] = []
        scenes = scenes_of(self.folder)
        labelled = [scene for scene in scenes if scene.file(TRUTH).is_file()]
        self.has_truth = bool(labelled)
        check_names(labelled or scenes, self.folder)
        self._crops: Crops = crops if labelled else "none"
        targets = read_targets(self.folder)
        self._entries: list[_Entry] = []
        for scene in labelled or scenes:
            self._entries += self._of_scene(scene, targets)
        if labelled:
            self.notes += [f"{x.name}: found no {x.file(TRUTH).name}; left out." for x in scenes if x not in labelled]
            self.labelled = dict(Counter(label.bop_id for entry in self._entries for label in entry.labels))
        else:
            self.labelled = self._looked_for(targets)
            self.notes.append(
                f"found no {scenes[0].file(TRUTH).name}, so there is no score: objects are looked for without a mask, and "
                "results.csv is for BOP's server, which has the ground truth."
            )
        types = sorted({x.camera_type for x in scenes})
        if any(not _is_number(x.name) for x in scenes) and len(types) > 1:
            self.notes.append(
                f"found cameras {', '.join(types)}: results.csv cannot distinguish several cameras, so it is left empty."
            )

    def __len__(self) -> int:
        return len(self._entries)

    def frames(self) -> Iterator[Frame]:
        """All frames in order; one with a missing or invalid image or camera is a refused frame with the reason."""
        for entry in self._entries:
            try:
                frame = self._frame(entry)
            except InputError as error:
                reason = str(error).replace(f"{self.folder}/", "")
                frame = replace(_empty(entry), refused=Rejected(error.code, reason))
            yield frame

    def depth(self, scene: str, frame: str) -> tuple[Array, Array]:
        """Depth [H, W] in metres and K [3, 3] of one frame, for pictures; raises InputError without such a frame."""
        for entry in self._entries:
            if (entry.scene.name, f"{entry.number:06d}") == (scene, frame):
                return _depth(entry)
        raise InputError(f"{self.folder}: found no frame {frame} in scene {scene}.")

    def _of_scene(self, scene: Scene, targets: Targets | None) -> Iterator[_Entry]:
        cameras = read_frames(scene.file(CAMERA))
        truths = read_frames(scene.file(TRUTH)) if self.has_truth else dict.fromkeys(cameras, ())
        shares = read_frames(scene.file(INFO)) if self.has_truth and scene.file(INFO).is_file() else {}
        if self._crops != "none" and any(truths.values()):
            self._check_crops(scene, shares)
        for number in sorted(truths):
            labels = read_labels(truths[number], shares.get(number, ()), scene.file(TRUTH), number)
            key = (_number(scene.path.name), number)
            if targets is not None and key not in targets:
                continue
            counted = _most_visible(labels, None if targets is None else targets[key])
            others = tuple(label for label in labels if label not in counted)
            yield _Entry(scene, number, cameras.get(number), counted, others, shares.get(number, ()))

    def _check_crops(self, scene: Scene, shares: Mapping[int, Any]) -> None:
        if scene.folder(MASKS).is_dir():
            return
        boxes = any(visible_box(entry) is not None for entries in shares.values() for entry in entries)
        if self._crops == "box" and boxes:
            return
        instead = f", or --crops box for the boxes of {scene.file(INFO).name}" if boxes else ""
        raise InputError(
            f"{scene.path}: found no folder {scene.folder(MASKS).name}, expected a mask of each label; pass --crops none to "
            f"look for objects without masks{instead}."
        )

    def _looked_for(self, targets: Targets | None) -> dict[int, int]:
        """{object id: instances} of the targets, else of the set's models with 0 instances; empty without both."""
        if targets is not None:
            keys = {(_number(entry.scene.path.name), entry.number) for entry in self._entries}
            found: Counter[int] = Counter()
            for key in keys:
                found.update(targets[key] or {})
            if found:
                return dict(found)
        models = models_folder(self.folder)
        return dict.fromkeys(map(int, read_object(models / "models_info.json")), 0) if models else {}

    def _frame(self, entry: _Entry) -> Frame:
        depth_m, K = _depth(entry)
        T_fixed_camera, camera, labels = None, entry.camera or {}, entry.labels
        if "cam_R_w2c" in camera:
            pose = read_pose(camera["cam_R_w2c"], camera.get("cam_t_w2c", ()), entry.scene.file(CAMERA))
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
    """The frame with its labels, without a measurement."""
    return Frame(entry.scene.name, f"{entry.number:06d}", None, entry.labels, uncounted=entry.uncounted)


def _most_visible(labels: tuple[Label, ...], wanted: Mapping[int, int] | None) -> tuple[Label, ...]:
    """The instances that BOP counts: the ``wanted`` most visible ones of each object."""
    if wanted is None:
        return labels
    left, kept = dict(wanted), []
    for label in sorted(labels, key=lambda one: -(one.visible_share or 0.0)):
        if left.get(label.bop_id, 0) > 0:
            left[label.bop_id] -= 1
            kept.append(label)
    return tuple(sorted(kept, key=lambda one: one.instance))


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
            f"{scene.file(CAMERA)}: frame {number} has no valid cam_K and depth_scale ({error}).", "no_camera"
        ) from None
    stem = scene.folder(DEPTH) / f"{number:06d}"
    files = [stem.with_suffix(end) for end in (".png", ".tif", ".tiff")]
    return read_depth(next((file for file in files if file.is_file()), files[0]), scale_mm, scale_floats=True), K


def _masked(label: Label, entry: _Entry, shape: tuple[int, ...]) -> Label:
    folder = entry.scene.folder(MASKS)
    if folder.is_dir():
        return replace(label, mask=read_mask(folder / f"{entry.number:06d}_{label.instance:06d}.png", shape))
    mask = np.zeros(shape, bool)
    box = visible_box(entry.shares[label.instance]) if label.instance < len(entry.shares) else None
    if box is not None:
        x, y, width, height = box
        mask[max(y, 0) : max(y + height + 1, 0), max(x, 0) : max(x + width + 1, 0)] = True
    return replace(label, mask=mask)


def _is_number(name: str) -> bool:
    return _number(name) >= 0


def _number(name: str) -> int:
    return int(name) if name.isdigit() else -1
