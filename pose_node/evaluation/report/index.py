"""``index.html`` over the runs of several sources: a row and a link for each, and a table of their figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pose_node.errors import InputError
from pose_node.evaluation.report.page import Cell, Table, write_page
from pose_node.evaluation.report.tables import figures_by
from pose_node.evaluation.run_folder import INDEX, REPORT, read_run


@dataclass(frozen=True)
class Outcome:
    """One source on the page. name: its run folder's. figures: ``summary.json``'s entry "all", empty where the run failed.
    notes: the run's, or the error that ended it."""

    name: str
    frames: int = 0
    labels: int = 0
    figures: Mapping[str, Any] = field(default_factory=dict)
    notes: str = ""

    @classmethod
    def of(cls, folder: Path) -> Outcome:
        """Of a complete run; raises InputError where the folder has none."""
        run = read_run(folder)
        return cls(folder.name, len(run.frames), len(run.labels), run.summary["all"], " ".join(run.info.notes))


def run_folders(sources: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """Each source with its run folder: ``out``/name of the source, numbered where names repeat.

    Raises InputError where a run would be written into its source.
    """
    taken: dict[Path, Path] = {}
    for source in sources:
        name = source.resolve().name
        names = (name if number == 1 else f"{name}_{number}" for number in count(1))
        folder = next(out / name for name in names if out / name not in taken)
        if any(folder.resolve() == other.resolve() for other in sources):
            raise InputError(f"--out {out}: found {source} in it, expected a folder without a source in it.")
        taken[folder] = source
    return [(source, folder) for folder, source in taken.items()]


def write_index(out: Path, outcomes: Sequence[Outcome]) -> Path:
    """Write ``index.html`` into ``out`` and return its path; raises InputError when it cannot be written."""
    runs = Table(["source", "frames", "labels", "notes"], [_row(outcome) for outcome in outcomes], prose=[3])
    figures = figures_by("source", {outcome.name: outcome.figures for outcome in outcomes if outcome.figures})
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: found {error.strerror}, expected a folder to write runs to.") from None
    return write_page(out / INDEX, "index.html", heading=f"{len(outcomes)} sources", runs=runs, figures=figures)


def _row(outcome: Outcome) -> list[object]:
    if not outcome.figures:
        return [outcome.name, "–", "–", outcome.notes]
    target = quote(f"{outcome.name}/{REPORT}")
    return [Cell(outcome.name, target=target), outcome.frames, outcome.labels, outcome.notes]
