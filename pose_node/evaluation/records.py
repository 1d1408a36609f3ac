"""The run folder: what one evaluation leaves behind, line by line, and what reports are made from.

``run.json`` says what was run, ``frames.jsonl`` has a line for each frame, ``labels.jsonl`` one for each ground-truth
label, ``sightings.jsonl`` one for each sighting where there are no labels. Lines are flushed as they are made, so that a killed run keeps what it had; ``read_run`` takes such a folder as it is.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.evaluation.run_folder import FRAMES, LABELS, RUN, SIGHTINGS, SUMMARY, set_aside
from pose_node.types import Result, Track, track_name

Kind = Literal["bop", "bag"]


@dataclass(frozen=True, eq=False)
class EstimateRecord:
    """One estimate of a frame.

    T_camera_object: [4, 4] metres. covariance: [6, 6] as ``Estimate.covariance``.
    alternatives:    ((T_camera_object [4, 4], weight), ...), best first.
    """

    object_name: str
    T_camera_object: Array
    score: float
    covariance: Array
    alternatives: tuple[tuple[Array, float], ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "object": self.object_name,
            "T_camera_object": _flat(self.T_camera_object),
            "score": _number(self.score),
            "covariance": _flat(self.covariance),
            "alternatives": [{"T_camera_object": _flat(T), "weight": _number(w)} for T, w in self.alternatives],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> EstimateRecord:
        others = tuple((_square(a["T_camera_object"], 4), float(a["weight"])) for a in values["alternatives"])
        return cls(
            str(values["object"]),
            _square(values["T_camera_object"], 4),
            float(values["score"]),
            _square(values["covariance"], 6),
            others,
        )


@dataclass(frozen=True, eq=False)
class TrackRecord:
    """One track after a frame, as ``types.Track``; seen: whether the frame showed it."""

    track_id: int
    object_name: str
    state: str
    T_fixed_object: Array
    covariance: Array
    seen: bool
    score: float | None = None
    reason: str = ""
    note: str = ""

    @property
    def name(self) -> str:
        """As ``types.Track.name``."""
        return track_name(self.object_name, self.track_id)

    @classmethod
    def of(cls, track: Track) -> TrackRecord:
        return cls(
            track.track_id,
            track.object_name,
            track.state,
            track.T_fixed_object,
            track.covariance,
            track.estimate is not None,
            track.score,
            track.reason,
            track.note,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "track": int(self.track_id),
            "object": self.object_name,
            "state": self.state,
            "T_fixed_object": _flat(self.T_fixed_object),
            "covariance": _flat(self.covariance),
            "seen": bool(self.seen),
            "score": _number(self.score),
            "reason": self.reason,
            "note": self.note,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TrackRecord:
        seen = bool(values["seen"])
        # Older runs have no score, and one sentence for both: the note of a frame that shows the track, else the reason.
        told = str(values.get("told", ""))
        return cls(
            int(values["track"]),
            str(values["object"]),
            str(values["state"]),
            _square(values["T_fixed_object"], 4),
            _square(values["covariance"], 6),
            seen,
            values.get("score"),
            str(values.get("reason", "" if seen else told)),
            str(values.get("note", told if seen else "")),
        )


@dataclass(frozen=True, eq=False)
class FrameRecord:
    """What the pipeline said of one frame.

    T_fixed_camera: [4, 4] of a moving camera, None where nobody recorded it.
    tracks:         those after the frame, where objects were tracked; ``estimates`` are then those that it shows.
    stage_s:        seconds in each stage; time_s: seconds of the whole call.
    rejected:       how often each code of ``Rejected`` was given; dropped: frames skipped before this one.
    reasons:        the first sentence that was given with each code of ``rejected``; older runs have none.
    unmatched:      which of the estimates belong to no label of their object, None where the frame's labels do not say.
    """

    scene: str
    frame: str
    stamp_ns: int
    T_fixed_camera: Array | None
    stage_s: Mapping[str, float]
    time_s: float
    rejected: Mapping[str, int] = field(default_factory=dict)
    dropped: int = 0
    estimates: tuple[EstimateRecord, ...] = ()
    tracks: tuple[TrackRecord, ...] = ()
    unmatched: tuple[int, ...] | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        scene: str,
        frame: str,
        stamp_ns: int,
        T_fixed_camera: Array | None,
        result: Result,
        time_s: float,
        dropped: int = 0,
    ) -> FrameRecord:
        """The record of one call of ``Pipeline.estimate``."""
        rejected: dict[str, int] = {}
        reasons: dict[str, str] = {}
        for refusal in result.rejected:
            rejected[refusal.code] = rejected.get(refusal.code, 0) + 1
            reasons.setdefault(refusal.code, refusal.reason)
        estimates = tuple(
            EstimateRecord(e.object_name, e.T_camera_object, e.score, e.covariance, e.alternatives)
            for e in result.estimates
        )
        stages = dict(result.stage_s)
        return cls(
            scene, frame, stamp_ns, T_fixed_camera, stages, time_s, rejected, dropped, estimates, reasons=reasons
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "scene": self.scene,
            "frame": self.frame,
            "stamp_ns": int(self.stamp_ns),
            "T_fixed_camera": None if self.T_fixed_camera is None else _flat(self.T_fixed_camera),
            "stage_s": {stage: _number(seconds) for stage, seconds in self.stage_s.items()},
            "time_s": _number(self.time_s),
            "rejected": {code: int(count) for code, count in self.rejected.items()},
            "dropped": int(self.dropped),
            "estimates": [e.to_json() for e in self.estimates],
            "tracks": [t.to_json() for t in self.tracks],
            "reasons": dict(self.reasons),
            "unmatched": None if self.unmatched is None else [int(i) for i in self.unmatched],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> FrameRecord:
        T, unmatched = values["T_fixed_camera"], values.get("unmatched")
        return cls(
            str(values["scene"]),
            str(values["frame"]),
            int(values["stamp_ns"]),
            None if T is None else _square(T, 4),
            {str(stage): float(seconds) for stage, seconds in values["stage_s"].items()},
            float(values["time_s"]),
            {str(code): int(count) for code, count in values["rejected"].items()},
            int(values["dropped"]),
            tuple(EstimateRecord.from_json(e) for e in values["estimates"]),
            tuple(TrackRecord.from_json(t) for t in values.get("tracks", ())),
            None if unmatched is None else tuple(int(i) for i in unmatched),
            {str(code): str(reason) for code, reason in values.get("reasons", {}).items()},
        )


@dataclass(frozen=True)
class Refusal:
    """How often a run refused something for one reason: the code of ``Rejected``, and the first sentence given with it."""

    code: str
    count: int
    reason: str

    def __str__(self) -> str:
        times = "once" if self.count == 1 else f"{self.count} times"
        return f"{times} {self.code}{f': {self.reason}' if self.reason else ''}"


def refusals(frames: Iterable[FrameRecord]) -> tuple[Refusal, ...]:
    """Why frames, or what was found in them, were refused; the most frequent reason first."""
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for frame in frames:
        counts.update(frame.rejected)
        for code, reason in frame.reasons.items():
            first.setdefault(code, reason)
    return tuple(Refusal(code, count, first.get(code, "")) for code, count in counts.most_common())


@dataclass(frozen=True, eq=False)
class Errors:
    """How far one estimate is from its label; ``None`` where it was not worked out.

    vsd:            at each tau of ``metrics.VSD_TAUS``, in [0, 1].
    mssd_rel, add_rel, adds_rel, add_s_rel: over the object's diameter; add_s is ADD-S where a symmetry is declared, else ADD.
    mspd_px:        pixels, as BOP scales them: to an image 640 pixels wide.
    rotation_deg, translation_mm: up to symmetry.
    """

    vsd: tuple[float, ...] | None = None
    mssd_rel: float | None = None
    mspd_px: float | None = None
    add_rel: float | None = None
    adds_rel: float | None = None
    add_s_rel: float | None = None
    rotation_deg: float | None = None
    translation_mm: float | None = None

    def to_json(self) -> dict[str, Any]:
        values = {name: _number(getattr(self, name)) for name in self.__dataclass_fields__ if name != "vsd"}
        return {"vsd": None if self.vsd is None else [_number(v) for v in self.vsd], **values}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Errors:
        vsd = values["vsd"]
        others = {name: values[name] for name in cls.__dataclass_fields__ if name != "vsd"}
        return cls(None if vsd is None else tuple(float(v) for v in vsd), **others)


@dataclass(frozen=True, eq=False)
class LabelRecord:
    """One ground-truth instance and the estimate that was matched with it.

    visible_share: of its silhouette, in [0, 1]; None where unknown.
    estimate:      index into its frame's estimates, None where there is none; score: that estimate's.
    recall:        {"vsd", "mssd", "mspd": share of BOP's thresholds at which it is found}, see ``match.Match``; empty where the
                   frame could not be used at all.
    """

    scene: str
    frame: str
    object_name: str
    instance: int
    T_camera_object: Array
    visible_share: float | None = None
    estimate: int | None = None
    score: float | None = None
    errors: Errors = field(default_factory=Errors)
    recall: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "scene": self.scene,
            "frame": self.frame,
            "object": self.object_name,
            "instance": int(self.instance),
            "T_camera_object": _flat(self.T_camera_object),
            "visible_share": _number(self.visible_share),
            "estimate": self.estimate,
            "score": _number(self.score),
            "errors": self.errors.to_json(),
            "recall": dict(self.recall),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> LabelRecord:
        return cls(
            str(values["scene"]),
            str(values["frame"]),
            str(values["object"]),
            int(values["instance"]),
            _square(values["T_camera_object"], 4),
            values["visible_share"],
            values["estimate"],
            values["score"],
            Errors.from_json(values["errors"]),
            values.get("recall", {}),
        )


@dataclass(frozen=True, eq=False)
class SightingRecord:
    """One estimate of a run without labels, as a sighting of an instance that goes on from frame to frame.

    instance: its number among those of the object in the scene. values: what the sighting adds to the figures that are means
    over sightings, by their keys in ``unlabelled.UNLABELLED``.
    """

    scene: str
    frame: str
    object_name: str
    instance: int
    values: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        return {
            "scene": self.scene,
            "frame": self.frame,
            "object": self.object_name,
            "instance": int(self.instance),
            "values": {key: _number(value) for key, value in self.values.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SightingRecord:
        numbers = {str(key): float(value) for key, value in values["values"].items()}
        return cls(str(values["scene"]), str(values["frame"]), str(values["object"]), int(values["instance"]), numbers)


@dataclass(frozen=True, eq=False)
class RunInfo:
    """What was run.

    objects: {name: {"diameter_m", "bop_id"}}. whose: "set" where errors are those of the data set's models and symmetries,
    "depth" where they are up to what depth cannot tell, "card" where models and symmetries are our own, "" without labels.
    refused: what the run refused and why, known when it ends.
    complete: whether every instance in a labelled frame has its label, so that an estimate without one is a false alarm.
    notes: sentences on what could not be had.
    """

    source: str
    kind: Kind
    objects: Mapping[str, Mapping[str, Any]]
    crops: str
    config: Mapping[str, Any]
    version: str
    provider: str
    whose: str = ""
    notes: tuple[str, ...] = ()
    complete: bool = True
    refused: tuple[Refusal, ...] = ()

    @property
    def tells_alarms(self) -> bool:
        """Whether false alarms can be counted: not where a mask says what is there, nor where labels are missing."""
        return self.complete and self.crops == "none"

    def to_json(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**values, "notes": list(self.notes), "refused": [asdict(refusal) for refusal in self.refused]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RunInfo:
        newer = ("notes", "complete", "refused")  # which older runs do not have
        known = {name: values[name] for name in cls.__dataclass_fields__ if name not in newer}
        refused = tuple(Refusal(**entry) for entry in values.get("refused", ()))
        return cls(
            **known, notes=tuple(values.get("notes", ())), complete=values.get("complete", True), refused=refused
        )


@dataclass(frozen=True, eq=False)
class Run:
    """A run folder, read. ``summary`` is empty where the run was cut short."""

    folder: Path
    info: RunInfo
    frames: tuple[FrameRecord, ...]
    labels: tuple[LabelRecord, ...]
    summary: Mapping[str, Any]
    sightings: tuple[SightingRecord, ...] = ()


class RunWriter:
    """Appends to a run folder; a context manager. What an earlier run left in it is set aside.

    Raises InputError when the folder cannot be made or written.
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
        """Write ``run.json`` anew, for example with the notes that came up on the way."""
        write_info(self.folder, info)

    def frame(self, record: FrameRecord) -> None:
        _line(self._frames, record.to_json())
        self.frames += 1

    def label(self, record: LabelRecord) -> None:
        if self._labels is None:
            self._labels = (self.folder / LABELS).open("w", encoding="utf-8")
        _line(self._labels, record.to_json())
        self.labels += 1

    def sighting(self, record: SightingRecord) -> None:
        if self._sightings is None:
            self._sightings = (self.folder / SIGHTINGS).open("w", encoding="utf-8")
        _line(self._sightings, record.to_json())

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
    """Read a run folder. A last line that was cut off is left out.

    Raises InputError when the folder holds no run, or a record that no run writes.
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
            f"{folder}: found a record that does not read ({type(error).__name__}: {error}), "
            "expected the files of pose_node evaluate."
        ) from None
    return Run(folder, info, frames, labels, summary, sightings)


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    # Whole lines end in a newline: what follows the last one was being written when the run was killed.
    return [json.loads(line) for line in lines[:-1] if line]


def _line(file: Any, values: Mapping[str, Any]) -> None:
    file.write(json.dumps(values, allow_nan=False) + "\n")
    file.flush()


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _flat(matrix: Array) -> list[float]:
    return [float(value) for value in np.asarray(matrix, dtype=np.float64).ravel()]


def _square(values: Any, side: int) -> Array:
    return np.array(values, dtype=np.float64).reshape(side, side)


def _number(value: float | None) -> float | None:
    """A number as JSON has it: infinity (an estimate behind the camera) and NaN are no number there."""
    return None if value is None or not math.isfinite(value) else float(value)
