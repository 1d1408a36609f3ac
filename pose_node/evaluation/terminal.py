"""The figures of a run as plain text, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pose_node.evaluation import wording
from pose_node.evaluation.records import read_run
from pose_node.evaluation.report import facts, own_table, warnings

_ROOM = 118  # characters of a line


def terminal_table(folder: str | Path) -> str:
    """All figures with their intervals, then a table by object and one by scene; raises InputError where there is no run."""
    run = read_run(folder)
    lines = [*facts(run), *(f"note: {note}" for note in warnings(run))]
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
    return "\n".join(lines)


def _by(what: str, entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A row for each entry; columns that do not fit beside each other go into a further block below."""
    keys = list(dict.fromkeys(key for entry in entries.values() for key in entry["figures"]))
    keys = [key for key in keys if wording.wording(key).chief and not own_table(key)]
    columns = []
    for key in keys:
        figures = [entry["figures"].get(key) for entry in entries.values()]
        cells = [f"{wording.value(key, f)} {wording.interval(key, f)}".strip() for f in figures]
        columns.append([wording.heading(key), *cells])
    first = [what, *entries]
    labels = ["labels", *(str(entry["labels"]) for entry in entries.values())]
    lines: list[str] = []
    block = [first, labels] if any(entry["labels"] for entry in entries.values()) else [first]
    for column in [*columns, None]:
        if column is None or sum(max(map(len, c)) + 2 for c in [*block, column]) > _ROOM:
            lines += ["", *_aligned(list(map(list, zip(*block))), "<" + ">" * (len(block) - 1))]
            block = [first]
        if column is not None:
            block.append(column)
    return lines


def _aligned(rows: Sequence[Sequence[str]], sides: str) -> list[str]:
    """Rows in columns, each on its side: '<' left, '>' right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(f"{c:{s}{w}}" for c, s, w in zip(row, sides, widths)).rstrip() for row in rows]
