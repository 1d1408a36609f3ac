"""``index.html`` over the run folders of several sources: a line and a link for each, and their figures beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from pose_node.errors import InputError
from pose_node.evaluation.report import page, tables
from pose_node.evaluation.report.report import write_page
from pose_node.evaluation.run_folder import INDEX, REPORT, read_run


@dataclass(frozen=True)
class Outcome:
    """What a line of the page says of one source: its run folder's name, how much is in it, and notes; or what went wrong.

    figures: the summary's entry of all; empty where the run failed.
    """

    name: str
    frames: int = 0
    labels: int = 0
    figures: Mapping[str, Any] = field(default_factory=dict)
    notes: str = ""

    @classmethod
    def of(cls, folder: Path) -> Outcome:
        """That of a run that went well; raises InputError where the folder holds none."""
        run = read_run(folder)
        return cls(folder.name, len(run.frames), len(run.labels), run.summary["all"], " ".join(run.info.notes))


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
    figures = {outcome.name: outcome.figures for outcome in outcomes if outcome.figures}
    parts = [
        page.heading(f"{len(outcomes)} sources"),
        page.section("Runs", page.table(["source", "frames", "labels", "notes"], map(_row, outcomes), words=[3])),
        page.section("Figures", tables.figures_by("source", figures)),
    ]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: found {error.strerror}, expected a folder to write runs to.") from None
    return write_page(out / INDEX, "evaluation of pose_node", parts)


def _row(outcome: Outcome) -> list[str]:
    name, notes = page.text(outcome.name), page.text(outcome.notes)
    if not outcome.figures:
        return [name, page.text("-"), page.text("-"), notes]
    return [
        page.link(f"{outcome.name}/{REPORT}", outcome.name),
        page.text(outcome.frames),
        page.text(outcome.labels),
        notes,
    ]
