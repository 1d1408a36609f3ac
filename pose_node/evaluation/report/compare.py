"""Two runs over one recording: every difference with its paired interval, as ``compare.html`` in the second run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
from pose_node.evaluation.report import formatting
from pose_node.evaluation.report.label_charts import RECALL, draw_curve
from pose_node.evaluation.report.page import Cell, Figure, Table, write_page
from pose_node.evaluation.report.report import explanation, has_own_table, source_name, warnings
from pose_node.evaluation.report.svg import new_axes, to_svg
from pose_node.evaluation.run_folder import COMPARISON, Run, read_run, set_aside

_LISTED = 20  # labels that changed, for each run
_COMPARED = ("mssd_rel", "add_s_rel", "mspd_px")  # errors whose recall is drawn


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two runs, what they share, and the differences B minus A over that.

    figures:   {heading: {figure: difference}}: of all labels; without labels, of each object.
    by_object: {object: {figure: difference}}; empty without labels.
    frames:    {figure: difference} of times and refusals.
    """

    a: Run
    b: Run
    pairs: Pairs
    figures: Mapping[str, Mapping[str, Difference]]
    by_object: Mapping[str, Mapping[str, Difference]]
    frames: Mapping[str, Difference]

    @property
    def facts(self) -> list[str]:
        """The names of the runs, and how much they share."""
        counts = {"frames": len(self.pairs.frames_a), "labels": len(self.pairs.labels_a)}
        shared = [f"{count} {what} in both" for what, count in counts.items() if count or what == "frames"]
        return [f"A: {self.a.folder.name}", f"B: {self.b.folder.name}", *shared]

    @property
    def notes(self) -> list[str]:
        """What a reader has to know before the differences."""
        of_a, of_b = warnings(self.a), warnings(self.b)
        found = [note for note in of_a if note in of_b]
        found += [f"A: {note}" for note in of_a if note not in of_b]
        found += [f"B: {note}" for note in of_b if note not in of_a]
        for what, count in (("labels", self.pairs.labels_left_out), ("frames", self.pairs.frames_left_out)):
            if count:
                found.append(f"{count} {what} that only one of the runs has are left out.")
        if source_name(self.a) != source_name(self.b):
            found.append(f"A is a run over {source_name(self.a)}, B over {source_name(self.b)}.")
        return found


def compare(run_a: str | Path, run_b: str | Path) -> Comparison:
    """Compare two runs over one recording; an earlier comparison in the second run's folder is set aside.

    Raises InputError when a folder has no run, or when the runs cannot be compared (``pair``).
    """
    set_aside(Path(run_b), (COMPARISON,))
    a, b = read_run(run_a), read_run(run_b)
    pairs = pair(a, b)
    if pairs.labels_a:
        figures = {"Figures": label_differences(a, b, pairs)}
        objects = sorted({label.object_name for label in pairs.labels_a})
    else:
        both = [name for name in a.info.objects if name in b.info.objects]
        figures, objects = {f"Figures of {name}": consistency_differences(a, b, pairs, name) for name in both}, []
    by_object = {name: label_differences(a, b, pairs, name) for name in objects}
    return Comparison(a, b, pairs, figures, by_object, frame_differences(pairs))


def write_comparison(comparison: Comparison) -> Path:
    """Write ``compare.html`` into the second run's folder; raises InputError when it cannot be written."""
    a, b, pairs = comparison.a, comparison.b, comparison.pairs
    labelled = bool(pairs.labels_a)
    of_labels = {"recall": _recall_charts(pairs), "changes": _changes(pairs)}
    return write_page(
        b.folder / COMPARISON,
        "compare.html",
        heading=f"{source_name(a)}: {a.folder.name} against {b.folder.name}",
        facts=comparison.facts,
        notes=comparison.notes,
        settings=_settings(a, b),
        figures={heading: _table(differences) for heading, differences in comparison.figures.items()},
        labelled=labelled,
        by_object=_by_object(comparison.by_object),
        frames=_table(comparison.frames),
        **(of_labels if labelled else {"side_by_side": _side_by_side(a, b)}),
    )


def difference_words(key: str, d: Difference) -> tuple[str, str]:
    """('+1.2', '[-0.3, +2.6]') in the figure's unit."""
    form = formatting.format_of(key)
    bounds = formatting.bracket(form.factor * d.low, form.factor * d.high, form.digits, "+")
    return f"{form.factor * (d.b - d.a):+.{form.digits}f}", bounds


