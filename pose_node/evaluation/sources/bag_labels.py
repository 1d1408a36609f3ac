"""Ground truth in a recording: geometry_msgs/PoseStamped on topics that end in ``labels/<object>/pose``.

``<object>`` is an object's name, its BOP id or its mask value; ``labels/<object>/<number>/pose`` are several instances.
A label has the stamp of its measurement, and its pose is in the measurement's frame or in one that /tf connects to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.evaluation.sources.recordings import Recording
from pose_node.messages import convert
from pose_node.messages.transforms import TransformTree

_TYPE = "geometry_msgs/msg/PoseStamped"
_TOPIC = re.compile(r"(?:^|/)labels/([^/]+)(?:/(\d+))?/pose$")


class BagLabel(NamedTuple):
    """One instance of ground truth: T_camera_object [4, 4] in the measurement's frame."""

    object_name: str
    instance: int
    T_camera_object: Array


def label_topics(recording: Recording, names: Mapping[str, str], notes: list[str]) -> dict[str, tuple[str, int]]:
    """{topic: (object, instance)} of the label topics; a note is added for those of objects that are not in ``names``.

    names: {word that stands for an object in a topic: object}.
    """
    found: list[tuple[str, int, str]] = []
    others: dict[str, int] = {}
    for topic, kind in sorted(recording.topics.items()):
        match = _TOPIC.search(topic)
        if kind != _TYPE or match is None or not recording.counts[topic]:
            continue
        if match[1] in names:
            found.append((names[match[1]], int(match[2] or 0), topic))
        else:
            others[match[1]] = others.get(match[1], 0) + recording.counts[topic]
    if others:
        notes.append(
            f"labels: {sum(others.values())} of {', '.join(sorted(others, key=lambda word: (len(word), word)))} left out, as these objects are not looked for."
        )
    numbers: dict[str, int] = {}
    topics = {}
    for name, _, topic in sorted(found):  # instances are numbered from 0, in the order of the topics' numbers
        topics[topic] = (name, numbers.get(name, 0))
        numbers[name] = topics[topic][1] + 1
    return topics


class BagLabels:
    """Buffers labels until their measurement is complete.

    refuse: called with a stable code and the reason for each label that cannot be used.
    """

    def __init__(self, topics: Mapping[str, tuple[str, int]], refuse: Callable[[str, str], None]) -> None:
        self._topics, self._refuse = topics, refuse
        self._pending: dict[int, dict[str, Any]] = {}

    def add(self, topic: str, message: Any) -> None:
        """Add one PoseStamped."""
        stamp_ns = convert.stamp_ns(message)
        if stamp_ns == 0 or not message.header.frame_id:
            self._refuse(
                "label_unplaced",
                f"label: found stamp {stamp_ns} and frame {message.header.frame_id!r} on {topic}, expected the "
                "measurement's stamp and a frame.",
            )
            return
        self._pending.setdefault(stamp_ns, {})[topic] = message

    def complete(self, stamp_ns: int) -> bool:
        """Whether every topic has its label of this stamp."""
        return len(self._pending.get(stamp_ns, ())) == len(self._topics)

    def take(self, stamp_ns: int, frame_id: str, tree: TransformTree) -> tuple[BagLabel, ...]:
        """Remove and return the labels of one measurement, in its frame. Those that cannot be transformed are refused."""
        found = []
        for topic, message in self._pending.pop(stamp_ns, {}).items():
            position, rotation = message.pose.position, message.pose.orientation
            source = str(message.header.frame_id)
            try:
                T = convert.rigid_motion(position, rotation, f"label on {topic}", "label_not_rigid")
                if source.lstrip("/") != frame_id.lstrip("/"):
                    T = tree.lookup(frame_id, source, stamp_ns) @ T
            except InputError as error:
                self._refuse("label_unplaced", f"label on {topic}: {error}")
                continue
            found.append(BagLabel(*self._topics[topic], T))
        return tuple(sorted(found, key=lambda label: label[:2]))

    def close(self) -> None:
        """Refuse the labels that are left."""
        for stamp_ns, messages in self._pending.items():
            for topic in messages:
                self._refuse(
                    "label_unmatched",
                    f"label: found the stamp {stamp_ns} ns on {topic}, expected that of a measurement.",
                )
        self._pending = {}
