"""A run folder that is used again: what an earlier run left there is never taken for the new one's."""

from __future__ import annotations

from pathlib import Path

from pose_node.errors import InputError

RUN, FRAMES, LABELS, SUMMARY, SIGHTINGS = "run.json", "frames.jsonl", "labels.jsonl", "summary.json", "sightings.jsonl"
RESULTS, POSES_FILE, REPORT, COMPARISON, INDEX = (
    "results.csv",
    "poses.mcap",
    "report.html",
    "compare.html",
    "index.html",
)
PREVIOUS = "previous_run"
_OURS = (RUN, FRAMES, LABELS, SUMMARY, SIGHTINGS, RESULTS, POSES_FILE, REPORT, COMPARISON)


def set_aside(folder: Path, names: tuple[str, ...] = _OURS) -> None:
    """Move the files ``names`` of an earlier run into the folder ``previous_run`` in it, in place of those of a run before that.

    Other files stay where they are. Raises InputError when the files cannot be moved.
    """
    left = [folder / name for name in names if (folder / name).is_file()]
    if not left:
        return
    previous = folder / PREVIOUS
    try:
        previous.mkdir(exist_ok=True)
        for name in names:
            (previous / name).unlink(missing_ok=True)
        for file in left:
            file.replace(previous / file.name)
    except OSError as error:
        raise InputError(f"{folder}: found {error.strerror}, expected a folder to write a run to.") from None
