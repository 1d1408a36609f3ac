"""Files of JSON that somebody else wrote, read with one sentence on what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pose_node.errors import InputError


def read_json(path: Path, expected: str) -> Any:
    """The value in a JSON file; raises InputError, which says that ``expected`` was, when it cannot be read or is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}), expected {expected}.") from error
    except ValueError as error:
        raise InputError(f"{path}: is not JSON ({error}), expected {expected}.") from error
