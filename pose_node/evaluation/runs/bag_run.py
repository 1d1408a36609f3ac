"""One recording through the pipeline: frames in, a run folder with poses and figures out."""

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
from pose_node.evaluation.runs.portable_pipeline import PortablePipeline
from pose_node.evaluation.runs.poses_mcap import write_poses
from pose_node.evaluation.runs.progress import progress
from pose_node.evaluation.runs.reference_model import ReferenceModel, reference_of_card
from pose_node.evaluation.runs.results_csv import ResultsCsv
from pose_node.evaluation.runs.set_run import match_labels, unmatched_estimates
from pose_node.evaluation.runs.workers import workers
from pose_node.evaluation.sources.bag_frame import BagFrame, RawFrame
from pose_node.evaluation.sources.bags import BagFrames
from pose_node.evaluation.sources.source import Frame, Label, depth_image
from pose_node.messages.pairing import NO_POINTS
from pose_node.objects.card import ObjectCard, load_card
from pose_node.objects.folders import object_folders
from pose_node.pipeline import Pipeline
from pose_node.tracking.stream import shown
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

    names: the objects to look for, by default all in the models folder. topics, labels, fixed_frame, realtime,
    depth_scale_mm: as ``BagFrames``. seed: of the bootstrap. track: follow objects from frame to frame, as the node does with a fixed frame; the
    estimates of a frame are then the tracks that it shows. jobs, ray: as ``workers``; all but times is the same for any.
    labels_complete: as ``RunInfo.labels_complete``. Where the recording
    holds labels, they are scored by the cards' own models and symmetries. Raises InputError, CardError, ConfigError, ModelError
    or WorkerError for what cannot be used; what a recording has lost is no error but a note in ``run.json``.
    """
    if realtime and (ray is not None or jobs not in (None, 1)):
        raise InputError(
            "--realtime: found --jobs or --ray beside it, expected neither: what is dropped depends on the time of one worker."
        )
    if track and (ray is not None or jobs not in (None, 1)):
        raise InputError(
            "--track: found --jobs or --ray beside it, expected neither: each frame follows from the one before."
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
        config={**asdict(pipeline.config), "bag": _as_read(bag)},
        version=__version__,
        provider=pipeline.provider,
        reference="card" if bag.label_topics else "",
        notes=tuple(bag.notes),
        labels_complete=labels_complete,
    )
    frames: list[FrameRecord] = []
    found: list[LabelRecord] = []
    labelled = {name for name, _ in bag.label_topics.values()}
    truths = {name: reference_of_card(card) for name, card in pipeline.cards.items() if name in labelled}
    scenes: dict[str, int] = {}
    step = partial(_step, still=bag.camera_is_fixed) if track else _estimate
    work = workers(partial(_work, step, PortablePipeline(pipeline), truths, labels_complete), jobs, ray)
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
    """A recording, and the pipeline for the objects that are looked for in it; arguments and errors as of ``evaluate_bag``."""
    folders = object_folders(models, names)
    ids = _by_bop_id(map(load_card, folders))
    names = [f.name for f in folders]
    bag = BagFrames(path, names, topics, labels, None, fixed_frame, realtime, ids, depth_scale_mm, viewpoint_frame)
    return bag, Pipeline.load(folders, config)


def _as_read(bag: BagFrames) -> dict[str, Any]:
    """What of a recording was read, and how."""
    frames = {"fixed_frame": bag.fixed_frame, "viewpoint_frame": bag.viewpoint_frame}
    return {**asdict(bag.topics), **frames, "depth_scale_mm": bag.depth_scale_mm}


def _by_bop_id(cards: Iterable[ObjectCard]) -> dict[int, str]:
    """{BOP id: object name} of those that have one."""
    return {card.bop_id: card.name for card in cards if card.bop_id is not None}


Outcome = tuple[Result, tuple[TrackRecord, ...]]


def _work(
    call: Callable[[Pipeline, BagFrame], Outcome],
    portable: PortablePipeline,
    truths: Mapping[str, ReferenceModel],
    labels_complete: bool,
    raw: RawFrame,
) -> tuple[FrameRecord, list[LabelRecord]]:
    frame = raw.convert()
    return _labelled(frame, _record(portable.pipeline, frame, call), truths, labels_complete)


def _record(pipeline: Pipeline, frame: BagFrame, call: Callable[[Pipeline, BagFrame], Outcome]) -> FrameRecord:
    """One call, as the node makes it: a frame that cannot be used is one with its reason and without a pose."""
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


def _estimate(pipeline: Pipeline, frame: BagFrame) -> Outcome:
    return pipeline.estimate(frame.cloud, masks=frame.masks), ()


def follow(pipeline: Pipeline, frame: BagFrame, still: bool) -> Step:
    """The frame, which has a cloud, after those before it. still: nothing moves the camera's frame, so it is the fixed one.

    Raises InputError as ``Pipeline.step`` does, and with code tf_missing where the camera's pose is not known.
    """
    T_fixed_camera = np.eye(4) if still else frame.T_fixed_camera
    if T_fixed_camera is None:
        raise InputError("tf: found no pose of the camera at the measurement's stamp, expected one.", "tf_missing")
    return pipeline.step(frame.cloud, T_fixed_camera, frame.masks)


def _step(pipeline: Pipeline, frame: BagFrame, still: bool) -> Outcome:
    step = follow(pipeline, frame, still)
    estimates = tuple(estimate for _, estimate in shown(step.tracks, step.T_fixed_camera))
    return replace(step.result, estimates=estimates), tuple(TrackRecord.of(track) for track in step.tracks)


def _labelled(
    frame: BagFrame, record: FrameRecord, truths: Mapping[str, ReferenceModel], labels_complete: bool
) -> tuple[FrameRecord, list[LabelRecord]]:
    """The record with what its labels say of it, and the recording's own labels of the frame; in one that could not be used,
    none is found. A frame without any label says nothing: labels may be rarer than frames."""
    numbers = {name: i for i, name in enumerate(truths)}
    labels = tuple(Label(numbers[name], instance, T) for name, instance, T in frame.labels)
    by_number = {numbers[name]: truth for name, truth in truths.items()}
    if labels_complete and labels and frame.cloud is not None:
        record = replace(record, unmatched=unmatched_estimates(labels, record, by_number))
    depth_m = None if frame.cloud is None else depth_image(frame.cloud)
    measured = Frame(frame.scene, frame.frame, frame.cloud, labels, depth_m)
    return record, match_labels(measured, record, by_number)


def _without_labels(info: RunInfo, labelled: Collection[str]) -> list[str]:
    """What a reader of a run with labels has to know of objects that have none."""
    without = [name for name in info.objects if name not in labelled]
    if not labelled or not without or not info.labels_complete:
        return []
    return [f"{', '.join(without)}: found no labels, so each estimate of them counts as a false alarm."]
