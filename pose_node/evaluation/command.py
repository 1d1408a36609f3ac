"""``pose_node evaluate``: run over bags and labelled sets, or compare two runs."""

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
from pose_node.evaluation.report.compare import compare, write_comparison
from pose_node.evaluation.report.index import Outcome, run_folders, write_index
from pose_node.evaluation.report.pictures import PictureInputs
from pose_node.evaluation.report.report import write_report
from pose_node.evaluation.report.terminal import print_comparison, print_run
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

    Several sources have a run folder each; the error of one is printed and does not stop the others. Raises a PoseNodeError
    where a single source, an object or a setting is invalid.
    """
    if options.compare:
        comparison = compare(*options.compare)
        written = write_comparison(comparison)
        print_comparison(comparison)
        print(f"written: {written}")
        return DONE
    if len(options.sources) > 1:
        return _several(options, options.out or Path("runs"))
    (source,) = options.sources
    found = _one(options, source, options.out or Path(f"{source.resolve().name}_run"))
    return DONE if found else NOTHING_FOUND


def _several(options: argparse.Namespace, out: Path) -> int:
    """A run folder for each source; ``index.html`` is written anew after each."""
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
    """Run over one source; returns whether anything was found. The files of an earlier run in ``out`` are set aside first."""
    set_aside(out)
    try:
        return _evaluated(options, source, out)
    except PoseNodeError as error:
        if (out / RUN).is_file():
            _write_failure(out, str(error).replace(str(source), source.name))
        raise


def _write_failure(out: Path, sentence: str) -> None:
    """Write why a run ended into ``run.json``, and a report of the frames until then."""
    with suppress(PoseNodeError):  # the caller raises the first error
        info = read_run(out).info
        write_info(out, replace(info, notes=(*info.notes, f"The run failed: {sentence}")))
        write_report(out)


def _evaluated(options: argparse.Namespace, source: Path, out: Path) -> bool:
    if not source.exists():
        raise InputError(f"{source}: found nothing there, expected a bag or a folder in BOP's layout.")
    models = options.models or ""
    shared = {"jobs": options.jobs, "ray": options.ray, "labels_complete": not options.incomplete_labels}
    if _is_bag(source):
        given = (options.objects, topics_of(options), labels_of(options), options.fixed_frame, options.realtime)
        shared |= {"depth_scale_mm": options.depth_scale, "viewpoint_frame": options.viewpoint_frame}
        evaluate_bag(source, out, models, options.config, *given, track=options.track, **shared)
        inputs = PictureInputs(depth_of_bag(source, read_run(out)), *_models(models))
    else:
        if options.track:
            raise InputError(
                f"--track: found {source}, a set of single frames, expected a bag: tracking needs consecutive frames."
            )
        if options.depth_scale is not None:
            raise InputError(
                f"--depth-scale: found {source}, a set of frames, expected a bag: a set states its own scale."
            )
        if options.viewpoint_frame is not None:
            raise InputError(
                f"--viewpoint-frame: found {source}, a set of frames, expected a bag: a set's depth is in the frame of its own camera."
            )
        given = (options.crops, models, options.config, options.objects, options.symmetries)
        evaluate_folder(source, out, *given, **shared)
        inputs = PictureInputs(open_source(source, "none").depth, *_models(models))
    report = write_report(out, inputs)
    print_run(out)
    print(f"written: {report}")
    return any(frame.estimates for frame in read_run(out).frames)


def _is_bag(source: Path) -> bool:
    """A file, or a folder with a recording and no scene: a set may have its bag beside its scenes."""
    return source.is_file() or (is_recording(source) and not holds_set(source))


def _models(models: str | Path) -> tuple[Callable[[str], tuple[Array, Array]], Callable[[str], Symmetry]]:
    """``PictureInputs.surface`` and ``PictureInputs.symmetry`` of the objects in ``models``."""

    def card(name: str) -> ObjectCard:
        return load_card(object_folders(models, [name])[0])

    def surface(name: str) -> tuple[Array, Array]:
        found = card(name).surface
        return found.points_m, found.normals

    return surface, lambda name: card(name).symmetry
