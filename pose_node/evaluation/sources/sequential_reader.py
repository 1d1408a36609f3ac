"""The messages of truncated recordings: a full disk, a killed recorder, an incomplete copy.

rosbags, like other readers, needs the index at a file's end. Here a file is read record by record from its beginning, up to
the last complete message, also inside a compressed chunk. That is written by hand: the mcap package reads mcap without its
index, but no incomplete chunk, and for ROS 1 and SQLite there is no such library at all. Layouts: mcap.dev/spec,
wiki.ros.org/Bags/Format/2.0, and the tables of rosbag2_storage_sqlite3 (sqlite.org/fileformat2.html).
"""

from __future__ import annotations

import bz2
import io
import shutil
import sqlite3
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, NamedTuple

import lz4.frame

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_MCAP_MAGIC = b"\x89MCAP0\r\n"
_ROS1_MAGIC = b"#ROSBAG V2.0\n"
_SQLITE_MAGIC = b"SQLite format 3\0"
_MCAP_SCHEMA, _MCAP_CHANNEL, _MCAP_MESSAGE, _MCAP_CHUNK = 3, 4, 5, 6
_ROS1_MESSAGE, _ROS1_CHUNK, _ROS1_CONNECTION = 2, 5, 7
_BLOCK = 1 << 20  # bytes


class Raw(NamedTuple):
    """A serialised message; ``msgtype`` in the notation of ROS 2, ``logged_ns`` the time of recording.

    encoding: of ``data``: "cdr" for ROS 2, "ros1" for ROS 1; mcap files may have others, such as protobuf or json.
    """

    topic: str
    msgtype: str
    logged_ns: int
    data: bytes
    encoding: str = "cdr"


def mcap_messages(path: Path) -> Iterator[Raw]:
    """Every complete message of an mcap file, in the file's order."""
    with path.open("rb") as file:
        if file.read(len(_MCAP_MAGIC)) == _MCAP_MAGIC:
            yield from _mcap_records(file, {}, {})


def ros1_messages(path: Path) -> Iterator[Raw]:
    """Every complete message of a ROS 1 bag of version 2.0, in the file's order."""
    with path.open("rb") as file:
        if file.read(len(_ROS1_MAGIC)) == _ROS1_MAGIC:
            yield from _ros1_records(file, {})


def sqlite_missing(path: Path) -> int:
    """How many of the bytes that its header states a sqlite3 file lacks; 0 without such a header.

    SQLite itself pads an incomplete page with zeros: part of an image would silently become 0.
    """
    with path.open("rb") as file:
        header = file.read(100)
    if not header.startswith(_SQLITE_MAGIC) or len(header) < 100:
        return 0
    page, pages = _page_size(header), int.from_bytes(header[28:32], "big")
    return max(0, page * pages - path.stat().st_size)


