"""The records of an evaluation: frames with their estimates and tracks, labels with their errors, sightings.

Each record converts itself to and from JSON. That is written by hand, as the keys are fixed by older run folders: matrices
are flat lists, numbers that JSON lacks become null, and keys that older runs do not have get a default.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pose_node.arrays import Array
from pose_node.types import Result, Track, track_name


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
    """One track after a frame, as ``types.Track``. seen: whether it was observed in the frame."""

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
        # Older runs have no score, and one text "told": the note where the track was observed, else the reason.
        note_or_reason = str(values.get("told", ""))
        return cls(
            int(values["track"]),
            str(values["object"]),
            str(values["state"]),
            _square(values["T_fixed_object"], 4),
            _square(values["covariance"], 6),
            seen,
            values.get("score"),
            str(values.get("reason", "" if seen else note_or_reason)),
            str(values.get("note", note_or_reason if seen else "")),
        )


@dataclass(frozen=True, eq=False)
class FrameRecord:
    """The output of the pipeline for one frame.

    T_fixed_camera: [4, 4] camera pose in the fixed frame, None where it was not recorded.
    tracks:         after the frame, where objects are tracked; ``estimates`` are then those of the published tracks.
    stage_s:        seconds in each stage; time_s: seconds of the whole call.
    rejected:       how often each code of ``Rejected`` occurred; dropped: frames skipped before this one.
    reasons:        the first reason given with each code of ``rejected``; older runs have none.
    unmatched:      indices of the estimates that match no label of their object, None where the labels are incomplete.
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
    """How often a code of ``Rejected`` occurred in a run, and the first reason given with it."""

    code: str
    count: int
    reason: str

    def __str__(self) -> str:
        times = "once" if self.count == 1 else f"{self.count} times"
        return f"{times} {self.code}{f': {self.reason}' if self.reason else ''}"


def refusals(frames: Iterable[FrameRecord]) -> tuple[Refusal, ...]:
    """Why frames or hypotheses were refused, the most frequent code first."""
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for frame in frames:
        counts.update(frame.rejected)
        for code, reason in frame.reasons.items():
            first.setdefault(code, reason)
    return tuple(Refusal(code, count, first.get(code, "")) for code, count in counts.most_common())


@dataclass(frozen=True, eq=False)
class Errors:
    """Errors of one estimate against its label; None where not computed.

    vsd: at each tau of ``metrics.VSD_TAUS``, in [0, 1].
    mssd_rel, add_rel, adds_rel, add_s_rel: relative to the diameter; add_s is ADD-S where a symmetry is declared, else ADD.
    mspd_px: pixels, scaled to an image 640 pixels wide as BOP does.
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
    estimate:      index into its frame's estimates, None without a match; score: that estimate's.
    recall:        {"vsd", "mssd", "mspd": share of BOP's thresholds at which it is found}, see ``label_matching.Match``; empty
                   where the frame was refused.
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
    """One estimate of a run without labels, assigned to an instance that persists from frame to frame.

    instance: its number among the object's instances in the scene. values: the sighting's contribution to each figure that is
    a mean over sightings, by its key in ``consistency.CONSISTENCY``.
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


def _flat(matrix: Array) -> list[float]:
    return [float(value) for value in np.asarray(matrix, dtype=np.float64).ravel()]


def _square(values: Any, side: int) -> Array:
    return np.array(values, dtype=np.float64).reshape(side, side)


def _number(value: float | None) -> float | None:
    """None for infinity (an estimate behind the camera) and NaN, which JSON does not have."""
    return None if value is None or not math.isfinite(value) else float(value)
