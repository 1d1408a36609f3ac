"""One labelled data set through the pipeline: frames in, a run folder out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from pose_node import __version__
from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.evaluation import metrics
from pose_node.evaluation.figures.consistency import summarise_consistency
from pose_node.evaluation.figures.summarise import summarise
from pose_node.evaluation.records import FrameRecord, LabelRecord, refusals
from pose_node.evaluation.run_folder import RunInfo, RunWriter
from pose_node.evaluation.runs.label_matching import match, unmatched
from pose_node.evaluation.runs.portable_pipeline import PortablePipeline
from pose_node.evaluation.runs.progress import progress
from pose_node.evaluation.runs.reference_model import (
    ReferenceModel,
    Symmetries,
    read_models_info,
    reference_of_card,
    reference_of_set,
)
from pose_node.evaluation.runs.results_csv import ResultsCsv
from pose_node.evaluation.runs.workers import workers
from pose_node.evaluation.sources.bop import BopFolder, Crops, find_scenes, models_folder
from pose_node.evaluation.sources.scans import GROUND_TRUTH, Scans
from pose_node.evaluation.sources.source import Frame, Label, Source
from pose_node.objects.card import ObjectCard, load_card
from pose_node.objects.folders import object_folders
from pose_node.pipeline import Pipeline
from pose_node.types import Rejected, Result

_ALIKE = 0.1  # a card and a model of the set whose diameters differ by more than this share are not the same object


def holds_set(folder: Path) -> bool:
    """Whether there is a data set in a folder: BOP's scenes, labelled or not, or range scans."""
    return (folder / GROUND_TRUTH).is_file() or bool(find_scenes(folder))


def open_source(folder: Path, crops: Crops) -> Source:
    """The data set in a folder: BOP scenes, or range scans with ``gt.json``. Raises InputError for anything else."""
    return Scans(folder) if (folder / GROUND_TRUTH).is_file() else BopFolder(folder, crops)


def evaluate_folder(
    folder: Path,
    out: Path,
    crops: Crops = "mask",
    models: str | Path = "",
    config: str | Path | None = None,
    names: Sequence[str] = (),
    symmetries: Symmetries = "declared",
    seed: int = 0,
    stream: TextIO | None = None,
    jobs: int | None = None,
    ray: str | None = None,
    labels_complete: bool = True,
) -> dict[str, Any]:
    """Run the pipeline over a data set and write ``out``; returns the summary.

    A set that keeps its ground truth to itself is run without masks, and summarised as a recording without labels is. A frame
    that cannot be read is refused with its reason.

    names: the objects to look for, by default all trained ones that the set has labels of. symmetries: those that the set
    declares, or "depth": also those that it lists as what depth cannot tell. seed: of the bootstrap. jobs, ray: as ``workers``;
    all but times is the same for any. labels_complete: as ``RunInfo.labels_complete``.
    Raises InputError, CardError, ConfigError, ModelError or WorkerError for what cannot be used; what was done until then is
    kept.
    """
    source = open_source(folder, crops)
    cards, others, notes = _cards(source, folder, models, names)
    if not source.has_truth:
        crops = "none"
    truths = {i: _truth(card, i, folder, symmetries) for i, card in cards.items()}
    kinds = sorted({truth.reference for truth in truths.values()})
    if len(kinds) > 1:
        raise InputError(f"{folder}: found models of only some objects, expected those of all or of none.")
    pipeline = Pipeline.load([card.folder for card in (*cards.values(), *others)], config)
    info = RunInfo(
        source=str(folder),
        kind="bop",
        objects={t.name: {"diameter_m": t.diameter_m, "bop_id": t.bop_id} for t in truths.values()},
        crops=crops,
        config=asdict(pipeline.config),
        version=__version__,
        provider=pipeline.provider,
        reference=kinds[0] if kinds and source.has_truth else "",
        notes=(*source.notes, *notes),
        labels_complete=labels_complete and source.has_truth,
    )
    frames, labels = [], []
    ids = {t.name: i for i, t in truths.items()}
    work = workers(partial(_work, PortablePipeline(pipeline), truths, crops, info.labels_complete), jobs, ray)
    with work as ordered, RunWriter(out, info) as writer, ResultsCsv(out, ids) as csv:
        for record, matched in ordered(_wanted(progress(source.frames(), len(source), stream), truths, crops)):
            writer.frame(record)
            csv.frame(record)
            frames.append(record)
            for label_record in matched:
                writer.label(label_record)
                labels.append(label_record)
        if source.has_truth:
            summary = summarise(info, frames, labels, seed)
        else:
            summary = summarise_consistency(writer, frames, pipeline.cards, seed)
        writer.info(replace(info, refused=refusals(frames)))
        writer.summary(summary)
    return summary


