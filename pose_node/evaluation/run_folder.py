"""The run folder: the files of one evaluation, from which reports are made.

``run.json`` describes the run, ``frames.jsonl`` has a line per frame, ``labels.jsonl`` one per ground-truth label, and
``sightings.jsonl`` one per sighting of a run without labels. Lines are flushed as they are written, so that a killed run
keeps the frames before; ``read_run`` reads such a folder, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from pose_node.errors import InputError
from pose_node.evaluation.records import FrameRecord, LabelRecord, Refusal, SightingRecord

RUN, FRAMES, LABELS, SUMMARY, SIGHTINGS = "run.json", "frames.jsonl", "labels.jsonl", "summary.json", "sightings.jsonl"
RESULTS, POSES_FILE = "results.csv", "poses.mcap"
REPORT, COMPARISON, INDEX = "report.html", "compare.html", "index.html"
PREVIOUS = "previous_run"
_RUN_FILES = (RUN, FRAMES, LABELS, SUMMARY, SIGHTINGS, RESULTS, POSES_FILE, REPORT, COMPARISON)

Kind = Literal["bop", "bag"]
_JSON_KEYS = {"reference": "whose", "labels_complete": "complete"}  # fields that have another name in run.json


@dataclass(frozen=True, eq=False)
class RunInfo:
    """What was run.

    objects: {name: {"diameter_m", "bop_id"}}. crops: which part of a label was used as input.
    reference: the models and symmetries that errors are measured with: "set" for the data set's own, "depth" for those with
    symmetries that depth cannot resolve, "card" for our own, "" without labels.
    labels_complete: whether every instance in a labelled frame has its label, so that an unmatched estimate is a false alarm.
    refused: what was refused and why, known when the run ends. notes: sentences on input that was left out or assumed.
    """

    source: str
    kind: Kind
    objects: Mapping[str, Mapping[str, Any]]
    crops: str
    config: Mapping[str, Any]
    version: str
    provider: str
    reference: str = ""
    notes: tuple[str, ...] = ()
    labels_complete: bool = True
    refused: tuple[Refusal, ...] = ()

    @property
    def counts_false_alarms(self) -> bool:
        """Whether unmatched estimates are false alarms: not where masks were given, nor where labels are missing."""
        return self.labels_complete and self.crops == "none"

    def to_json(self) -> dict[str, Any]:
        values = {_JSON_KEYS.get(name, name): getattr(self, name) for name in self.__dataclass_fields__}
        return {**values, "notes": list(self.notes), "refused": [asdict(refusal) for refusal in self.refused]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RunInfo:
        defaults = {"notes": (), "complete": True, "refused": ()}  # of keys that older runs do not have
        values = {**defaults, **values}
        fields = {name: values[_JSON_KEYS.get(name, name)] for name in cls.__dataclass_fields__}
        fields["notes"] = tuple(fields["notes"])
        fields["refused"] = tuple(Refusal(**entry) for entry in fields["refused"])
        return cls(**fields)


@dataclass(frozen=True, eq=False)
class Run:
    """A run folder that was read. ``summary`` is empty where the run was interrupted."""

    folder: Path
    info: RunInfo
    frames: tuple[FrameRecord, ...]
    labels: tuple[LabelRecord, ...]
    summary: Mapping[str, Any]
    sightings: tuple[SightingRecord, ...] = ()


class RunWriter:
    """Appends to a run folder; a context manager. Files of an earlier run in it are moved away, see ``set_aside``.

    Raises InputError when the folder cannot be created or written.
    """

    def __init__(self, folder: str | Path, info: RunInfo) -> None:
        self.folder = Path(folder)
        self.frames = self.labels = 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            set_aside(self.folder)
            self.info(info)
            self._frames = (self.folder / FRAMES).open("w", encoding="utf-8")
            self._labels: Any = None
            self._sightings: Any = None
        except OSError as error:
            raise InputError(f"{folder}: found {error.strerror}, expected a folder to write a run to.") from None

    def info(self, info: RunInfo) -> None:
        """Write ``run.json`` again, for example with notes from the run."""
        write_info(self.folder, info)

    def frame(self, record: FrameRecord) -> None:
        _write_line(self._frames, record.to_json())
        self.frames += 1

    def label(self, record: LabelRecord) -> None:
        if self._labels is None:
            self._labels = (self.folder / LABELS).open("w", encoding="utf-8")
        _write_line(self._labels, record.to_json())
        self.labels += 1

    def sighting(self, record: SightingRecord) -> None:
        if self._sightings is None:
            self._sightings = (self.folder / SIGHTINGS).open("w", encoding="utf-8")
        _write_line(self._sightings, record.to_json())

    def summary(self, summary: Mapping[str, Any]) -> None:
        _write_json(self.folder / SUMMARY, summary)

    def close(self) -> None:
        for file in (self._frames, self._labels, self._sightings):
            if file is not None:
                file.close()

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def write_info(folder: Path, info: RunInfo) -> None:
    """Write ``run.json`` of a run folder."""
    _write_json(folder / RUN, info.to_json())


def read_run(folder: str | Path) -> Run:
    """Read a run folder, without an incomplete last line.

    Raises InputError when there is no run in the folder, or a record that is invalid.
    """
    folder = Path(folder)
    if not (folder / RUN).is_file():
        raise InputError(f"{folder}: found no {RUN}, expected a folder that pose_node evaluate has written.")
    try:
        info = RunInfo.from_json(json.loads((folder / RUN).read_text(encoding="utf-8")))
        frames = tuple(FrameRecord.from_json(values) for values in _lines(folder / FRAMES))
        labels = tuple(LabelRecord.from_json(values) for values in _lines(folder / LABELS))
        sightings = tuple(SightingRecord.from_json(values) for values in _lines(folder / SIGHTINGS))
        written = folder / SUMMARY
        summary = json.loads(written.read_text(encoding="utf-8")) if written.is_file() else {}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder}: found an invalid record ({type(error).__name__}: {error}), expected the files of pose_node evaluate."
        ) from None
    return Run(folder, info, frames, labels, summary, sightings)


def set_aside(folder: Path, names: tuple[str, ...] = _RUN_FILES) -> None:
    """Move the files ``names`` of an earlier run to ``previous_run/`` in the folder, which then has no file of another run.

    Other files stay. Raises InputError when a file cannot be moved.
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


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    # Complete lines end in a newline: what follows the last one was being written when the run was killed.
    return [json.loads(line) for line in lines[:-1] if line]


def _write_line(file: Any, values: Mapping[str, Any]) -> None:
    file.write(json.dumps(values, allow_nan=False) + "\n")
    file.flush()


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")
