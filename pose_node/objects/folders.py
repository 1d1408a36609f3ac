"""Finds object folders, for the node and the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from pose_node.errors import ConfigError


def models_folder(models: str | Path = "") -> Path:
    """The folder of object folders: ``models`` if given, else the first of ./models, the installed share and the checkout that
    has objects. Raises ConfigError when there is none.
    """
    if models:
        folder = Path(models).expanduser()
        if not folder.is_dir():
            raise ConfigError(f"models: found no folder {folder}, expected a folder of object folders.")
        return folder
    tried = list(_default_folders())
    for folder in tried:
        if any(folder.glob("*/card.yaml")):
            return folder
    raise ConfigError(f"models: found no objects in {', '.join(map(str, tried))}, expected <object>/card.yaml in one.")


def object_folders(models: str | Path = "", names: Sequence[str] = ()) -> list[Path]:
    """The folders of the objects ``names``, in that order; without names all that have a network, by name.

    Raises ConfigError for a name without a folder, and when there is no object at all.
    """
    folder = models_folder(models)
    found = {card.parent.name: card.parent for card in sorted(folder.glob("*/card.yaml"))}
    for name in names:
        if name not in found:
            there = ", ".join(found) or "none"
            near = get_close_matches(name, found, n=1)
            meant = f" (did you mean {near[0]!r}?)" if near else ""
            raise ConfigError(f"objects: found {name!r}{meant}, expected one of those in {folder}: {there}.")
    if names:
        return [found[name] for name in dict.fromkeys(names)]
    ready = [path for path in found.values() if (path / "pose.onnx").is_file()]
    if not ready:
        raise ConfigError(f"models: found no object with a pose.onnx in {folder}, expected at least one.")
    return ready


def _default_folders() -> Iterator[Path]:
    """Where object folders are looked for when no folder is named."""
    yield Path("models")
    for prefix in filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)):
        yield Path(prefix) / "share" / "pose_node" / "models"
    yield Path(sys.prefix) / "share" / "pose_node" / "models"
    yield Path(__file__).resolve().parents[2] / "models"  # a checkout, installed in place
