"""JSON files of data sets, with one sentence where they cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pose_node.errors import InputError


def read_json(path: Path, expected: str) -> Any:
    """The value of a JSON file. Raises InputError, which names what was ``expected``, when it cannot be read or is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}), expected {expected}.") from error
    except ValueError as error:
        raise InputError(f"{path}: is not JSON ({error}), expected {expected}.") from error