def sqlite_messages(path: Path) -> Iterator[Raw]:
    """Every readable message of a sqlite3 storage, in the order of recording."""
    missing, log = sqlite_missing(path), sqlite_log(path)
    if not missing and not log:
        yield from _sqlite_rows(path, "immutable=1")
        return
    with TemporaryDirectory() as folder:  # of a copy, to truncate it to complete pages, or to apply the log
        copy = Path(folder) / path.name
        shutil.copyfile(path, copy)
        if log:
            shutil.copyfile(log, _log_of(copy))
        else:
            with copy.open("r+b") as file:
                page = _page_size(file.read(100))
                file.truncate(path.stat().st_size // page * page)
        yield from _sqlite_rows(copy, "mode=rw")


def sqlite_log(path: Path) -> Path | None:
    """The write-ahead log of a storage that was not closed; None without one, or if it is empty."""
    log = _log_of(path)
    return log if log.is_file() and log.stat().st_size else None


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _page_size(header: bytes) -> int:
    size = int.from_bytes(header[16:18], "big")
    return 65536 if size == 1 else max(size, 512)


def _sqlite_rows(path: Path, parameters: str) -> Iterator[Raw]:
    """parameters: of the URI with which SQLite opens the file."""
    database = sqlite3.connect(f"{path.resolve().as_uri()}?{parameters}", uri=True)
    try:
        database.execute(
            "PRAGMA writable_schema=ON"
        )  # else SQLite refuses a file that is shorter than its header states
        topics = {key: (name, kind) for key, name, kind in database.execute("SELECT id, name, type FROM topics")}
        for key, logged_ns, data in database.execute("SELECT topic_id, timestamp, data FROM messages"):
            if key in topics and isinstance(data, bytes):
                yield Raw(*topics[key], logged_ns, data)
    except sqlite3.Error:
        pass  # the end of the readable pages
    finally:
        database.close()


def decompress(path: Path, folder: Path) -> Path:
    """Decompress a .zstd storage file into ``folder``, as far as it is readable; returns the path of the written file."""
    target = folder / path.stem
    decompressor = zstd.ZstdDecompressor()
    with path.open("rb") as compressed, target.open("wb") as plain:
        while not decompressor.eof and (block := compressed.read(_BLOCK)):
            try:
                plain.write(decompressor.decompress(block))
            except zstd.ZstdError:
                break
    return target


def _mcap_records(file: BinaryIO, names: dict[int, str], channels: dict[int, tuple[str, str, str]]) -> Iterator[Raw]:
    """names: of schemas by id; channels: (topic, schema name, encoding) by id. Chunks share them with the file."""
    while len(head := file.read(9)) == 9:
        kind, size = struct.unpack("<BQ", head)
        body = file.read(min(size, _left(file)))
        try:
            if kind == _MCAP_CHUNK:
                yield from _mcap_records(io.BytesIO(_mcap_chunk(body)), names, channels)
            elif len(body) < size:
                return
            elif kind == _MCAP_SCHEMA:
                names[struct.unpack_from("<H", body)[0]] = _text(body, 2)
            elif kind == _MCAP_CHANNEL:
                channel, schema = struct.unpack_from("<HH", body)
                topic, name = _text(body, 4), names.get(schema, "")
                encoding = _text(body, 4 + 4 + len(topic.encode()))
                channels[channel] = (topic, _ros2_type(name) if encoding == "ros1" else name, encoding)
            elif kind == _MCAP_MESSAGE:
                channel, _, logged_ns = struct.unpack_from("<HIQ", body)
                if channel in channels:
                    topic, name, encoding = channels[channel]
                    yield Raw(topic, name, logged_ns, body[22:], encoding)
        except (struct.error, UnicodeDecodeError):
            return


def _mcap_chunk(body: bytes) -> bytes:
    """The readable records of a chunk, whose fields are start, end, size, checksum, compression, length, records."""
    compression = _text(body, 28)
    return _plain(body[28 + 4 + len(compression) + 8 :], compression)


def _ros1_records(file: BinaryIO, connections: dict[int, tuple[str, str]]) -> Iterator[Raw]:
    """connections: (topic, type) by number. A chunk whose size was never written is followed by its plain records."""
    while True:
        header, data = _length_prefixed(file), _length_prefixed(file, complete=False)
        if header is None or data is None:
            return
        body, is_complete = data
        try:
            fields = _ros1_fields(header[0])
            kind = fields["op"][0]
            if kind == _ROS1_CHUNK:
                yield from _ros1_records(io.BytesIO(_plain(body, fields["compression"].decode())), connections)
            elif not is_complete:
                return
            elif kind == _ROS1_CONNECTION:
                about = _ros1_fields(body)
                (number,) = struct.unpack("<I", fields["conn"])
                connections[number] = (fields["topic"].decode(), _ros2_type(about["type"].decode()))
            elif kind == _ROS1_MESSAGE:
                (number,) = struct.unpack("<I", fields["conn"])
                seconds, nanoseconds = struct.unpack("<II", fields["time"])
                if number in connections:
                    yield Raw(*connections[number], seconds * 1_000_000_000 + nanoseconds, body, "ros1")
        except (KeyError, IndexError, struct.error, UnicodeDecodeError):
            return


def _ros1_fields(header: bytes) -> dict[str, bytes]:
    """name=value pairs, each preceded by its length."""
    fields, at = {}, 0
    while at < len(header):
        (size,) = struct.unpack_from("<I", header, at)
        name, _, value = header[at + 4 : at + 4 + size].partition(b"=")
        fields[name.decode()] = value
        at += 4 + size
    return fields


def _ros2_type(name: str) -> str:
    """sensor_msgs/Image -> sensor_msgs/msg/Image."""
    package, _, kind = name.partition("/")
    return f"{package}/msg/{kind}"


def _plain(data: bytes, compression: str) -> bytes:
    """The data of a chunk, decompressed as far as it is readable."""
    decompressors = {"bz2": bz2.BZ2Decompressor, "lz4": lz4.frame.LZ4FrameDecompressor, "zstd": zstd.ZstdDecompressor}
    if compression not in decompressors:
        return data if compression in ("", "none") else b""
    decompressor, found = decompressors[compression](), []
    try:
        for at in range(0, len(data), 4096):  # in blocks, so that an invalid byte loses only what follows it
            found.append(decompressor.decompress(data[at : at + 4096]))
    except (OSError, EOFError, RuntimeError, zstd.ZstdError):
        pass  # the rest is lost
    return b"".join(found)


def _length_prefixed(file: BinaryIO, complete: bool = True) -> tuple[bytes, bool] | None:
    """A field preceded by its length, and whether it is complete; None at the end, and for an incomplete one if ``complete``."""
    if len(head := file.read(4)) < 4:
        return None
    (size,) = struct.unpack("<I", head)
    data = file.read(min(size, _left(file)))
    return None if complete and len(data) < size else (data, len(data) == size)


def _text(body: bytes, at: int) -> str:
    (size,) = struct.unpack_from("<I", body, at)
    return body[at + 4 : at + 4 + size].decode()


def _left(file: BinaryIO) -> int:
    here = file.tell()
    end = file.seek(0, io.SEEK_END)
    file.seek(here)
    return end - here
