"""Evaluate a recording: run the pipeline over its frames and write a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from pose_node import __version__
from pose_node.errors import InputError
from pose_node.evaluation.figures.consistency import summarise_consistency
from pose_node.evaluation.figures.summarise import summarise
from pose_node.evaluation.figures.track_figures import track_figures
from pose_node.evaluation.records import FrameRecord, LabelRecord, TrackRecord, refusals
from pose_node.evaluation.run_folder import RunInfo, RunWriter
from pose_node.evaluation.runs.label_matching import match_labels, unmatched_estimates
from pose_node.evaluation.runs.portable_pipeline import PortablePipeline
from pose_node.evaluation.runs.poses_mcap import write_poses
from pose_node.evaluation.runs.progress import progress
from pose_node.evaluation.runs.reference_model import ReferenceModel, reference_of_card
from pose_node.evaluation.runs.results_csv import ResultsCsv
from pose_node.evaluation.runs.workers import workers
from pose_node.evaluation.sources.bag_frame import BagFrame, RawFrame
from pose_node.evaluation.sources.bags import BagFrames
from pose_node.evaluation.sources.source import Frame, Label, depth_image
from pose_node.messages.pairing import NO_POINTS
from pose_node.objects.card import ObjectCard, load_card
from pose_node.objects.folders import object_folders
from pose_node.pipeline import Pipeline
from pose_node.tracking.stream import visible_tracks
from pose_node.types import Rejected, Result, Step


def evaluate_bag(
    path: Path,
    out: Path,
    models: str | Path = "",
    config: str | Path | None = None,
    names: Sequence[str] = (),
    topics: Mapping[str, str] | None = None,
    labels: Mapping[int, str] | None = None,
    fixed_frame: str | None = None,
    realtime: bool = False,
    seed: int = 0,
    stream: TextIO | None = None,
    track: bool = False,
    jobs: int | None = None,
    ray: str | None = None,
    labels_complete: bool = True,
    depth_scale_mm: float | None = None,
    viewpoint_frame: str | None = None,
) -> dict[str, Any]:
    """Run the pipeline over a recording and write ``out``; returns the summary.

    names: objects to look for, by default all in the models folder. topics, labels, fixed_frame, realtime, depth_scale_mm,
    viewpoint_frame: as of ``BagFrames``. seed: of the bootstrap. track: track objects from frame to frame, as the node does
    with a fixed frame; a frame's estimates are then its observed tracks. jobs, ray: as of ``workers``; results do not depend
    on them. labels_complete: as ``RunInfo.labels_complete``.
    Labels in the recording are scored with the models and symmetries of our cards. Losses of a damaged recording are notes in
    ``run.json``. Raises InputError, CardError, ConfigError, ModelError or WorkerError.
    """
    if realtime and (ray is not None or jobs not in (None, 1)):
        raise InputError(
            "--realtime: found --jobs or --ray with it, expected neither: dropped frames depend on the speed of one worker."
        )
    if track and (ray is not None or jobs not in (None, 1)):
        raise InputError(
            "--track: found --jobs or --ray with it, expected neither: a track depends on all frames before."
        )
    bag, pipeline = open_bag(
        path, models, config, names, topics, labels, fixed_frame, realtime, depth_scale_mm, viewpoint_frame
    )
    ids = _by_bop_id(pipeline.cards.values())
    info = RunInfo(
        source=str(path),
        kind="bag",
        objects={n: {"diameter_m": c.diameter_m, "bop_id": c.bop_id} for n, c in pipeline.cards.items()},
        crops="mask" if bag.topics.mask else "none",
        config={**asdict(pipeline.config), "bag": _bag_settings(bag)},
        version=__version__,
        provider=pipeline.provider,
        reference="card" if bag.label_topics else "",
        notes=tuple(bag.notes),
        labels_complete=labels_complete,
    )
    frames: list[FrameRecord] = []
    found: list[LabelRecord] = []
    labelled = {name for name, _ in bag.label_topics.values()}
    references = {name: reference_of_card(card) for name, card in pipeline.cards.items() if name in labelled}
    scenes: dict[str, int] = {}
    step = partial(_step, camera_is_fixed=bag.camera_is_fixed) if track else _estimate
    work = workers(partial(_work, step, PortablePipeline(pipeline), references, labels_complete), jobs, ray)
    with work as ordered, RunWriter(out, info) as writer, ResultsCsv(out, {n: i for i, n in ids.items()}) as csv:
        for record, matched in ordered(progress(bag.raw(), len(bag), stream)):
            writer.frame(record)
            number = scenes.setdefault(record.scene, len(scenes) + 1)  # BOP's scenes have numbers, not names
            csv.frame(replace(record, scene=str(number)))
            frames.append(record)
            for label in matched:
                writer.label(label)
                found.append(label)
        notes = (*bag.notes, *_without_labels(info, labelled))
        writer.info(replace(info, reference=info.reference if found else "", notes=notes, refused=refusals(frames)))
        if found:
            summary = summarise(info, frames, found, seed)
        else:
            summary = summarise_consistency(writer, frames, pipeline.cards, seed)
        summary["all"]["figures"].update(track_figures(frames, seed))
        writer.summary(summary)
    boxes_m = {name: card.surface.box_m for name, card in pipeline.cards.items()}
    write_poses(out, frames, boxes_m, bag.topics.camera_frame, bag.fixed_frame)
    return summary


def open_bag(
    path: Path,
    models: str | Path = "",
    config: str | Path | None = None,
    names: Sequence[str] = (),
    topics: Mapping[str, str] | None = None,
    labels: Mapping[int, str] | None = None,
    fixed_frame: str | None = None,
    realtime: bool = False,
    depth_scale_mm: float | None = None,
    viewpoint_frame: str | None = None,
) -> tuple[BagFrames, Pipeline]:
    """A recording and the pipeline for its objects; arguments and errors as of ``evaluate_bag``."""
    folders = object_folders(models, names)
    ids = _by_bop_id(map(load_card, folders))
    names = [f.name for f in folders]
    bag = BagFrames(path, names, topics, labels, None, fixed_frame, realtime, ids, depth_scale_mm, viewpoint_frame)
    return bag, Pipeline.load(folders, config)


def _bag_settings(bag: BagFrames) -> dict[str, Any]:
    """The topics and frames that were used."""
    frames = {"fixed_frame": bag.fixed_frame, "viewpoint_frame": bag.viewpoint_frame}
    return {**asdict(bag.topics), **frames, "depth_scale_mm": bag.depth_scale_mm}


def _by_bop_id(cards: Iterable[ObjectCard]) -> dict[int, str]:
    """{BOP id: object name} of the cards that have an id."""
    return {card.bop_id: card.name for card in cards if card.bop_id is not None}


_CallResult = tuple[Result, tuple[TrackRecord, ...]]


def _work(
    call: Callable[[Pipeline, BagFrame], _CallResult],
    portable: PortablePipeline,
    references: Mapping[str, ReferenceModel],
    labels_complete: bool,
    raw: RawFrame,
) -> tuple[FrameRecord, list[LabelRecord]]:
    frame = raw.convert()
    return _with_labels(frame, _record(portable.pipeline, frame, call), references, labels_complete)


def _record(pipeline: Pipeline, frame: BagFrame, call: Callable[[Pipeline, BagFrame], _CallResult]) -> FrameRecord:
    """One call of the pipeline, as in the node. A frame that cannot be used gives a record with the reason and no estimates."""
    start = time.perf_counter()
    tracks: tuple[TrackRecord, ...] = ()
    if frame.cloud is None:
        result = Result((), (frame.refused or NO_POINTS,))
    else:
        try:
            result, tracks = call(pipeline, frame)
        except InputError as error:
            result = Result((), (Rejected(error.code, str(error)),))
    seconds = time.perf_counter() - start
    record = FrameRecord.of(
        frame.scene, frame.frame, frame.stamp_ns, frame.T_fixed_camera, result, seconds, frame.dropped
    )
    return replace(record, tracks=tracks)


def _estimate(pipeline: Pipeline, frame: BagFrame) -> _CallResult:
    return pipeline.estimate(frame.cloud, masks=frame.masks), ()


def track_frame(pipeline: Pipeline, frame: BagFrame, camera_is_fixed: bool) -> Step:
    """Track through one frame that has a cloud. camera_is_fixed: the camera's frame is the fixed frame.

    Raises InputError as ``Pipeline.step`` does, and with code tf_missing where the camera's pose is unknown.
    """
    T_fixed_camera = np.eye(4) if camera_is_fixed else frame.T_fixed_camera
    if T_fixed_camera is None:
        raise InputError("tf: found no pose of the camera at the measurement's stamp, expected one.", "tf_missing")
    return pipeline.step(frame.cloud, T_fixed_camera, frame.masks)


def _step(pipeline: Pipeline, frame: BagFrame, camera_is_fixed: bool) -> _CallResult:
    step = track_frame(pipeline, frame, camera_is_fixed)
    estimates = tuple(estimate for _, estimate in visible_tracks(step.tracks, step.T_fixed_camera))
    return replace(step.result, estimates=estimates), tuple(TrackRecord.of(track) for track in step.tracks)


def _with_labels(
    frame: BagFrame, record: FrameRecord, references: Mapping[str, ReferenceModel], labels_complete: bool
) -> tuple[FrameRecord, list[LabelRecord]]:
    """The record with its unmatched estimates, and the frame's labels with their matches.

    A frame without any label has no unmatched estimates: there may be fewer labels than frames.
    """
    numbers = {name: i for i, name in enumerate(references)}
    labels = tuple(Label(numbers[name], instance, T) for name, instance, T in frame.labels)
    by_number = {numbers[name]: reference for name, reference in references.items()}
    if labels_complete and labels and frame.cloud is not None:
        record = replace(record, unmatched=unmatched_estimates(labels, record, by_number))
    depth_m = None if frame.cloud is None else depth_image(frame.cloud)
    measured = Frame(frame.scene, frame.frame, frame.cloud, labels, depth_m)
    return record, match_labels(measured, record, by_number)


def _without_labels(info: RunInfo, labelled: Collection[str]) -> list[str]:
    """A note for the objects without labels in a recording with labels."""
    without = [name for name in info.objects if name not in labelled]
    if not labelled or not without or not info.labels_complete:
        return []
    return [f"{', '.join(without)}: found no labels, so each of their estimates counts as a false alarm."]
