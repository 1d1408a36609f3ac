"""Pictures of the worst frames and the false alarms: the label and beside it the estimate, over the measured depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pose_node import drawing
from pose_node.arrays import Array
from pose_node.errors import PoseNodeError
from pose_node.evaluation.figures.curves import CORRECT_MSSD_REL, placement
from pose_node.evaluation.records import EstimateRecord, FrameRecord, LabelRecord
from pose_node.evaluation.run_folder import Run
from pose_node.geometry import se3
from pose_node.geometry.symmetry import Symmetry, nearest_symmetric

if TYPE_CHECKING:
    from PIL.Image import Image

DepthOf = Callable[[str, str], tuple[Array, Array]]
SurfaceOf = Callable[[str], tuple[Array, Array]]
SymmetryOf = Callable[[str], Symmetry]
_SIDE = 300  # pixels of one drawn crop
_MARGIN = 1.6  # side of a crop over the extent of the poses in it
_NEAR = 2.0  # diameters; an estimate farther off than this is not included in the crop: the label would be too small


@dataclass(frozen=True, eq=False)
class PictureInputs:
    """Where pictures get their data. Each may raise a PoseNodeError: the picture is then left out.

    depth:    (scene, frame) -> depth [H, W] in metres (0 or NaN: no reading) and K [3, 3].
    surface:  object name -> surface samples [S, 3] in metres and outward normals [S, 3], object frame.
    symmetry: object name -> its symmetries; an estimate is drawn as the equal pose nearest to its label.
    """

    depth: DepthOf
    surface: SurfaceOf
    symmetry: SymmetryOf


class FalseAlarm(NamedTuple):
    """An estimate without a label, and its frame."""

    frame: FrameRecord
    estimate: EstimateRecord


def worst(labels: Sequence[LabelRecord], most: int = 12) -> list[LabelRecord]:
    """The labels to draw, one of each placement: wrong estimates by descending score, then labels without an estimate, for which
    up to half of the places are kept. Where all estimates are correct, the largest errors."""
    wrong = [x for x in labels if x.estimate is not None and _mssd_rel(x) >= CORRECT_MSSD_REL]
    missed = [x for x in labels if x.estimate is None]
    if not wrong and not missed:
        return _one_per_placement(sorted(labels, key=_mssd_rel, reverse=True))[: most // 2]
    wrong.sort(key=lambda x: (-(x.score or 0.0), -_mssd_rel(x), x.scene, x.frame))
    missed.sort(key=lambda x: (-(x.visible_share or 0.0), x.scene, x.frame))
    chosen = _one_per_placement([*wrong, *missed])
    found, not_found = ([x for x in chosen if (x.estimate is None) == no] for no in (False, True))
    found = found[: max(most - len(not_found), most // 2)]
    return [*found, *not_found[: most - len(found)]]


def false_alarms(run: Run, most: int = 6) -> list[FalseAlarm]:
    """The estimates that the figure of false alarms counts, by descending score, one of each object and scene, as a static scene
    repeats them."""
    frames = run.frames if run.info.counts_false_alarms else ()
    found = [FalseAlarm(frame, frame.estimates[i]) for frame in frames for i in frame.unmatched or ()]
    found.sort(key=lambda x: (-x.estimate.score, x.frame.scene, x.frame.frame))
    first: dict[tuple[str, str], FalseAlarm] = {}
    for alarm in found:
        first.setdefault((alarm.frame.scene, alarm.estimate.object_name), alarm)
    return list(first.values())[:most]


def drawn_frames(run: Run) -> set[tuple[str, str]]:
    """(scene, frame) of every picture of a report."""
    return {(x.scene, x.frame) for x in worst(run.labels)} | {(x.frame.scene, x.frame.frame) for x in false_alarms(run)}


def draw_false_alarm(run: Run, alarm: FalseAlarm, inputs: PictureInputs) -> Image | None:
    """The frame's labels, and beside them the estimate without a label; None without depth."""
    frame, estimate = alarm
    try:
        depth_m, K = inputs.depth(frame.scene, frame.frame)
        points, normals = inputs.surface(estimate.object_name)
        true = [
            drawing.Instance(x.object_name, x.T_camera_object, *inputs.surface(x.object_name), axes=True)
            for x in run.labels
            if (x.scene, x.frame) == (frame.scene, frame.frame)
        ]
    except PoseNodeError:
        return None
    depth_m, K = _cropped(np.asarray(depth_m, float), K, [estimate.T_camera_object], points)
    wrong = drawing.Instance(f"{estimate.score:.2f}", estimate.T_camera_object, points, normals, axes=True)
    return drawing.side_by_side(
        [
            drawing.draw(depth_m, K, true, "labels" if true else "no label"),
            drawing.draw(depth_m, K, [wrong], "false alarm"),
        ]
    )