def verdict(key: str, d: Difference) -> tuple[str, str]:
    """(what the interval shows, its CSS class)."""
    if not np.isfinite(d.low):
        return "too few to tell", ""
    if d.low <= 0.0 <= d.high:
        return "no difference shown", ""
    better = (d.low > 0.0) == formatting.format_of(key).more_is_better
    return ("B is better", "better") if better else ("B is worse", "worse")


def _table(differences: Mapping[str, Difference]) -> Table:
    rows = []
    for key, d in differences.items():
        title = formatting.format_of(key).title
        a, b = (formatting.value(key, {"value": value}, unit=True) for value in (d.a, d.b))
        text, kind = verdict(key, d)
        rows.append([title, a, b, _difference(key, d), Cell(text, kind=kind), d.pairs])
    return Table(["figure", "A", "B", "B minus A", "verdict", "pairs"], rows)


def _by_object(entries: Mapping[str, Mapping[str, Difference]]) -> Table:
    keys = formatting.overview_keys(entries.values())
    rows = [
        [name, *(_difference(key, entry[key]) if key in entry else "–" for key in keys)]
        for name, entry in entries.items()
    ]
    return Table(["object", *map(formatting.column_title, keys)], rows)


def _difference(key: str, d: Difference) -> Cell:
    """The difference in the figure's unit with its interval, coloured where that excludes zero."""
    return Cell(*difference_words(key, d), verdict(key, d)[1])


def _recall_charts(pairs: Pairs) -> list[Figure]:
    charts = []
    for name, limit, title, _ in RECALL:
        sides = (pairs.labels_a, pairs.labels_b)
        if name not in _COMPARED or not all(curves.has_error(labels, name) for labels in sides):
            continue
        axes = new_axes(title, "recall", (0.0, limit), (0.0, 1.0))
        for colour, labels in enumerate(sides):
            draw_curve(axes, curves.recall(labels, name, limit), colour)
        charts.append(Figure(f"Recall: {title}", to_svg(axes, f"Recall against {title}"), key={"A": "c0", "B": "c1"}))
    return charts


def _changes(pairs: Pairs) -> dict[str, Any]:
    """The labels that are correct in one run alone: how many, the first of them as a table, and how many more."""
    limit = curves.CORRECT_MSSD_REL
    ok_a, ok_b = (curves.errors(labels, "mssd_rel") < limit for labels in (pairs.labels_a, pairs.labels_b))
    both = list(zip(pairs.labels_a, pairs.labels_b))
    only = {
        "A": [labels for labels, a, b in zip(both, ok_a, ok_b) if a and not b],
        "B": [labels for labels, a, b in zip(both, ok_a, ok_b) if b and not a],
    }
    return {
        "counts": f"MSSD below {100 * limit:.0f} % of the diameter: {int((ok_a & ok_b).sum())} labels in both runs, "
        f"{len(only['A'])} in A alone, {len(only['B'])} in B alone, {int((~ok_a & ~ok_b).sum())} in neither.",
        "table": Table(
            ["correct in", "label", "MSSD in A", "MSSD in B"],
            [[run, *_change(x, y)] for run, labels in only.items() for x, y in labels[:_LISTED]],
            prose=[1],
        ),
        "more": sum(max(len(labels) - _LISTED, 0) for labels in only.values()),
    }


def _change(x: LabelRecord, y: LabelRecord) -> tuple[str, str, str]:
    errors = [label.errors.mssd_rel for label in (x, y)]
    a, b = ("none" if e is None else f"{100 * e:.1f} %" for e in errors)
    return f"{x.object_name}, scene {x.scene}, frame {x.frame}", a, b


def _side_by_side(a: Run, b: Run) -> Table:
    """Figures of whole paths have no pairs: each run's own value and interval."""
    if not (a.summary and b.summary):
        return Table([], [])
    of_a, of_b = a.summary["all"]["figures"], b.summary["all"]["figures"]
    rows = [
        [
            formatting.column_title(key),
            *(Cell(formatting.value(key, f.get(key)), formatting.interval(key, f.get(key))) for f in (of_a, of_b)),
            Cell(explanation(key), kind="soft"),
        ]
        for key in dict.fromkeys([*of_a, *of_b])
        if not has_own_table(key) and key != "time_s"
    ]
    return Table(["figure", "A", "B", "explanation"], rows, prose=[3])


def _settings(a: Run, b: Run) -> Table:
    """Settings, versions and inputs in which the two runs differ."""
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
    return Table(["setting", "A", "B"], [[key, of_a.get(key, "–"), of_b.get(key, "–")] for key in keys])


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level, keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
    return flat
