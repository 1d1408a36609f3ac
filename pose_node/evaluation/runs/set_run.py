"""Evaluate a data set: run the pipeline over its frames and write a run folder."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from pose_node import __version__
from pose_node.errors import InputError
from pose_node.evaluation import metrics
from pose_node.evaluation.figures.consistency import summarise_consistency
from pose_node.evaluation.figures.summarise import summarise
from pose_node.evaluation.records import FrameRecord, LabelRecord, refusals
from pose_node.evaluation.run_folder import RunInfo, RunWriter
from pose_node.evaluation.runs.label_matching import match_labels, unmatched_estimates
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
from pose_node.evaluation.sources.bop import BopFolder, Crops
from pose_node.evaluation.sources.bop_files import find_scenes, models_folder
from pose_node.evaluation.sources.scans import GROUND_TRUTH, Scans
from pose_node.evaluation.sources.source import Frame, Source
from pose_node.objects.card import ObjectCard, load_card
from pose_node.objects.folders import object_folders
from pose_node.pipeline import Pipeline
from pose_node.types import Rejected, Result

_SAME_DIAMETER_REL = (
    0.1  # relative difference of diameters above which a card and the set's model are different objects
)


def holds_set(folder: Path) -> bool:
    """Whether a folder is a data set: BOP scenes, with or without labels, or range scans."""
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

    A set without ground truth is run without masks and summarised as a recording without labels. A frame that cannot be read
    is refused with the reason.

    names: objects to look for, by default all with a network and labels in the set. symmetries: "declared" by the set, or
    "depth": also those that it lists as not observable by depth. seed: of the bootstrap. jobs, ray: as of ``workers``; results
    do not depend on them. labels_complete: as ``RunInfo.labels_complete``.
    Raises InputError, CardError, ConfigError, ModelError or WorkerError; the frames done before are kept.
    """
    source = open_source(folder, crops)
    cards, others, notes = _cards(source, folder, models, names)
    if not source.has_truth:
        crops = "none"
    references = {i: _reference(card, i, folder, symmetries) for i, card in cards.items()}
    kinds = sorted({model.reference for model in references.values()})
    if len(kinds) > 1:
        raise InputError(f"{folder}: found models of only some objects, expected models of all or of none.")
    pipeline = Pipeline.load([card.folder for card in (*cards.values(), *others)], config)
    info = RunInfo(
        source=str(folder),
        kind="bop",
        objects={t.name: {"diameter_m": t.diameter_m, "bop_id": t.bop_id} for t in references.values()},
        crops=crops,
        config=asdict(pipeline.config),
        version=__version__,
        provider=pipeline.provider,
        reference=kinds[0] if kinds and source.has_truth else "",
        notes=(*source.notes, *notes),
        labels_complete=labels_complete and source.has_truth,
    )
    frames, labels = [], []
    ids = {t.name: i for i, t in references.items()}
    work = workers(partial(_work, PortablePipeline(pipeline), references, crops, info.labels_complete), jobs, ray)
    with work as ordered, RunWriter(out, info) as writer, ResultsCsv(out, ids) as csv:
        for record, matched in ordered(_wanted(progress(source.frames(), len(source), stream), references, crops)):
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


def _wanted(frames: Iterable[Frame], references: Mapping[int, ReferenceModel], crops: Crops) -> Iterator[Frame]:
    """Frames with the labels of the objects looked for; with crops only frames that have such labels."""
    for frame in frames:
        mine = tuple(label for label in frame.labels if label.bop_id in references)
        if mine or crops == "none":
            yield replace(frame, labels=mine)


def _work(
    portable: PortablePipeline,
    references: Mapping[int, ReferenceModel],
    crops: Crops,
    labels_complete: bool,
    frame: Frame,
) -> tuple[FrameRecord, list[LabelRecord]]:
    record = _frame(portable.pipeline, frame, references, crops)
    if labels_complete and frame.cloud is not None:
        record = replace(record, unmatched=unmatched_estimates((*frame.labels, *frame.uncounted), record, references))
    return record, match_labels(frame, record, references)


