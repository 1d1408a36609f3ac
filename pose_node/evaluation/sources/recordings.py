"""Recordings of ROS 1 and ROS 2 as one stream of messages, for every storage format, also where a recording is truncated.

rosbags reads complete files, ``sequential_reader`` the others. ``Recording.notes`` has a sentence for all that is lost.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, NamedTuple

from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from pose_node.errors import InputError
from pose_node.evaluation.sources import sequential_reader
from pose_node.evaluation.sources.sequential_reader import Raw

_STORAGE: dict[str, Callable[[Path], Iterator[Raw]]] = {
    ".mcap": sequential_reader.mcap_messages,
    ".db3": sequential_reader.sqlite_messages,
    ".bag": sequential_reader.ros1_messages,
    ".active": sequential_reader.ros1_messages,  # what a ROS 1 recorder writes until it is closed
}
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"  # no message begins with it: the first two bytes of CDR are its byte order
_MAX_NOTES = 20
_MAX_LISTED = 10  # names in one sentence
TF_TYPES = ("tf2_msgs/msg/TFMessage", "tf/msg/tfMessage")


class Message(NamedTuple):
    """A message with its topic, its type in the notation of ROS 2, and its time of recording."""

    topic: str
    msgtype: str
    logged_ns: int
    message: Any


class _Part(NamedTuple):
    """A file, or a complete folder: the number of messages of each (topic, type), and a function that reads some topics."""

    counts: Counter[tuple[str, str]]
    read: Callable[[Collection[str]], Iterator[Raw]]
    name: str


class Recording:
    """An opened recording; a context manager.

    topics: {topic: type}; counts: {topic: number of messages}; notes: a sentence for each loss and assumption.
    Raises InputError when there is no recording at the path.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.notes: list[str] = []
        self._stack = ExitStack()
        self._first: dict[str, Any] = {}
        ros1, self._ros2 = get_typestore(Stores.ROS1_NOETIC), get_typestore(Stores.LATEST)
        for msgtype in TF_TYPES:  # rosbags has none for ROS 1
            ros1.register(get_types_from_msg("geometry_msgs/TransformStamped[] transforms", msgtype))
        self._deserialize: dict[str, Callable[[bytes, str], Any]] = {
            "cdr": self._ros2.deserialize_cdr,
            "ros1": ros1.deserialize_ros1,
        }
        try:
            self._parts = list(self._open())
        except BaseException:
            self._stack.close()
            raise
        self.topics: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        for part in self._parts:
            for (topic, msgtype), count in part.counts.items():
                if self.topics.setdefault(topic, msgtype) != msgtype:
                    self._note(f"{topic}: found also type {msgtype}, took {self.topics[topic]}.")
                self.counts[topic] += count

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        """The messages of ``topics`` in the order of recording. Those that cannot be deserialised are left out, with a note."""
        refused: Counter[str] = Counter()
        first: dict[str, str] = {}
        for part in self._parts:
            for raw in self._until_broken(part, [t for t in topics if t in self.topics]):
                if raw.msgtype != self.topics[raw.topic]:
                    continue
                try:
                    data = raw.data
                    if data.startswith(_ZSTD_MAGIC) and raw.encoding == "cdr":
                        data = sequential_reader.zstd.decompress(data)
                    message = self._deserialize[raw.encoding](data, raw.msgtype)
                except Exception as error:  # rosbags raises many types for invalid bytes
                    refused[raw.topic] += 1
                    first.setdefault(raw.topic, f"{type(error).__name__}: {error}")
                    continue
                yield Message(raw.topic, raw.msgtype, raw.logged_ns, message)
        for topic, count in refused.items():
            self._note(f"{topic}: found {count} messages that are not a valid {self.topics[topic]} ({first[topic]}).")

    def first(self, topic: str) -> Any:
        """The first readable message of a topic, or None."""
        if topic not in self._first:
            with_notes, self.notes = self.notes, []  # losses are noted by the full reading
            found = next(self.messages([topic]), None)
            self.notes = with_notes
            self._first[topic] = None if found is None else found.message
        return self._first[topic]

    def _until_broken(self, part: _Part, topics: list[str]) -> Iterator[Raw]:
        if not topics:
            return
        read = 0
        try:
            for raw in part.read(topics):
                yield raw
                read += 1
        except Exception as error:  # as above, for a file with a damaged part
            self._note(f"{part.name}: damaged after {read} messages ({_reason(error)}); the rest is lost.")

    def _open(self) -> Iterator[_Part]:
        if not self.path.exists():
            raise InputError(
                f"{self.path}: no such file or folder, expected a recording (.mcap, .db3, .bag or a folder)."
            )
        if self.path.is_dir():
            if (self.path / "metadata.yaml").is_file():
                try:
                    yield self._indexed(self.path)
                    return
                except Exception as error:  # see _file
                    self._note(f"{self.path.name}: found {_reason(error)}; its files were read one by one.")
            files = sorted((p for p in self.path.iterdir() if _storage(p)), key=_natural)
            if not files:
                raise InputError(f"{self.path}: found no .mcap, .db3 or .bag file in the folder, expected a recording.")
            for file in files:
                yield self._file(file)
        elif _storage(self.path):
            yield self._file(self.path)
        else:
            raise InputError(f"{self.path}: found suffix {self.path.suffix!r}, expected .mcap, .db3 or .bag.")

    def _file(self, path: Path) -> _Part:
        name, suffix = path.name, _storage(path)
        if path.suffix == ".zstd":
            path = sequential_reader.decompress(path, Path(self._stack.enter_context(TemporaryDirectory())))
        try:
            return self._indexed(path)
        except Exception as error:  # rosbags raises many types for a truncated file, few of them its own
            reason = _reason(error)
        read = _STORAGE[suffix]
        counts: Counter[tuple[str, str]] = Counter()
        others: dict[str, str] = {}
        for raw in read(path):
            if raw.encoding in self._deserialize:
                counts[raw.topic, raw.msgtype] += 1
            else:
                others.setdefault(raw.topic, f"{raw.topic} ({raw.encoding} of {raw.msgtype or 'no schema'})")
        if others:
            foreign = (
                f"{name}: found messages that are not of ROS on {listed(others.values())}, expected the encoding cdr (ROS 2) or "
                "ros1: convert them, or record the ROS topics."
            )
            if not counts:
                raise InputError(foreign)
            self._note(foreign)
        self._note(f"{name}: found {reason}; its {sum(counts.values())} complete messages were read one by one.")

        def some(topics: Collection[str]) -> Iterator[Raw]:
            return (raw for raw in read(path) if raw.topic in topics and raw.encoding in self._deserialize)

        return _Part(counts, some, name)

    def _indexed(self, path: Path) -> _Part:
        """A file or folder with an index, read by rosbags; raises any exception for others."""
        for file in path.glob("*.db3") if path.is_dir() else [path]:
            if file.suffix == ".db3" and (missing := sequential_reader.sqlite_missing(file)):
                raise InputError(f"a file that lacks {missing} of the bytes that its header states")
            if file.suffix == ".db3" and sequential_reader.sqlite_log(file):
                raise InputError("a write-ahead log beside it, as a killed recorder leaves it")
        reader = AnyReader([path], default_typestore=self._ros2)
        reader.open()
        self._stack.callback(reader.close)
        if any(getattr(c.ext, "serialization_format", "cdr") != "cdr" for c in reader.connections):
            raise InputError("messages of another encoding than cdr")

        def some(topics: Collection[str]) -> Iterator[Raw]:
            wanted = [c for c in reader.connections if c.topic in topics]
            encoding = "cdr" if reader.is2 else "ros1"
            if wanted:  # an empty list would select all
                for connection, logged_ns, data in reader.messages(wanted):
                    yield Raw(connection.topic, connection.msgtype, logged_ns, bytes(data), encoding)

        counts: Counter[tuple[str, str]] = Counter()
        for connection in reader.connections:
            counts[connection.topic, connection.msgtype] += connection.msgcount
        return _Part(counts, some, path.name)

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes and len(self.notes) < _MAX_NOTES:
            self.notes.append(sentence)


def listed(names: Iterable[str]) -> str:
    """Names for one sentence, shortened where there are many."""
    names = list(names)
    more = len(names) - _MAX_LISTED
    return ", ".join(names[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def is_recording(path: Path) -> bool:
    """Whether a file, or a file in a folder, has the suffix of a recording, complete or not."""
    return bool(_storage(path)) or (path.is_dir() and any(_storage(p) for p in path.iterdir()))


def _storage(path: Path) -> str:
    """The suffix of a file's storage format, empty if it is none."""
    suffix = Path(path.stem).suffix if path.suffix == ".zstd" else path.suffix
    return suffix if suffix in _STORAGE and path.is_file() else ""


def _natural(path: Path) -> list[Any]:
    """bag_2 before bag_10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]


def _reason(error: Exception) -> str:
    """An error's message in one line."""
    message = " ".join(str(error).split()).rstrip(".")
    return message or type(error).__name__
