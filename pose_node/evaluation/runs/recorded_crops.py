"""Where a recording shows an object: crops with known poses, for ``pose_node finetune``.

From a BOP data set by its labels and masks; from a bag by the labels in it, or else by the pipeline's own confident tracks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from pose_node.arrays import Array
from pose_node.config import PipelineConfig
from pose_node.errors import InputError
from pose_node.evaluation.runs.bag_run import track_frame
from pose_node.evaluation.sources.bag_frame import BagFrame
from pose_node.evaluation.sources.bags import BagFrames
from pose_node.evaluation.sources.bop import BopFolder
from pose_node.geometry.se3 import apply, invert
from pose_node.measurement.crop import Crop
from pose_node.objects.card import ObjectCard, load_card
from pose_node.pipeline import Pipeline
from pose_node.tracking.stream import visible_tracks

CONFIDENT = 0.9  # score from which on a track counts as a label
MAX_FRAMES = 240  # of a longer recording, so many are read, evenly
_GROUPS = 12  # at least so many stretches are told apart
_BESIDE_REL = 0.03  # without a mask, points nearer than this to the surface, in diameters, are the object's

_Found = tuple[str, Array, Array, Array]  # scene, points_m, viewpoint_m, T_camera_object


def bop_crops(source: Path, folder: Path) -> list[Crop]:
    """The crops of the object in ``folder`` in a BOP data set. Raises InputError where it has none, and for an invalid set."""
    card, frames = load_card(folder), BopFolder(source)
    number = card.bop_id
    if number is None:
        raise InputError(f"{folder}: found no bop_id on the card, expected the object's number in {source}.")
    found: list[_Found] = []
    if frames.has_truth and number in frames.labelled:
        for frame in frames.frames():
            for label in frame.labels:
                if label.bop_id == number and frame.cloud is not None and label.mask is not None:
                    mine = np.asarray(label.mask).ravel()[frame.cloud.source_index]
                    points_m = frame.cloud.points_m[mine]
                    found.append((frame.scene, points_m, frame.cloud.viewpoint_m, label.T_camera_object))
    if not found:
        raise InputError(f"{source}: found no label of object {number} ({card.name}), expected at least one.")
    stride = -(-len(found) // MAX_FRAMES)
    return _grouped(found[::stride])


def bag_crops(source: Path, folder: Path) -> list[Crop]:
    """The crops of the object in ``folder`` in a bag: by its labels where it has some, else by confident tracks.

    Raises InputError where the object is not found, and for an unreadable bag.
    """
    card = load_card(folder)
    ids = {} if card.bop_id is None else {card.bop_id: card.name}
    bag = BagFrames(source, [card.name], ids=ids)
    if bag.label_topics:
        found = list(_labelled(bag, card))
        sought = f"a label of {card.name} with a measurement"
    else:
        found = list(_tracked(bag, folder, card))
        sought = f"{card.name} in it: neither labels nor a confirmed track with a score of {CONFIDENT} or more"
    if not found:
        raise InputError(f"{source}: found no crop of {card.name} in {len(bag)} frames, expected {sought}.")
    return _grouped(found)


def _labelled(bag: BagFrames, card: ObjectCard) -> Iterator[_Found]:
    surface = cKDTree(card.surface.points_m)
    for frame in _evenly(bag):
        for label in frame.labels:
            if frame.cloud is not None and label.object_name == card.name:
                places_m = apply(invert(label.T_camera_object), frame.cloud.points_m)
                gap_m = surface.query(places_m, distance_upper_bound=_BESIDE_REL * card.diameter_m)[0]
                mine = np.isfinite(gap_m)
                yield frame.scene, frame.cloud.points_m[mine], frame.cloud.viewpoint_m, label.T_camera_object


def _tracked(bag: BagFrames, folder: Path, card: ObjectCard) -> Iterator[_Found]:
    pipeline = Pipeline.load([folder], PipelineConfig())
    scene = ""
    for frame in _evenly(bag):
        if frame.scene != scene:  # the recording's clock jumped
            pipeline.reset()
            scene = frame.scene
        if frame.cloud is None:
            continue
        try:
            step = track_frame(pipeline, frame, bag.camera_is_fixed)
        except InputError:  # a frame without a camera pose
            continue
        for track, estimate in visible_tracks(step.tracks, step.T_fixed_camera):
            if track.state == "confirmed" and track.score >= CONFIDENT:
                points_m = frame.cloud.points_m[estimate.segment.indices]
                yield scene, points_m, frame.cloud.viewpoint_m, estimate.T_camera_object


def _evenly(bag: BagFrames) -> Iterator[BagFrame]:
    stride = max(1, -(-len(bag) // MAX_FRAMES))
    return (raw.convert() for number, raw in enumerate(bag.raw()) if number % stride == 0)


def _grouped(found: list[_Found]) -> list[Crop]:
    """Crops in order; a scene, or where there are few a part of it, is their group: neighbouring frames are not independent."""
    scenes = [scene for scene, *_ in found]
    parts = -(-_GROUPS // len(set(scenes)))
    crops = []
    for scene in dict.fromkeys(scenes):
        mine = [each for each in found if each[0] == scene]
        for number, (_, points_m, viewpoint_m, T) in enumerate(mine):
            crops.append(Crop(points_m, viewpoint_m, T, f"{scene}/{parts * number // len(mine)}"))
    return crops
