"""``index.html`` over the run folders of several sources: a line and a link for each, and their figures beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

from pose_node.errors import InputError
from pose_node.evaluation import page, tables
from pose_node.evaluation.records import Run, read_run
from pose_node.evaluation.report import REPORT, write_page

INDEX = "index.html"


class Outcome(NamedTuple):
    """One source's run folder, and the sentence of what went wrong, if anything did."""

    folder: Path
    error: str = ""


def run_folders(sources: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """Each source with a folder below ``out`` by its name, numbered where names repeat.

    Raises InputError where a run would be written into its source.
    """
    taken: dict[Path, Path] = {}
    for source in sources:
        name = source.resolve().name
        names = (name if number == 1 else f"{name}_{number}" for number in count(1))
        folder = next(out / name for name in names if out / name not in taken)
        if any(folder.resolve() == other.resolve() for other in sources):
            raise InputError(f"--out {out}: found {source} in it, expected a folder that holds no source.")
        taken[folder] = source
    return [(source, folder) for folder, source in taken.items()]


def write_index(out: Path, outcomes: Sequence[Outcome]) -> Path:
    """Write ``index.html`` into ``out`` and return its path; raises InputError when it cannot be written."""
    runs = {outcome.folder.name: read_run(outcome.folder) for outcome in outcomes if not outcome.error}
    rows = [_row(outcome, runs.get(outcome.folder.name)) for outcome in outcomes]
    figures = {name: run.summary["all"] for name, run in runs.items()}
    parts = [
        page.heading(f"{len(outcomes)} sources"),
        page.section("Runs", page.table(["source", "frames", "labels", "notes"], rows, words=[3])),
        page.section("Figures", tables.figures_by("source", figures)),
    ]
    out.mkdir(parents=True, exist_ok=True)
    return write_page(out / INDEX, "evaluation of pose_node", parts)


def _row(outcome: Outcome, run: Run | None) -> list[str]:
    name = outcome.folder.name
    if run is None:
        return [page.text(name), page.text("-"), page.text("-"), page.text(outcome.error)]
    counts = [page.text(len(run.frames)), page.text(len(run.labels))]
    return [page.link(f"{name}/{REPORT}", name), *counts, page.text(" ".join(run.info.notes))]
