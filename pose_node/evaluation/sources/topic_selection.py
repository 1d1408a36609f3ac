"""Which topics of a recording are depth, camera info, points and mask: by their names, types and first messages."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pose_node.errors import InputError
from pose_node.evaluation.sources.recordings import TF_TYPES, Recording, listed
from pose_node.messages import convert
from pose_node.messages.compressed_depth import is_compressed_depth

POINTS = "sensor_msgs/msg/PointCloud2"
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
INFO = "sensor_msgs/msg/CameraInfo"
ROLES = {"depth": (IMAGE, COMPRESSED), "info": (INFO,), "points": (POINTS,), "mask": (IMAGE,)}
_TRANSPORT = re.compile(r"/compressed(depth)?$", re.IGNORECASE)
_ALIGNED_TO = re.compile(r"_to_[a-z]+\d*", re.IGNORECASE)  # aligned_depth_to_color: depth, in the other camera's frame
# Other contents that drivers publish as one channel of 16 or 32 bits. The last such word of a topic's name counts.
_CONTENT = re.compile(
    r"(?P<depth>depth)|confidence|disparity|infra|amplitude|intensity|reflectivity|thermal|variance|uncertainty|semantic|instance"
    r"|segment|label|mask|radial|(?<![a-z])(?:conf|ir|nearir|lwir|gr[ae]y|noise|score|error)(?![a-z])",
    re.IGNORECASE,
)
_OTHER_CAMERA = re.compile(r"(?<![a-z])(colou?r|rgb|infra|ir(?![a-z]))", re.IGNORECASE)


@dataclass(frozen=True)
class Topics:
    """depth with info, or points; mask where one is used; tf: all topics of transforms; camera_frame: of the measurement.

    any_info: the camera info applies whatever frame it states: it was named, or it is the only candidate.
    """

    camera_frame: str
    depth: str | None = None
    info: str | None = None
    points: str | None = None
    mask: str | None = None
    tf: tuple[str, ...] = ()
    any_info: bool = False

    @property
    def measurement(self) -> str:
        """The topic whose messages become frames."""
        return str(self.depth or self.points)

    def all(self) -> list[str]:
        """All topics to read."""
        return [t for t in (self.depth, self.info, self.points, self.mask, *self.tf) if t]


def select_topics(recording: Recording, named: Mapping[str, str], notes: list[str], masked: bool = True) -> Topics:
    """Select topics. named: {role of ROLES: topic} overrides the selection. A selection among several is noted in ``notes``.

    A depth image with camera info is preferred to a point cloud; of several depth images one named depth, then one in a mask's
    frame, then one with a depth encoding, uncompressed and rectified ones first. Images named as something else (confidence,
    disparity, infrared) are no depth images. An image is a mask if its topic contains "mask". masked: whether masks can be used.
    Raises InputError when a named topic does not fit its role, or no measurement is left.
    """
    for role, topic in named.items():
        _check(recording, role, topic)
    tf = tuple(sorted(t for t, kind in recording.topics.items() if kind in TF_TYPES))
    masks = [named["mask"]] if "mask" in named else _mask_topics(recording)
    if masks and not masked:
        notes.append(f"{masks[0]}: masks were left out, as no --labels name their values.")
        masks = []
    mask_frames = {_frame_of(recording, mask) for mask in masks}
    depth, points = named.get("depth"), named.get("points")
    if depth and points:
        raise InputError(f"topics: found both depth {depth} and points {points} named, expected one of them.")
    missing = ""
    if not points:
        candidates = [depth] if depth else _depth_topics(recording, masks, mask_frames)
        infos = {t: (named["info"], True) if "info" in named else _info_for(recording, t) for t in candidates}
        usable = [t for t in candidates if infos[t][0]]
        if usable:
            best = _one("depth", usable, notes)
            frame, (info, any_info) = _frame_of(recording, best), infos[best]
            _note_other_frame(recording, info, frame, any_info, notes)
            mask = _mask_for(recording, masks, frame, notes)
            return Topics(frame, depth=best, info=info, mask=mask, tf=tf, any_info=any_info)
        if candidates:
            missing = (
                f"depth on {listed(candidates)} without camera info, expected a CameraInfo topic of its frame, or one that is named "
                f"(here {listed(_of(recording, INFO)) or 'none'})"
            )
        if depth:
            raise InputError(f"{recording.path}: found {missing}.")
    clouds = [points] if points else _in_frames(recording, _of(recording, POINTS), mask_frames)
    if clouds:
        if missing:
            notes.append(f"topics: found {missing}; took {clouds[0]}.")
        best = _one("points", clouds, notes)
        frame = _frame_of(recording, best)
        return Topics(frame, points=best, mask=_mask_for(recording, masks, frame, notes), tf=tf)
    lost = f" ({recording.notes[0].rstrip('.')})" if recording.notes else ""
    if missing:
        raise InputError(f"{recording.path}: found {missing}{lost}.")
    raise InputError(
        f"{recording.path}: found {_topics_text(recording)}, expected a PointCloud2, or a depth Image (16UC1, 32FC1, or mono16 on "
        f"a topic named depth) with its CameraInfo{lost}."
    )


def _of(recording: Recording, *kinds: str) -> list[str]:
    """Topics of these types that have messages."""
    return sorted(t for t, kind in recording.topics.items() if kind in kinds and recording.counts[t])


def _check(recording: Recording, role: str, topic: str) -> None:
    if role not in ROLES:
        raise InputError(f"topic {topic}: found role {role!r}, expected one of {', '.join(ROLES)}.")
    kind = recording.topics.get(topic)
    if kind not in ROLES[role] or not recording.counts[topic]:
        fitting = listed(_of(recording, *ROLES[role])) or "none"
        found = f"{recording.counts[topic]} messages of type {kind}" if kind else "no such topic"
        raise InputError(f"topic {topic}: found {found}, expected one that can be {role} (here: {fitting}).")


def _mask_topics(recording: Recording) -> list[str]:
    """Images named masks, first those with an encoding for labels."""
    topics = [t for t in _of(recording, IMAGE) if "mask" in t.lower()]
    return sorted(topics, key=lambda t: not convert.holds_labels(_encoding_of(recording, t)))


def _mask_for(recording: Recording, masks: Sequence[str], frame: str, notes: list[str]) -> Any:
    return _one("mask", _in_frames(recording, masks, {frame}), notes)


def _in_frames(recording: Recording, topics: Sequence[str], frames: Collection[str]) -> list[str]:
    """The topics, first those in one of these frames."""
    return sorted(topics, key=lambda t: not _is_among(_frame_of(recording, t), frames))


def _depth_topics(recording: Recording, masks: Collection[str], mask_frames: Collection[str]) -> list[str]:
    """Depth images by their names and first messages, the most likely first."""
    found = []
    for topic in _of(recording, IMAGE, COMPRESSED):
        content, compressed = _content(topic), recording.topics[topic] == COMPRESSED
        first = None if topic in masks or content == "other" else recording.first(topic)
        if first is None:
            continue
        is_named = content == "depth"
        by_transport = topic.lower().endswith("/compresseddepth")
        if (
            is_compressed_depth(first, is_named or by_transport)
            if compressed
            else convert.holds_depth(str(first.encoding), is_named)
        ):
            other_frame = not _is_among(str(first.header.frame_id), mask_frames)
            is_grey = not (compressed or convert.holds_depth(str(first.encoding), False))
            found.append((not is_named, other_frame, is_grey, compressed, "rect" not in topic, topic))
    by_name = [entry for entry in found if not entry[0]] or found
    return [topic for *_, topic in sorted(by_name)]


def _content(topic: str) -> str:
    """The content by a topic's name: "depth", "other", or "" where unknown."""
    plain = _ALIGNED_TO.sub("", _TRANSPORT.sub("", topic))
    words = [match["depth"] for match in _CONTENT.finditer(plain)]
    if not words:
        return ""
    return "depth" if words[-1] else "other"


