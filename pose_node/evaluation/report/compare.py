"""Two runs side by side: ``compare.html`` in the second run's folder, every difference with its paired interval."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pose_node.evaluation.figures import curves
from pose_node.evaluation.figures.paired_differences import (
    Difference,
    Pairs,
    consistency_differences,
    frame_differences,
    label_differences,
    pair,
)
from pose_node.evaluation.records import LabelRecord
from pose_node.evaluation.report import page, wording
from pose_node.evaluation.report.report import explained, own_table, source_name, warnings, write_page
from pose_node.evaluation.report.svg import Chart, Scale
from pose_node.evaluation.report.tables import footed
from pose_node.evaluation.run_folder import COMPARISON, Run, read_run, set_aside

_LISTED = 20  # labels that changed, listed for each side
_COLOUR_A, _COLOUR_B = 0, 1


def compare(run_a: str | Path, run_b: str | Path) -> Path:
    """Write the comparison of two runs over one recording; differences are B minus A over what both have.

    An earlier comparison in the second run's folder is set aside first. Raises InputError when a folder holds no run, or when
    the two do not belong together.
    """
    set_aside(Path(run_b), (COMPARISON,))
    a, b = read_run(run_a), read_run(run_b)
    pairs = pair(a, b)
    name = f"{source_name(a)}: {a.folder.name} against {b.folder.name}"
    parts = [
        page.heading(name),
        page.facts([f"A: {a.folder.name}", f"B: {b.folder.name}", *counts(pairs)]),
        page.notes(comparison_notes(a, b, pairs)),
        page.section("What was set differently", _settings(a, b)),
        *(_labelled(a, b, pairs) if pairs.labels_a else _unlabelled(a, b, pairs)),
        page.section("Time and refusals", _table(frame_differences(pairs))),
        page.section("How to read this", *map(page.paragraph, _explanations())),
    ]
    return write_page(b.folder / COMPARISON, name, parts)


def _labelled(a: Run, b: Run, pairs: Pairs) -> list[str]:
    objects = sorted({label.object_name for label in pairs.labels_a})
    by_object = {name: label_differences(a, b, pairs, name) for name in objects}
    return [
        page.section("Figures", _table(label_differences(a, b, pairs))),
        page.section("By object, B minus A", _by_object(by_object)),
        page.section("How many are found", page.grid(_recall_charts(pairs))),
        page.section("Labels that changed", *_changes(pairs)),
    ]


def _unlabelled(a: Run, b: Run, pairs: Pairs) -> list[str]:
    sections = [
        page.section(f"Figures of {name}", _table(consistency_differences(a, b, pairs, name)))
        for name in common_objects(a, b)
    ]
    return [*sections, page.section("Each run by itself", *_side_by_side(a, b))]


def common_objects(a: Run, b: Run) -> list[str]:
    """The objects that both runs looked for."""
    return [name for name in a.info.objects if name in b.info.objects]


def _table(differences: Mapping[str, Difference]) -> str:
    rows = []
    for key, d in differences.items():
        word = wording.wording(key)
        unit = f" {word.unit}" if word.unit else ""
        a, b = (page.text(f"{word.factor * v:.{word.digits}f}{unit}") for v in (d.a, d.b))
        said, kind = verdict(key, d)
        rows.append([page.text(word.title), a, b, _difference(key, d), page.text(said, kind=kind), page.text(d.pairs)])
    return footed(page.table(["figure", "A", "B", "B minus A", "verdict", "pairs"], rows))


def _by_object(entries: Mapping[str, Mapping[str, Difference]]) -> str:
    keys = wording.chief_keys(entries.values())
    rows = [
        [page.text(name), *(_difference(k, entry[k]) if k in entry else page.text("–") for k in keys)]
        for name, entry in entries.items()
    ]
    return footed(page.table(["object", *map(wording.heading, keys)], rows))


def _difference(key: str, d: Difference) -> str:
    """A cell: the difference in the figure's unit, coloured where its interval leaves out zero, and the interval."""
    return page.text(*difference_words(key, d), verdict(key, d)[1])


def difference_words(key: str, d: Difference) -> tuple[str, str]:
    """('+1.2', '[-0.3, +2.6]') in the figure's unit."""
    word = wording.wording(key)
    bounds = wording.bracket(word.factor * d.low, word.factor * d.high, word.digits, "+")
    return f"{word.factor * (d.b - d.a):+.{word.digits}f}", bounds


def verdict(key: str, d: Difference) -> tuple[str, str]:
    """(what the interval allows to say, the colour of it)."""
    if not np.isfinite(d.low):
        return "too few to say", ""
    if d.low <= 0.0 <= d.high:
        return "no difference shown", ""
    better = (d.low > 0.0) == wording.wording(key).more_is_better
    return ("B is better", "better") if better else ("B is worse", "worse")


