"""Read Rerun files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rerun.dataframe


def column(path: Path, entity: str, component: str) -> dict[int, Any]:
    """{stamp in nanoseconds: values of a component}, of the stamps that it was sent at."""
    view = rerun.dataframe.load_recording(path).view(index="stamp", contents=entity, include_tombstone_columns=True)
    table = view.select("stamp", f"{entity}:{component}").read_all()
    stamps, values = table.column(0).cast("int64").to_pylist(), table.column(1).to_pylist()
    return {stamp: value for stamp, value in zip(stamps, values) if value is not None}


def entities(path: Path) -> set[str]:
    """The entities of a file."""
    return {each.entity_path for each in rerun.dataframe.load_recording(path).schema().component_columns()}