def draw_label(run: Run, label: LabelRecord, inputs: PictureInputs) -> Image | None:
    """The label, and beside it its estimate, else the frame's other estimates of that object; None without depth."""
    try:
        depth_m, K = inputs.depth(label.scene, label.frame)
        points, normals = inputs.surface(label.object_name)
        symmetry = inputs.symmetry(label.object_name)
    except PoseNodeError:
        return None
    frame = _frame(run, label)
    drawn = []
    if frame is not None and label.estimate is not None:
        drawn = [frame.estimates[label.estimate]]
    elif frame is not None:
        drawn = [e for e in frame.estimates if e.object_name == label.object_name]
    poses = [nearest_symmetric(label.T_camera_object, e.T_camera_object, symmetry) for e in drawn]
    near = poses if _mssd_rel(label) < _NEAR else []
    depth_m, K = _cropped(np.asarray(depth_m, float), K, [label.T_camera_object, *near], points)
    true = drawing.Instance(label.object_name, label.T_camera_object, points, normals, axes=True)
    guesses = [drawing.Instance(f"{e.score:.2f}", T, points, normals, axes=True) for e, T in zip(drawn, poses)]
    return drawing.side_by_side(
        [
            drawing.draw(depth_m, K, [true], "label"),
            drawing.draw(depth_m, K, guesses, "estimate" if guesses else "no estimate"),
        ]
    )


def _one_per_placement(labels: Sequence[LabelRecord]) -> list[LabelRecord]:
    first: dict[tuple[str, ...], LabelRecord] = {}
    for label in labels:
        first.setdefault(placement(label), label)
    return list(first.values())


def _mssd_rel(label: LabelRecord) -> float:
    return float("inf") if label.errors.mssd_rel is None else label.errors.mssd_rel


def _frame(run: Run, label: LabelRecord) -> FrameRecord | None:
    return next((f for f in run.frames if (f.scene, f.frame) == (label.scene, label.frame)), None)


def _cropped(depth_m: Array, K: Array, poses: Sequence[Array], points: Array) -> tuple[Array, Array]:
    """A square of depth around the poses, scaled to ``_SIDE`` pixels by nearest neighbour, and its K."""
    shown = np.concatenate([se3.apply(T, points) for T in poses])
    shown = shown[shown[:, 2] > 1e-3]
    height, width = depth_m.shape
    if len(shown) == 0:
        return depth_m, K
    pixels = shown[:, :2] / shown[:, 2:] @ K[:2, :2].T + K[:2, 2]
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    side = max(float((high - low).max()) * _MARGIN, 24.0)
    left, top = (low + high) / 2 - side / 2
    step = side / _SIDE
    columns = np.rint(left + (np.arange(_SIDE) + 0.5) * step - 0.5).astype(int)
    rows = np.rint(top + (np.arange(_SIDE) + 0.5) * step - 0.5).astype(int)
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))[None]
    crop = np.where(inside, depth_m[rows.clip(0, height - 1)[:, None], columns.clip(0, width - 1)[None]], 0.0)
    scaled = np.array(K, float)
    scaled[:2] /= step
    # Pixel centre u of the image is (u - left + 0.5) / step - 0.5 in the crop.
    scaled[:2, 2] += (0.5 - np.array([left, top])) / step - 0.5
    return crop, scaled