def _wanted(frames: Iterable[Frame], truths: Mapping[int, ReferenceModel], crops: Crops) -> Iterator[Frame]:
    """Frames with the labels of what is looked for alone, where there is a crop to look into."""
    for frame in frames:
        mine = tuple(label for label in frame.labels if label.bop_id in truths)
        if mine or crops == "none":
            yield replace(frame, labels=mine)


def _work(
    portable: PortablePipeline, truths: Mapping[int, ReferenceModel], crops: Crops, labels_complete: bool, frame: Frame
) -> tuple[FrameRecord, list[LabelRecord]]:
    record = _frame(portable.pipeline, frame, truths, crops)
    if labels_complete and frame.cloud is not None:
        record = replace(record, unmatched=unmatched_estimates((*frame.labels, *frame.uncounted), record, truths))
    return record, match_labels(frame, record, truths)


def _frame(pipeline: Pipeline, frame: Frame, truths: Mapping[int, ReferenceModel], crops: Crops) -> FrameRecord:
    """One call of the pipeline, as the node makes it: all crops of a frame at once."""
    if frame.cloud is None:
        result = Result((), () if frame.refused is None else (frame.refused,))
        return FrameRecord.of(frame.scene, frame.frame, 0, frame.T_fixed_camera, result, 0.0)
    marked: dict[str, list[Any]] = {}
    empty: list[Rejected] = []
    if crops != "none":
        for label in frame.labels:
            # A scan holds nothing but its object.
            mask = np.ones(frame.cloud.shape, dtype=bool) if label.mask is None else label.mask
            name = truths[label.bop_id].name
            if mask.any():
                marked.setdefault(name, []).append(mask if crops == "mask" else _box(mask))
            else:
                empty.append(Rejected("mask_empty", f"{name}: the mask of label {label.instance} is empty.", name))
    start = time.perf_counter()
    if crops == "box":
        result = pipeline.estimate(frame.cloud, boxes=marked)
    else:
        result = pipeline.estimate(frame.cloud, masks=marked if crops == "mask" else None)
    seconds = time.perf_counter() - start
    result = replace(result, rejected=(*result.rejected, *empty))
    return FrameRecord.of(frame.scene, frame.frame, frame.cloud.stamp_ns, frame.T_fixed_camera, result, seconds)


def match_labels(frame: Frame, record: FrameRecord, truths: Mapping[int, ReferenceModel]) -> list[LabelRecord]:
    """A record for each label of a frame, with the estimate of ``record`` that belongs to it; in one that could not be used,
    none is found."""
    out = []
    if frame.cloud is None:
        return [
            LabelRecord(frame.scene, frame.frame, truths[x.bop_id].name, x.instance, x.T_camera_object, x.visible_share)
            for x in frame.labels
        ]
    for bop_id in dict.fromkeys(label.bop_id for label in frame.labels):
        truth, mine = truths[bop_id], [label for label in frame.labels if label.bop_id == bop_id]
        rows = [i for i, e in enumerate(record.estimates) if e.object_name == truth.name]
        estimates = [(record.estimates[i].T_camera_object, record.estimates[i].score) for i in rows]
        poses = [label.T_camera_object for label in mine]
        for label, found in zip(mine, match(truth, estimates, poses, frame.cloud, frame.depth_m)):
            row = None if found.estimate is None else rows[found.estimate]
            out.append(
                LabelRecord(
                    frame.scene,
                    frame.frame,
                    truth.name,
                    label.instance,
                    label.T_camera_object,
                    label.visible_share,
                    row,
                    None if row is None else record.estimates[row].score,
                    found.errors,
                    found.recall,
                )
            )
    return out


