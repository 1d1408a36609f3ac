"""The figures of a run, or of two runs side by side, as tables in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pose_node.evaluation.figures.paired_differences import Difference
from pose_node.evaluation.records import refusals
from pose_node.evaluation.report import formatting
from pose_node.evaluation.report.compare import Comparison, difference_words, verdict
from pose_node.evaluation.report.report import facts, has_own_table, warnings
from pose_node.evaluation.run_folder import read_run

_FILE_WIDTH = 118  # characters of a line where the output is no terminal


def print_run(folder: str | Path, console: Console | None = None) -> None:
    """Print all figures with their intervals, then by object and by scene; raises InputError where there is no run."""
    run = read_run(folder)
    lines = [*facts(run), *(f"note: {note}" for note in warnings(run))]
    lines += [f"refused: {refusal}" for refusal in refusals(run.frames)]
    tables = []
    if run.summary:
        rows = [
            [
                formatting.format_of(key).title,
                formatting.value(key, figure, unit=True),
                formatting.interval(key, figure),
            ]
            for key, figure in run.summary["all"]["figures"].items()
            if not has_own_table(key)
        ]
        tables.append(list(zip(["figure", "value", ""], *rows)))
        tables += [_by(what, run.summary[f"{what}s"]) for what in ("object", "scene")]
    _print(lines, tables, console or _stdout())


def print_comparison(comparison: Comparison, console: Console | None = None) -> None:
    """Print what two runs share, and every difference with its paired interval."""
    lines = [*comparison.facts, *(f"note: {note}" for note in comparison.notes)]
    tables = [_differences(heading, found) for heading, found in comparison.figures.items()]
    if comparison.by_object:
        tables.append(_differences_by_object(comparison.by_object))
    tables.append(_differences("Time and refusals", comparison.frames))
    _print(lines, tables, console or _stdout())


Columns = Sequence[Sequence[str]]  # each with its head first


def _by(what: str, entries: Mapping[str, Mapping[str, Any]]) -> Columns:
    """A row for each object or scene."""
    columns = [[what, *entries]]
    if any(entry["labels"] for entry in entries.values()):
        columns.append(["labels", *(str(entry["labels"]) for entry in entries.values())])
    for key in formatting.overview_keys([entry["figures"] for entry in entries.values()]):
        figures = [(key, entry["figures"].get(key)) for entry in entries.values()]
        cells = [f"{formatting.value(*figure)} {formatting.interval(*figure)}".strip() for figure in figures]
        columns.append([formatting.column_title(key), *cells])
    return columns


def _differences(heading: str, found: Mapping[str, Difference]) -> Columns:
    rows = [[heading, "A", "B", "B minus A", "", "pairs", "verdict"]]
    for key, d in found.items():
        a, b = (formatting.value(key, {"value": value}) for value in (d.a, d.b))
        rows.append([formatting.column_title(key), a, b, *difference_words(key, d), str(d.pairs), verdict(key, d)[0]])
    return list(zip(*rows))


def _differences_by_object(entries: Mapping[str, Mapping[str, Difference]]) -> Columns:
    columns = [["B minus A", *entries]]
    for key in formatting.overview_keys(entries.values()):
        cells = [" ".join(difference_words(key, entry[key])) if key in entry else "–" for entry in entries.values()]
        columns.append([formatting.column_title(key), *cells])
    return columns


def _stdout() -> Console:
    """A console on stdout that prints text as it is: brackets are intervals, not markup."""
    console = Console(markup=False, highlight=False, emoji=False)
    return console if console.is_terminal else Console(width=_FILE_WIDTH, markup=False, highlight=False, emoji=False)


def _print(lines: Sequence[str], tables: Sequence[Columns], console: Console) -> None:
    for line in lines:
        console.print(line, soft_wrap=True)
    for table in (table for columns in tables if len(columns[0]) > 1 for table in _tables(columns, console)):
        console.print()
        console.print(table)
    footnote = formatting.footnote(cell for columns in tables for column in columns for cell in column)
    if footnote:
        console.print(f"\n{footnote}", soft_wrap=True)


def _tables(columns: Columns, console: Console) -> Iterator[Table]:
    """As many columns as fit into a line; the others in further tables, each with the first column again."""
    first, *rest = columns
    shown = [first]
    boundless = console.options.update(width=10_000)
    for column in rest:
        needed = console.measure(_table([*shown, column]), options=boundless).maximum
        if len(shown) > 1 and needed > console.width:
            yield _table(shown)
            shown = [first]
        shown.append(column)
    yield _table(shown)


def _table(columns: Columns) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for number, (head, *_) in enumerate(columns):
        table.add_column(head, justify="left" if number == 0 or head in ("", "verdict") else "right")
    for row in zip(*(cells for _, *cells in columns)):
        table.add_row(*row)
    return table
