"""``report.html`` of a run folder: one page that opens from a file, with the interval of every figure beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pose_node.evaluation.figures.consistency import consistency_meaning
from pose_node.evaluation.figures.curves import CORRECT_MSSD_REL, placement
from pose_node.evaluation.figures.intervals import CONFIDENCE, MIN_CLUSTERS
from pose_node.evaluation.figures.sightings import FLIP_RAD
from pose_node.evaluation.figures.summarise import figure_meaning
from pose_node.evaluation.figures.track_figures import track_meaning
from pose_node.evaluation.figures.tracks import SPREAD_PERCENTILE, TrackPath, track_paths
from pose_node.evaluation.records import LabelRecord
from pose_node.evaluation.report import label_charts, tables, track_charts
from pose_node.evaluation.report.estimate_charts import estimate_charts
from pose_node.evaluation.report.formatting import NO_INTERVAL
from pose_node.evaluation.report.page import Figure, Table, picture, write_page
from pose_node.evaluation.report.pictures import (
    FalseAlarm,
    PictureInputs,
    draw_false_alarm,
    draw_label,
    false_alarms,
    worst,
)
from pose_node.evaluation.report.track_table import track_table
from pose_node.evaluation.report.track_timeline import timeline
from pose_node.evaluation.run_folder import REPORT, Run, read_run

CONSTANTS = {
    "share": f"{100 * CONFIDENCE:.0f} %",
    "fewest": MIN_CLUSTERS,
    "no_interval": NO_INTERVAL,
    "flip_deg": f"{np.degrees(FLIP_RAD):.0f}",
    "percentile": f"{SPREAD_PERCENTILE:.0f}",
    "sigmas": f"{track_charts.SIGMAS:g}",
}


def write_report(folder: str | Path, inputs: PictureInputs | None = None) -> Path:
    """Write ``report.html`` beside the records of a run, with pictures of the worst frames where there are ``inputs``.

    Raises InputError when the folder has no run or cannot be written.
    """
    run = read_run(folder)
    summary = run.summary or {"all": {"figures": {}}, "objects": {}, "scenes": {}}
    figures = {key: figure for key, figure in summary["all"]["figures"].items() if not has_own_table(key)}
    return write_page(
        run.folder / REPORT,
        "report.html",
        heading=source_name(run),
        facts=facts(run),
        notes=warnings(run),
        labelled=bool(run.labels),
        counts_false_alarms=run.info.counts_false_alarms,
        figures=tables.all_figures(figures, explanation),
        by_object=tables.figures_by("object", summary["objects"]),
        by_scene=tables.figures_by("scene", summary["scenes"]),
        stages=tables.seconds_by_stage(run.frames),
        refused=tables.refused(run.frames),
        constants=CONSTANTS,
        **(_of_labels(run, inputs) if run.labels else {}),
        **_over_time(run),
    )


def source_name(run: Run) -> str:
    """The last part of the source's path: the rest says where it was on one machine."""
    return Path(run.info.source).name or run.info.source


def facts(run: Run) -> list[str]:
    """What was run, in a few words each."""
    scenes, places = {frame.scene for frame in run.frames}, {placement(label) for label in run.labels}
    dropped = sum(frame.dropped for frame in run.frames)
    counts = [f"{_count(len(run.frames), 'frame')} of {_count(len(scenes), 'scene')}"]
    if run.labels:
        counts.append(f"{_count(len(run.labels), 'label')} in {_count(len(places), 'placement')}")
    if dropped:
        counts.append(f"{_count(dropped, 'frame')} dropped")
    paths = track_paths(run.frames)
    if paths:
        confirmed = sum(bool(path.confirmed.any()) for path in paths)
        losses, returns, flips = (sum(v) for v in zip(*((len(p.losses), len(p.returns), p.flips) for p in paths)))
        counts.append(
            f"{_count(len(paths), 'track')}, {confirmed} confirmed; lost {_count(losses, 'time')}, found again {returns}; "
            f"flipped {_count(flips, 'time')}"
        )
    inputs = {"mask": "input: true masks", "box": "input: boxes of the true masks", "none": "input: no masks"}
    of_bag = (run.info.kind, run.info.crops) == ("bag", "mask")
    return [
        *counts,
        f"objects: {', '.join(run.info.objects) or 'none'}",
        "input: the recording's masks" if of_bag else inputs[run.info.crops],
        f"pose_node {run.info.version}, {run.info.provider}",
    ]


