"""What ``pose_node evaluate`` does with its options: labelled folders and bags, or two runs to compare."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pose_node.arrays import Array
from pose_node.errors import InputError, PoseNodeError
from pose_node.evaluation.options import labels_of, topics_of
from pose_node.evaluation.report.bag_depth import depth_of_bag
from pose_node.evaluation.report.compare import compare
from pose_node.evaluation.report.index import Outcome, run_folders, write_index
from pose_node.evaluation.report.pictures import Scenery
from pose_node.evaluation.report.report import write_report
from pose_node.evaluation.report.terminal import comparison_table, terminal_table
from pose_node.evaluation.run_folder import INDEX, RUN, read_run, set_aside, write_info
from pose_node.evaluation.runs.bag_run import evaluate_bag
from pose_node.evaluation.runs.set_run import evaluate_folder, holds_set, open_source
from pose_node.evaluation.sources.recordings import is_recording
from pose_node.geometry.symmetry import Symmetry
from pose_node.objects.card import ObjectCard, load_card
from pose_node.objects.folders import object_folders

DONE, BAD_INPUT, NOTHING_FOUND = 0, 2, 3


def evaluate(options: argparse.Namespace) -> int:
    """Run, write the run folder with its report, and print the figures; returns the exit code.

    Of several sources each has its run folder, and one that cannot be used leaves the others be: its sentence is printed, and
    the exit code says so. Raises a PoseNodeError of one sentence for a single source, object or setting that cannot be used.
    """
    if options.compare:
        written = compare(*options.compare)
        print(comparison_table(*options.compare))
        print(f"written: {written}")
        return DONE
    if len(options.sources) > 1:
        return _several(options, options.out or Path("runs"))
    (source,) = options.sources
    found = _one(options, source, options.out or Path(f"{source.resolve().name}_run"))
    return DONE if found else NOTHING_FOUND


def _several(options: argparse.Namespace, out: Path) -> int:
    """A run folder for each source, and after each the page of all that are done."""
    outcomes: list[Outcome] = []
    found = failed = False
    set_aside(out, (INDEX,))
    for source, folder in run_folders(options.sources, out):
        print(f"\n{source}")
        try:
            found |= _one(options, source, folder)
            outcomes.append(Outcome.of(folder))
        except PoseNodeError as error:
            print(f"pose_node: {error}", file=sys.stderr)
            outcomes.append(Outcome(folder.name, notes=str(error).replace(str(source), source.name)))
            failed = True
        index = write_index(out, outcomes)
    print(f"written: {index}")
    if failed:
        return BAD_INPUT
    return DONE if found else NOTHING_FOUND


def _one(options: argparse.Namespace, source: Path, out: Path) -> bool:
    """Run one source; returns whether anything was found in it. Whatever comes of it, nothing in ``out`` is an older run's."""
    set_aside(out)
    try:
        return _evaluated(options, source, out)
    except PoseNodeError as error:
        if (out / RUN).is_file():
            _write_failure(out, str(error).replace(str(source), source.name))
        raise


def _write_failure(out: Path, sentence: str) -> None:
    """Say in ``run.json`` and in a report of what was done until then why a run ended."""
    with suppress(PoseNodeError):  # what made it fail is told anyway
        info = read_run(out).info
        write_info(out, replace(info, notes=(*info.notes, f"The run failed: {sentence}")))
        write_report(out)


def _evaluated(options: argparse.Namespace, source: Path, out: Path) -> bool:
    if not source.exists():
        raise InputError(f"{source}: found nothing there, expected a bag or a folder in BOP's layout.")
    models, scenery = options.models or "", None
    shared = {"jobs": options.jobs, "ray": options.ray, "labels_complete": not options.incomplete_labels}
    if _is_bag(source):
        given = (options.objects, topics_of(options), labels_of(options), options.fixed_frame, options.realtime)
        shared |= {"depth_scale_mm": options.depth_scale, "viewpoint_frame": options.viewpoint_frame}
        evaluate_bag(source, out, models, options.config, *given, track=options.track, **shared)
        scenery = Scenery(depth_of_bag(source, read_run(out)), *_models(models))
    else:
        if options.track:
            raise InputError(
                f"--track: found {source}, a set of labelled frames, expected a bag: its frames follow each other."
            )
        if options.depth_scale is not None:
            raise InputError(
                f"--depth-scale: found {source}, a set of frames, expected a bag: a set states its own scale."
            )
        if options.viewpoint_frame is not None:
            raise InputError(
                f"--viewpoint-frame: found {source}, a set of frames, expected a bag: a set's frames are their cameras' own."
            )
        given = (options.crops, models, options.config, options.objects, options.symmetries)
        evaluate_folder(source, out, *given, **shared)
        scenery = Scenery(open_source(source, "none").depth, *_models(models))
    report = write_report(out, scenery)
    print(terminal_table(out))
    print(f"written: {report}")
    return any(frame.estimates for frame in read_run(out).frames)


def _is_bag(source: Path) -> bool:
    """A file, or a folder with a recording in it and no scene: a set may keep its bag beside its scenes."""
    return source.is_file() or (is_recording(source) and not holds_set(source))


def _models(models: str | Path) -> tuple[Callable[[str], tuple[Array, Array]], Callable[[str], Symmetry]]:
    """What pictures ask of an object: its surface samples [S, 3] with normals [S, 3], and its symmetry."""

    def card(name: str) -> ObjectCard:
        return load_card(object_folders(models, [name])[0])

    def surface(name: str) -> tuple[Array, Array]:
        found = card(name).surface
        return found.points_m, found.normals

    return surface, lambda name: card(name).symmetry