def _info_for(recording: Recording, depth: str) -> tuple[str | None, bool]:
    """The CameraInfo of a depth topic, and whether it applies whatever frame it states.

    It does if it is in the depth topic's namespace, or the only one of the recording and not named after another camera.
    Otherwise the nearest one that states the frame of the depth image is taken.
    """
    infos, frame = _of(recording, INFO), _frame_of(recording, depth)
    folder = _TRANSPORT.sub("", depth).rpartition("/")[0]
    own = folder.removesuffix("/image")  # of the RealSense SDK: Depth_0/image/data beside Depth_0/info/camera_info
    for topic in (f"{folder}/camera_info", f"{own}/info/camera_info"):
        if topic in infos:
            return topic, True
    if len(infos) == 1 and not _OTHER_CAMERA.search(_ALIGNED_TO.sub("", infos[0])):
        return infos[0], True
    near = []
    while folder := folder.rpartition("/")[0]:
        near.append(f"{folder}/camera_info")
    ordered = [t for t in near if t in infos] + [t for t in infos if t not in near]
    stated = {t: _frame_of(recording, t) for t in ordered}
    return next((t for t in ordered if stated[t] and convert.same_frame(stated[t], frame)), None), False


def _note_other_frame(recording: Recording, info: str | None, frame: str, any_info: bool, notes: list[str]) -> None:
    stated = _frame_of(recording, info) if info and any_info else frame
    if stated.lstrip("/") != frame.lstrip("/"):
        notes.append(
            f"topics: found frame {stated!r} on the camera info {info}, expected the depth image's {frame!r}; it is used, as it is "
            "named or the only candidate."
        )


def _frame_of(recording: Recording, topic: str) -> str:
    first: Any = recording.first(topic)
    return "" if first is None else str(first.header.frame_id)


def _is_among(frame: str, frames: Iterable[str]) -> bool:
    return any(convert.same_frame(frame, other) for other in frames)


def _encoding_of(recording: Recording, topic: str) -> str:
    first: Any = recording.first(topic)
    return "" if first is None else str(getattr(first, "encoding", "") or getattr(first, "format", ""))


def _topics_text(recording: Recording) -> str:
    """The recording's topics for a sentence: images with their encodings, then camera infos and point clouds, then others."""
    images = _of(recording, IMAGE, COMPRESSED)
    described = [f"{t} (encoding {_encoding_of(recording, t)!r}{_why_not_depth(t)})" for t in images]
    others = [t for t in sorted(recording.topics) if t not in images]
    others.sort(key=lambda t: recording.topics[t] not in (INFO, POINTS))
    return listed([*described, *(f"{t} ({recording.topics[t]})" for t in others)]) or "no topic"


def _why_not_depth(image: str) -> str:
    return ", named as something else than depth" if _content(image) == "other" else ""


def _one(role: str, topics: Sequence[str], notes: list[str]) -> Any:
    """The first, with a note if there are several; None if there are none."""
    if len(topics) > 1:
        notes.append(f"topics: found {listed(topics)} for {role}; took {topics[0]}, --topics selects another.")
    return topics[0] if topics else None
