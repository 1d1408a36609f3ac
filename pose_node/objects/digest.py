"""Whether an object folder has changed since it was read."""

from __future__ import annotations

import hashlib
from pathlib import Path


def folder_digest(folder: str | Path) -> str:
    """A hash of the names and contents of the files that lie in a folder, hidden ones aside: equal as long as none has changed.

    It raises nothing: a file that cannot be read counts by its name, and a missing folder as an empty one.
    """
    digest = hashlib.sha256()
    try:
        files = sorted(path for path in Path(folder).iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError:
        files = []
    for path in files:
        digest.update(path.name.encode(errors="surrogateescape") + b"\0")
        try:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError:
            digest.update(b"unread")
    return digest.hexdigest()
