"""Which topics of a recording hold the measurement: found from their types and first messages, or named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pose_node.compressed_depth import is_compressed_depth
from pose_node.errors import InputError
from pose_node.evaluation.recordings import TF_TYPES, Recording

POINTS = "sensor_msgs/msg/PointCloud2"
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
INFO = "sensor_msgs/msg/CameraInfo"
ROLES = {"depth": (IMAGE, COMPRESSED), "info": (INFO,), "points": (POINTS,), "mask": (IMAGE,)}
_DEPTH_ENCODINGS = ("16UC1", "32FC1")


@dataclass(frozen=True)
class Topics:
    """depth with info, or points; mask where one is used; tf: every topic of transforms. camera_frame: the measurement's."""

    camera_frame: str
    depth: str | None = None
    info: str | None = None
    points: str | None = None
    mask: str | None = None
    tf: tuple[str, ...] = ()

    @property
    def measurement(self) -> str:
        """The topic whose messages become frames."""
        return str(self.depth or self.points)

    def all(self) -> list[str]:
        """Every topic to read."""
        return [t for t in (self.depth, self.info, self.points, self.mask, *self.tf) if t]


def find_topics(recording: Recording, named: Mapping[str, str], notes: list[str]) -> Topics:
    """Choose; ``named`` is {role of ROLES: topic} and decides where it speaks. Choices among several go to ``notes``.

    A depth image with its camera info goes before a point cloud, a raw image before a packed one. An image is a mask when
    its topic has "mask" in its name. Raises InputError when a name does not fit, or nothing is left to measure with.
    """
    for role, topic in named.items():
        _check(recording, role, topic)
    tf = tuple(sorted(t for t, kind in recording.topics.items() if kind in TF_TYPES))
    mask = named.get("mask") or _one("mask", [t for t in _of(recording, IMAGE) if "mask" in t.lower()], notes)
    depth, points = named.get("depth"), named.get("points")
    if depth and points:
        raise InputError(f"topics: found both depth {depth} and points {points} named, expected one of them.")
    missing = ""
    if not points:
        candidates = [depth] if depth else _depth_topics(recording, mask)
        infos = {t: named.get("info") or _info_for(recording, t) for t in candidates}
        seeing = [t for t in candidates if infos[t]]
        if seeing:
            best = _one("depth", seeing, notes)
            return Topics(_frame_of(recording, best), depth=best, info=infos[best], mask=mask, tf=tf)
        if candidates:
            missing = f"depth on {', '.join(candidates)} without camera info"
        if depth:
            raise InputError(f"{recording.path}: found {missing}, expected a CameraInfo topic of its frame.")
    clouds = [points] if points else _of(recording, POINTS)
    if clouds:
        if missing:
            notes.append(f"topics: found {missing}; the point cloud serves.")
        best = _one("points", clouds, notes)
        return Topics(_frame_of(recording, best), points=best, mask=mask, tf=tf)
    found = missing or ", ".join(f"{t} ({kind})" for t, kind in sorted(recording.topics.items())) or "no topic"
    lost = f" ({recording.notes[0].rstrip('.')})" if recording.notes else ""
    raise InputError(
        f"{recording.path}: found {found}, expected a PointCloud2, or a depth Image with its CameraInfo{lost}."
    )


def _of(recording: Recording, *kinds: str) -> list[str]:
    """Topics of these types that hold messages."""
    return sorted(t for t, kind in recording.topics.items() if kind in kinds and recording.counts[t])


def _check(recording: Recording, role: str, topic: str) -> None:
    if role not in ROLES:
        raise InputError(f"topic {topic}: found role {role!r}, expected one of {', '.join(ROLES)}.")
    kind = recording.topics.get(topic)
    if kind not in ROLES[role] or not recording.counts[topic]:
        fitting = ", ".join(_of(recording, *ROLES[role])) or "none"
        found = f"{recording.counts[topic]} messages of type {kind}" if kind else "no such topic"
        raise InputError(f"topic {topic}: found {found}, expected one that can be {role} (here: {fitting}).")


def _depth_topics(recording: Recording, mask: str | None) -> list[str]:
    """Images whose first message has a depth encoding: raw before packed, rectified before raw."""
    found = []
    for topic in _of(recording, IMAGE, COMPRESSED):
        first = recording.first(topic)
        if first is None or topic == mask:
            continue
        packed = recording.topics[topic] == COMPRESSED
        if is_compressed_depth(first) if packed else first.encoding in _DEPTH_ENCODINGS:
            found.append((packed, "rect" not in topic, topic))
    return [topic for *_, topic in sorted(found)]


def _info_for(recording: Recording, depth: str) -> str | None:
    """The CameraInfo beside a depth topic, else one of its frame."""
    infos = _of(recording, INFO)
    folder = depth
    while folder := folder.rpartition("/")[0]:
        if f"{folder}/camera_info" in infos:
            return f"{folder}/camera_info"
    frame = _frame_of(recording, depth)
    return next((t for t in infos if _frame_of(recording, t) == frame), None)


def _frame_of(recording: Recording, topic: str) -> str:
    first: Any = recording.first(topic)
    return "" if first is None else str(first.header.frame_id)


def _one(role: str, topics: list[str], notes: list[str]) -> Any:
    """The first, said aloud where there was a choice; None of none."""
    if len(topics) > 1:
        notes.append(f"topics: found {', '.join(topics)} for {role}; took {topics[0]}, others can be named.")
    return topics[0] if topics else None
