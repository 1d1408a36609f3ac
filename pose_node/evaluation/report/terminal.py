"""The figures of a run, or of two runs side by side, as plain text for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pose_node.evaluation.figures.paired_differences import (
    Difference,
    consistency_differences,
    frame_differences,
    label_differences,
    pair,
)
from pose_node.evaluation.records import refusals
from pose_node.evaluation.report import wording
from pose_node.evaluation.report.compare import common_objects, comparison_notes, counts, difference_words, verdict
from pose_node.evaluation.report.report import facts, own_table, warnings
from pose_node.evaluation.run_folder import read_run

_ROOM = 118  # characters of a line


def terminal_table(folder: str | Path) -> str:
    """All figures with their intervals, then a table by object and one by scene; raises InputError where there is no run."""
    run = read_run(folder)
    lines = [*facts(run), *(f"note: {note}" for note in warnings(run))]
    lines += [f"refused: {refusal}" for refusal in refusals(run.frames)]
    if not run.summary:
        return "\n".join(lines)
    figures = run.summary["all"]["figures"]
    rows = [
        [
            wording.wording(key).title,
            f"{wording.value(key, figure)} {wording.wording(key).unit}".strip(),
            wording.interval(key, figure),
        ]
        for key, figure in figures.items()
        if not own_table(key)
    ]
    lines += ["", *_aligned(rows, "<><")]
    for what in ("object", "scene"):
        lines += _by(what, run.summary[f"{what}s"])
    return _footed(lines)


def comparison_table(run_a: str | Path, run_b: str | Path) -> str:
    """Two runs over one recording: what they share, and every difference with its paired interval; raises InputError as
    ``compare`` does."""
    a, b = read_run(run_a), read_run(run_b)
    pairs = pair(a, b)
    lines = [f"A: {a.folder.name}", f"B: {b.folder.name}", *counts(pairs)]
    lines += [f"note: {note}" for note in comparison_notes(a, b, pairs)]
    if pairs.labels_a:
        lines += _differences("all labels", label_differences(a, b, pairs))
        objects = sorted({label.object_name for label in pairs.labels_a})
        lines += _differences_by({name: label_differences(a, b, pairs, name) for name in objects})
    else:
        for name in common_objects(a, b):
            lines += _differences(name, consistency_differences(a, b, pairs, name))
    lines += _differences("time and refusals", frame_differences(pairs))
    return _footed(lines)


def _differences(what: str, found: Mapping[str, Difference]) -> list[str]:
    rows = [[what, "A", "B", "B minus A", "", "pairs", ""]]
    for key, d in found.items():
        word = wording.wording(key)
        a, b = (f"{word.factor * v:.{word.digits}f}" for v in (d.a, d.b))
        rows.append([wording.heading(key), a, b, *difference_words(key, d), str(d.pairs), verdict(key, d)[0]])
    return ["", *_aligned(rows, "<>>><><")]


def _differences_by(entries: Mapping[str, Mapping[str, Difference]]) -> list[str]:
    keys = wording.chief_keys(entries.values())
    columns = [
        [wording.heading(k), *(" ".join(difference_words(k, e[k])) if k in e else "–" for e in entries.values())]
        for k in keys
    ]
    return _beside([["B minus A", *entries]], columns)


def _by(what: str, entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A row for each entry."""
    keys = wording.chief_keys([entry["figures"] for entry in entries.values()])
    columns = []
    for key in keys:
        figures = [entry["figures"].get(key) for entry in entries.values()]
        cells = [f"{wording.value(key, f)} {wording.interval(key, f)}".strip() for f in figures]
        columns.append([wording.heading(key), *cells])
    first = [what, *entries]
    labels = ["labels", *(str(entry["labels"]) for entry in entries.values())]
    return _beside([first, labels] if any(entry["labels"] for entry in entries.values()) else [first], columns)


def _beside(block: list[list[str]], columns: Sequence[list[str]]) -> list[str]:
    """Columns beside those of ``block``; what does not fit goes into a further block beside the first column."""
    lines: list[str] = []
    first = block[0]
    for column in [*columns, None]:
        if column is None or sum(max(map(len, c)) + 2 for c in [*block, column]) > _ROOM:
            lines += ["", *_aligned(list(map(list, zip(*block))), "<" + ">" * (len(block) - 1))]
            block = [first]
        if column is not None:
            block.append(column)
    return lines


def _footed(lines: list[str]) -> str:
    text = "\n".join(lines)
    why = wording.footnote(text)
    return f"{text}\n\n{why}" if why else text


def _aligned(rows: Sequence[Sequence[str]], sides: str) -> list[str]:
    """Rows in columns, each on its side: '<' left, '>' right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(f"{c:{s}{w}}" for c, s, w in zip(row, sides, widths)).rstrip() for row in rows]