def unmatched_estimates(
    labels: Iterable[Label], record: FrameRecord, truths: Mapping[int, ReferenceModel]
) -> tuple[int, ...]:
    """Which estimates of ``record`` belong to none of the frame's ``labels``; those of objects without a truth belong to none."""
    poses: dict[int, list[Array]] = {}
    for label in labels:
        poses.setdefault(label.bop_id, []).append(label.T_camera_object)
    ids = {truth.name: bop_id for bop_id, truth in truths.items()}
    out: list[int] = []
    for name in dict.fromkeys(e.object_name for e in record.estimates):
        rows = [i for i, e in enumerate(record.estimates) if e.object_name == name]
        mine = poses.get(ids[name], []) if name in ids else []
        left = rows
        if mine:
            found = [record.estimates[i].T_camera_object for i in rows]
            left = [rows[i] for i in unmatched(truths[ids[name]], found, mine)]
        out += left
    return tuple(sorted(out))


def _cards(
    source: Source, folder: Path, models: str | Path, names: Sequence[str]
) -> tuple[dict[int, ObjectCard], list[ObjectCard], list[str]]:
    """{the set's object id: our card}, cards that were asked for and that the set has no label of (they can only raise false
    alarms), and notes on what is left out.

    Ids are matched by the set's names where it has some: another set's object 5 is not ours. Else by the cards' ``bop_id``.
    """
    cards = [load_card(path) for path in object_folders(models, names)]
    ids = {name: i for i, name in source.names.items()}
    place = models_folder(folder)
    known = read_models_info(place) if place else {}
    anything = not (source.has_truth or source.labelled)
    found: dict[int, ObjectCard] = {}
    notes = []
    for card in cards:
        i = ids.get(card.name) if ids else card.bop_id
        if i is None or (i not in source.labelled and not anything):
            continue
        if i in known and abs(1000.0 * card.diameter_m / known[i]["diameter"] - 1.0) > _ALIKE:
            notes.append(
                f"object {i}: the set's model has a diameter of {known[i]['diameter']:.1f} mm and the card of {card.name} "
                f"{1000.0 * card.diameter_m:.1f} mm, so they are not the same object."
            )
            continue
        found[i] = card
    for i, count in sorted(source.labelled.items()):
        if i not in found:
            notes.append(
                f"{source.names.get(i, f'object {i}')}: {f'{count} labels ' if source.has_truth else ''}left out: it is none of "
                "the objects looked for."
            )
    others = [card for card in cards if card.name in names and card not in found.values()]
    if not found and not others:
        have = ", ".join(source.names.get(i, str(i)) for i in sorted(source.labelled)) or "none"
        raise InputError(
            f"{folder}: found {'labels' if source.has_truth else 'targets'} of {have}, expected one of the objects {', '.join(c.name for c in cards)}."
        )
    return found, others, notes


def _truth(card: ObjectCard, bop_id: int, folder: Path, symmetries: Symmetries) -> ReferenceModel:
    place = models_folder(folder)
    info = read_models_info(place) if place else {}
    if place and bop_id in info:
        mesh = place / f"obj_{bop_id:06d}.ply"
        delta_m = metrics.VSD_DELTAS_M.get(place.absolute().parent.name, metrics.VSD_DELTA_M)
        return reference_of_set(card.name, bop_id, info[bop_id], mesh, symmetries, delta_m)
    return reference_of_card(card)


def _box(mask: Any) -> Any:
    """The mask's bounding box, filled. A bare cloud has no image to draw a box in: its mask stays."""
    if mask.ndim != 2:
        return mask
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    box = np.zeros_like(mask)
    box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return box