def warnings(run: Run) -> list[str]:
    """What a reader has to know before the figures."""
    found = list(run.info.notes)
    if not run.summary:
        found.append("The run was interrupted: there is no summary, and the charts show the frames until then.")
    if run.labels and len({placement(label) for label in run.labels}) < MIN_CLUSTERS:
        found.append(f"Fewer than {MIN_CLUSTERS} placements: figures have no intervals.")
    if run.labels and not run.info.labels_complete:
        found.append("Labels are incomplete: an estimate without a label counts neither as right nor as wrong.")
    if run.info.reference == "depth":
        found.append("Errors are up to motions that depth cannot tell apart: not comparable with BOP's figures.")
    if run.info.reference == "card":
        found.append("Errors are measured with our own models and symmetries: not comparable with BOP's figures.")
    return found


def explanation(key: str) -> str:
    """What a figure is; empty where there is no explanation."""
    for explain in (figure_meaning, consistency_meaning, track_meaning):
        try:
            return explain(key)
        except KeyError:
            continue
    return ""


def has_own_table(key: str) -> bool:
    """Whether a figure is in the table of stages or the table of refusals."""
    return key.startswith(("stage_", "rejected_"))


def _of_labels(run: Run, inputs: PictureInputs | None) -> dict[str, Any]:
    labels, alarms = worst(run.labels), false_alarms(run)
    captions = [(_where(x), _errors(x)) for x in labels] + [(_alarm(x), _why_alarm(run, x)) for x in alarms]
    pictures = []
    if inputs is not None:
        images = [draw_label(run, x, inputs) for x in labels] + [draw_false_alarm(run, x, inputs) for x in alarms]
        pictures = [Figure(at, picture(image, at), note) for (at, note), image in zip(captions, images) if image]
    return {
        "recall": label_charts.recall_charts(run.labels),
        "errors": label_charts.error_charts(run.labels),
        "scores": label_charts.score_charts(run),
        "worst": None if inputs else Table(["frame", "result"], captions, prose=[1]),
        "pictures": pictures,
        "has_alarms": bool(alarms),
        "all_correct": all(_is_correct(label) for label in labels),
    }


def _is_correct(label: LabelRecord) -> bool:
    return label.errors.mssd_rel is not None and label.errors.mssd_rel < CORRECT_MSSD_REL


def _over_time(run: Run) -> dict[str, Any]:
    """The tracks; without tracks and labels the best estimates (in a run with tracks these are the same poses)."""
    paths = track_paths(run.frames)
    if not paths:
        return {"tracks": None, "estimates": [] if run.labels else estimate_charts(run.frames)}
    return {"tracks": track_table(paths), "estimates": [], **_track_figures(paths)}


def _track_figures(paths: Sequence[TrackPath]) -> dict[str, Any]:
    moment = all(path.seconds[0] == path.seconds[-1] for path in paths)
    return {
        "track_count": len(paths),
        "most_tracks": track_charts.MOST,
        "timeline": None if moment else timeline(paths),
        "track_charts": [] if moment else track_charts.track_charts(paths),
    }


def _alarm(alarm: FalseAlarm) -> str:
    return f"False alarm: {alarm.estimate.object_name}, scene {alarm.frame.scene}, frame {alarm.frame.frame}"


def _why_alarm(run: Run, alarm: FalseAlarm) -> str:
    key = (alarm.frame.scene, alarm.frame.frame, alarm.estimate.object_name)
    count = sum((x.scene, x.frame, x.object_name) == key for x in run.labels)
    why = {0: "no label of this object", 1: "does not match the object's label"}.get(
        count, f"matches none of the object's {count} labels"
    )
    return f"score {alarm.estimate.score:.2f}: {why} in this frame"


def _where(label: LabelRecord) -> str:
    return f"{label.object_name}, scene {label.scene}, frame {label.frame}"


def _errors(label: LabelRecord) -> str:
    visible = "" if label.visible_share is None else f"; {100 * label.visible_share:.0f} % visible"
    if label.estimate is None:
        return f"no estimate{visible}"
    e = label.errors
    known = [
        "" if e.mssd_rel is None else f"MSSD {100 * e.mssd_rel:.1f} % of the diameter",
        "" if e.translation_mm is None else f"{e.translation_mm:.1f} mm off",
        "" if e.rotation_deg is None else f"{e.rotation_deg:.1f}° off",
    ]
    score = "" if label.score is None else f"score {label.score:.2f}: "
    return f"{score}{', '.join(k for k in known if k)}{visible}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