def _recall_charts(pairs: Pairs) -> list[str]:
    charts = []
    for name, limit, what in (
        ("mssd_rel", 0.5, "MSSD / diameter"),
        ("add_s_rel", 0.2, "ADD(-S) / diameter"),
        ("mspd_px", 50.0, "MSPD, pixels"),
    ):
        if not (curves.has_error(pairs.labels_a, name) and curves.has_error(pairs.labels_b, name)):
            continue
        chart = Chart(Scale(0.0, limit), Scale(0.0, 1.0), what, "labels found")
        for labels, colour in ((pairs.labels_a, _COLOUR_A), (pairs.labels_b, _COLOUR_B)):
            curve = curves.recall(labels, name, limit)
            chart.band(curve.at, curve.low, curve.high, colour)
            chart.line(curve.at, curve.share, colour)
        charts.append(
            page.figure(f"Recall: {what}", chart.svg(f"Recall against {what}"), key={"A": _COLOUR_A, "B": _COLOUR_B})
        )
    return charts


def _changes(pairs: Pairs) -> list[str]:
    """Which labels one run has right and the other has not."""
    right = curves.CORRECT_MSSD_REL
    ok_a, ok_b = (curves.errors(labels, "mssd_rel") < right for labels in (pairs.labels_a, pairs.labels_b))
    both = list(zip(pairs.labels_a, pairs.labels_b))
    lost = [x for x, was, now in zip(both, ok_a, ok_b) if was and not now]
    won = [x for x, was, now in zip(both, ok_a, ok_b) if now and not was]
    counts = (
        f"Within {100 * right:.0f} % of the diameter: {int((ok_a & ok_b).sum())} in both runs, {len(lost)} in A alone, "
        f"{len(won)} in B alone, {int((~ok_a & ~ok_b).sum())} in neither."
    )
    rows = [
        [page.text(which), *map(page.text, _change(x, y))]
        for which, list_ in (("A", lost), ("B", won))
        for x, y in list_[:_LISTED]
    ]
    more = sum(max(len(list_) - _LISTED, 0) for list_ in (lost, won))
    return [
        page.paragraph(counts),
        page.table(["right in", "label", "MSSD in A", "MSSD in B"], rows, words=[1]),
        page.paragraph(f"And {more} more.", "soft") if more else "",
    ]


def _change(x: LabelRecord, y: LabelRecord) -> tuple[str, str, str]:
    errors = [label.errors.mssd_rel for label in (x, y)]
    a, b = ("none" if e is None else f"{100 * e:.1f} %" for e in errors)
    return f"{x.object_name}, scene {x.scene}, frame {x.frame}", a, b


def _side_by_side(a: Run, b: Run) -> list[str]:
    """Figures of whole paths, which have no pairs: each run's own value and interval."""
    if not (a.summary and b.summary):
        return []
    of_a, of_b = a.summary["all"]["figures"], b.summary["all"]["figures"]
    rows = [
        [
            page.text(wording.heading(key)),
            *(page.text(wording.value(key, f.get(key)), wording.interval(key, f.get(key))) for f in (of_a, of_b)),
            page.text(explained(key), kind="soft"),
        ]
        for key in dict.fromkeys([*of_a, *of_b])
        if not own_table(key) and key != "time_s"
    ]
    return [footed(page.table(["figure", "A", "B", "what it is"], rows, words=[3]))]


def _settings(a: Run, b: Run) -> str:
    """Settings and circumstances in which the two runs differ."""
    of_a, of_b = (
        {
            "version": run.info.version,
            "provider": run.info.provider,
            "crops": run.info.crops,
            "objects": ", ".join(run.info.objects),
            **_flat(run.info.config),
        }
        for run in (a, b)
    )
    keys = [key for key in dict.fromkeys([*of_a, *of_b]) if of_a.get(key) != of_b.get(key)]
    rows = [[page.text(key), page.text(of_a.get(key, "–")), page.text(of_b.get(key, "–"))] for key in keys]
    return page.table(["setting", "A", "B"], rows) or page.paragraph("Nothing that the runs recorded.")


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level, keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
    return flat


def counts(pairs: Pairs) -> list[str]:
    """How much the two runs share, in a few words."""
    frames = f"{len(pairs.frames_a)} frames in both"
    return [frames, f"{len(pairs.labels_a)} labels in both"] if pairs.labels_a else [frames]


def comparison_notes(a: Run, b: Run, pairs: Pairs) -> list[str]:
    """What a reader has to know before any difference."""
    of_a, of_b = warnings(a), warnings(b)
    found = [note for note in of_a if note in of_b]
    found += [f"A: {note}" for note in of_a if note not in of_b]
    found += [f"B: {note}" for note in of_b if note not in of_a]
    for what, count in (("labels", pairs.labels_left_out), ("frames", pairs.frames_left_out)):
        if count:
            found.append(f"{count} {what} that only one of the runs has are left out.")
    if source_name(a) != source_name(b):
        found.append(f"A ran over {source_name(a)}, B over {source_name(b)}.")
    return found


def _explanations() -> list[str]:
    return [
        "Differences are B minus A, over labels and frames that both runs have. Brackets are 95 % bootstrap intervals of the "
        "difference itself: placements (for times, and without labels: scenes, or tenths of a recording) are drawn once for "
        "both runs, so what is hard for both cancels. An interval that holds zero shows no difference; with many rows, one in twenty leaves zero out by chance.",
        "Two runs overlap in their own intervals far more than in this one: judge by the difference.",
    ]
