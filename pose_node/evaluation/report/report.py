"""``report.html`` of a run folder: one page that opens from a file, with every figure's interval beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pose_node.errors import InputError
from pose_node.evaluation.figures.consistency import consistency_meaning
from pose_node.evaluation.figures.curves import CORRECT_MSSD_REL, placement
from pose_node.evaluation.figures.intervals import CONFIDENCE, MIN_CLUSTERS
from pose_node.evaluation.figures.summarise import figure_meaning
from pose_node.evaluation.figures.track_figures import track_meaning
from pose_node.evaluation.figures.tracks import TrackPath, track_paths
from pose_node.evaluation.records import LabelRecord
from pose_node.evaluation.report import charts, motion, page, tables
from pose_node.evaluation.report.pictures import FalseAlarm, Scenery, draw_false_alarm, draw_label, false_alarms, worst
from pose_node.evaluation.report.track_section import EXPLANATIONS, track_section
from pose_node.evaluation.report.wording import NO_INTERVAL
from pose_node.evaluation.run_folder import REPORT, Run, read_run

_ALARMS = (
    "A false alarm is an estimate that belongs to no label of its object: its centre is more than half a diameter from each, or "
    "the label is matched by a nearer one. A wrong turn at the right place is an error and no false alarm. Counted are frames "
    "with labels; of a source with unlabelled instances, --incomplete-labels leaves them uncounted."
)


def write_report(folder: str | Path, scenery: Scenery | None = None) -> Path:
    """Write ``report.html`` beside the records of a run, with pictures of the worst frames where there is ``scenery``.

    Raises InputError when the folder holds no run or cannot be written.
    """
    run = read_run(folder)
    name, paths = source_name(run), track_paths(run.frames)
    parts = [
        page.heading(name),
        page.facts(facts(run)),
        page.notes(warnings(run)),
        *(_labelled(run, scenery) if run.labels else _unlabelled(run)),
        _over_time(run, paths),
        page.section("Time by stage", tables.seconds_by_stage(run.frames)),
        page.section("What was refused, and why", tables.refused(run.frames)),
        page.section("How to read this", *map(page.paragraph, [*_explanations(run), *(EXPLANATIONS if paths else ())])),
    ]
    return write_page(run.folder / REPORT, f"{name}: evaluation of pose_node", parts)


def write_page(path: Path, title: str, parts: Iterable[str]) -> Path:
    """Write a page; raises InputError when the file cannot be written."""
    try:
        path.write_text(page.page(title, parts), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: found {error.strerror}, expected a place to write a page to.") from None
    return path


def source_name(run: Run) -> str:
    """The last part of what was run: where it lay on somebody's disk is nobody else's business."""
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
        sure = sum(bool(path.confirmed.any()) for path in paths)
        lost, again = (sum(map(len, ways)) for ways in zip(*((p.losses, p.returns) for p in paths)))
        flips = sum(path.flips for path in paths)
        counts.append(
            f"{_count(len(paths), 'track')}, {sure} confirmed; lost {_count(lost, 'time')}, found again {again}; "
            f"flipped {_count(flips, 'time')}"
        )
    given = {"mask": "true mask given", "box": "box of the true mask given", "none": "no mask given"}
    told = (
        "the recording's masks given" if (run.info.kind, run.info.crops) == ("bag", "mask") else given[run.info.crops]
    )
    return [
        *counts,
        f"objects: {', '.join(run.info.objects) or 'none'}",
        told,
        f"pose_node {run.info.version}, {run.info.provider}",
    ]


def warnings(run: Run) -> list[str]:
    """What a reader has to know before any figure."""
    found = list(run.info.notes)
    if not run.summary:
        found.append("The run was cut short: it has no summary, and the charts show what was done until then.")
    if run.labels and len({placement(label) for label in run.labels}) < MIN_CLUSTERS:
        found.append(f"Fewer than {MIN_CLUSTERS} placements: no interval can be given.")
    if run.labels and not run.info.labels_complete:
        found.append(
            "Labels are stated to be incomplete: an estimate without a label counts neither as right nor as wrong."
        )
    if run.info.reference == "depth":
        found.append("Errors are up to motions that depth cannot tell, so no figure here compares with BOP's.")
    if run.info.reference == "card":
        found.append("Errors are those of our own models and symmetries, so no figure here compares with BOP's.")
    return found


def explained(key: str) -> str:
    """What a figure is; empty where nobody says."""
    for say in (figure_meaning, consistency_meaning, track_meaning):
        try:
            return say(key)
        except KeyError:
            continue
    return ""


def own_table(key: str) -> bool:
    """Whether a figure is one of many of its kind, which have a table to themselves: stages and reasons."""
    return key.startswith(("stage_", "rejected_"))


def _labelled(run: Run, scenery: Scenery | None) -> list[str]:
    summary = run.summary
    parts = []
    if summary:
        parts = [
            page.section("Figures", _all_figures(run)),
            page.section("By object", tables.figures_by("object", summary["objects"])),
            page.section("By scene", tables.figures_by("scene", summary["scenes"])),
        ]
    return [
        *parts,
        page.section("How many are found", page.grid(charts.recall_charts(run.labels))),
        page.section("How far off they are", page.grid(charts.error_charts(run.labels))),
        page.section("What the score is worth", page.grid(charts.score_charts(run))),
        page.section("The worst frames", *_worst_frames(run, scenery)),
    ]


def _all_figures(run: Run) -> str:
    figures = {key: figure for key, figure in run.summary["all"]["figures"].items() if not own_table(key)}
    return tables.all_figures(figures, explained)


def _unlabelled(run: Run) -> list[str]:
    if not run.summary:
        return []
    return [
        page.section("Figures", _all_figures(run)),
        page.section("By object", tables.figures_by("object", run.summary["objects"])),
    ]


def _over_time(run: Run, paths: Sequence[TrackPath]) -> str:
    """The tracks; of a run without any and without labels, the best estimates, which in a run with tracks are the same poses."""
    if paths:
        return track_section(paths)
    return "" if run.labels else page.section("Over time", page.grid(motion.motion_charts(run.frames)))


def _worst_frames(run: Run, scenery: Scenery | None) -> list[str]:
    labels, alarms = worst(run.labels), false_alarms(run)
    words = [(_where(x), _said(x)) for x in labels] + [(_alarm(x), _why_alarm(run, x)) for x in alarms]
    if scenery is None:
        return [page.table(["what", "said"], [[page.text(where), page.text(said)] for where, said in words])]
    images = [draw_label(run, x, scenery) for x in labels] + [draw_false_alarm(run, x, scenery) for x in alarms]
    figures = [
        page.figure(where, page.picture(image, where), said) for (where, said), image in zip(words, images) if image
    ]
    well = all(x.errors.mssd_rel is not None and x.errors.mssd_rel < CORRECT_MSSD_REL for x in labels)
    which = (
        "nothing is wrong, so these are the largest errors"
        if well
        else "wrong estimates, the surest first, then what was not found"
    )
    about = (
        f"One of each placement: {which}. Left the label, right the estimate, its score beside it. Axes: x red, y green, z "
        "blue, at the middle of the object; of poses that its symmetries make equal, the nearest to the label is drawn."
    )
    if alarms:
        about += (
            " Last the false alarms, one of each object and scene: estimates that belong to no label of their object, beside "
            "the labels around them."
        )
    return [page.paragraph(about, "soft"), page.grid(figures, "pictures")] if figures else []


def _alarm(alarm: FalseAlarm) -> str:
    return f"False alarm: {alarm.estimate.object_name}, scene {alarm.frame.scene}, frame {alarm.frame.frame}"


def _why_alarm(run: Run, alarm: FalseAlarm) -> str:
    name, place = alarm.estimate.object_name, (alarm.frame.scene, alarm.frame.frame)
    there = sum((x.scene, x.frame, x.object_name) == (*place, name) for x in run.labels)
    some = "does not match its label" if there == 1 else f"matches none of its {there} labels"
    why = f"{some} in this frame" if there else "no label of it in this frame"
    return f"score {alarm.estimate.score:.2f}: {why}"


def _where(label: LabelRecord) -> str:
    return f"{label.object_name}, scene {label.scene}, frame {label.frame}"


def _said(label: LabelRecord) -> str:
    seen = "" if label.visible_share is None else f"; {100 * label.visible_share:.0f} % of it in view"
    if label.estimate is None:
        return f"no estimate{seen}"
    e = label.errors
    known = [
        "" if e.mssd_rel is None else f"MSSD {100 * e.mssd_rel:.1f} % of the diameter",
        "" if e.translation_mm is None else f"{e.translation_mm:.1f} mm",
        "" if e.rotation_deg is None else f"{e.rotation_deg:.1f}° off",
    ]
    score = "" if label.score is None else f"score {label.score:.2f}: "
    return f"{score}{', '.join(k for k in known if k)}{seen}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _explanations(run: Run) -> list[str]:
    share = f"{100 * CONFIDENCE:.0f} %"
    times = (
        "Times and refusals are drawn by scene, or by tenths of the recording where there are fewer than three scenes. "
        f"Below {MIN_CLUSTERS} of what is drawn there is no interval: {NO_INTERVAL}."
    )
    if not run.labels:
        return [
            f"Brackets are {share} bootstrap intervals. Whole things and scenes are drawn again, not frames: neighbouring "
            "frames are not independent. Of fewer than three, tenths of the recording are drawn: such an interval tells how much a "
            f"figure wavers along this recording, not what another one would give. {times}",
            "There are no labels here: the figures show whether the answers agree with each other, not whether they are right.",
        ]
    return [
        f"Brackets and shaded areas are {share} bootstrap intervals. Whole placements are drawn again, not frames: neighbouring "
        f"frames see the same object in the same place and are not independent. {times}",
        "A label without an estimate counts as not found in every figure but the two medians, which are of the labels with "
        "an estimate. Errors are at the nearest of the poses that the object's symmetries make equal.",
        *([_ALARMS] if run.info.counts_false_alarms else ()),
    ]