def _frame(pipeline: Pipeline, frame: Frame, references: Mapping[int, ReferenceModel], crops: Crops) -> FrameRecord:
    """One call of the pipeline, as in the node: with all crops of a frame."""
    if frame.cloud is None:
        result = Result((), () if frame.refused is None else (frame.refused,))
        return FrameRecord.of(frame.scene, frame.frame, 0, frame.T_fixed_camera, result, 0.0)
    masks: dict[str, list[Any]] = {}
    empty: list[Rejected] = []
    if crops != "none":
        for label in frame.labels:
            # A scan shows its object alone.
            mask = np.ones(frame.cloud.shape, dtype=bool) if label.mask is None else label.mask
            name = references[label.bop_id].name
            if mask.any():
                masks.setdefault(name, []).append(mask if crops == "mask" else _box(mask))
            else:
                empty.append(Rejected("mask_empty", f"{name}: the mask of label {label.instance} is empty.", name))
    start = time.perf_counter()
    if crops == "box":
        result = pipeline.estimate(frame.cloud, boxes=masks)
    else:
        result = pipeline.estimate(frame.cloud, masks=masks if crops == "mask" else None)
    seconds = time.perf_counter() - start
    result = replace(result, rejected=(*result.rejected, *empty))
    return FrameRecord.of(frame.scene, frame.frame, frame.cloud.stamp_ns, frame.T_fixed_camera, result, seconds)


def _cards(
    source: Source, folder: Path, models: str | Path, names: Sequence[str]
) -> tuple[dict[int, ObjectCard], list[ObjectCard], list[str]]:
    """{the set's object id: our card}, further requested cards without labels in the set (for false alarms), and notes.

    Objects are matched by the set's names where it has names, as ids differ between sets; else by the cards' ``bop_id``.
    """
    cards = [load_card(path) for path in object_folders(models, names)]
    ids = {name: i for i, name in source.names.items()}
    own_models = models_folder(folder)
    known = read_models_info(own_models) if own_models else {}
    any_object = not (source.has_truth or source.labelled)
    found: dict[int, ObjectCard] = {}
    notes = []
    for card in cards:
        i = ids.get(card.name) if ids else card.bop_id
        if i is None or (i not in source.labelled and not any_object):
            continue
        if i in known and abs(1000.0 * card.diameter_m / known[i]["diameter"] - 1.0) > _SAME_DIAMETER_REL:
            notes.append(
                f"object {i}: the set's model has a diameter of {known[i]['diameter']:.1f} mm and the card of {card.name} "
                f"{1000.0 * card.diameter_m:.1f} mm, so they are not the same object."
            )
            continue
        found[i] = card
    for i, count in sorted(source.labelled.items()):
        if i not in found:
            notes.append(
                f"{source.names.get(i, f'object {i}')}: {f'{count} labels ' if source.has_truth else ''}left out: it is not "
                "one of the objects looked for."
            )
    others = [card for card in cards if card.name in names and card not in found.values()]
    if not found and not others:
        available = ", ".join(source.names.get(i, str(i)) for i in sorted(source.labelled)) or "none"
        raise InputError(
            f"{folder}: found {'labels' if source.has_truth else 'targets'} of {available}, expected one of the objects {', '.join(c.name for c in cards)}."
        )
    return found, others, notes


def _reference(card: ObjectCard, bop_id: int, folder: Path, symmetries: Symmetries) -> ReferenceModel:
    own_models = models_folder(folder)
    info = read_models_info(own_models) if own_models else {}
    if own_models and bop_id in info:
        mesh = own_models / f"obj_{bop_id:06d}.ply"
        delta_m = metrics.VSD_DELTAS_M.get(own_models.absolute().parent.name, metrics.VSD_DELTA_M)
        return reference_of_set(card.name, bop_id, info[bop_id], mesh, symmetries, delta_m)
    return reference_of_card(card)


def _box(mask: Any) -> Any:
    """The mask's bounding box, filled; the mask of a cloud without an image as it is."""
    if mask.ndim != 2:
        return mask
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    box = np.zeros_like(mask)
    box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return box
