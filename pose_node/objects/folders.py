"""Finds object folders, for the node and the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from pose_node.errors import ConfigError
from pose_node.objects.card import CARD_FILE

BACKBONE = "backbone"  # folder of the network that all objects share
SHARED = (BACKBONE, "scorer")  # folders beside the objects that are none


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
        if _objects(folder):
            return folder
    raise ConfigError(f"models: found no objects in {', '.join(map(str, tried))}, expected <object>/card.yaml in one.")


def backbone_folder(folders: Sequence[str | Path]) -> Path:
    """The folder of the backbone for object ``folders``: the one beside them, else the one that is installed with this package.

    Raises ConfigError when there is neither.
    """
    beside = dict.fromkeys(Path(folder).resolve().parent for folder in folders)
    tried = [folder / BACKBONE for folder in (*beside, *_default_folders())]
    for folder in tried:
        if (folder / CARD_FILE).is_file():
            return folder
    raise ConfigError(f"backbone: found no {CARD_FILE} in {', '.join(map(str, tried))}, expected the backbone in one.")


def object_folders(models: str | Path = "", names: Sequence[str] = ()) -> list[Path]:
    """The folders of the objects ``names``, in that order; without names all, by name.

    Raises ConfigError for a name without a folder, and when there is no object at all.
    """
    folder = models_folder(models)
    found = _objects(folder)
    for name in names:
        if name not in found:
            there = ", ".join(found) or "none"
            near = get_close_matches(name, found, n=1)
            meant = f" (did you mean {near[0]!r}?)" if near else ""
            raise ConfigError(f"objects: found {name!r}{meant}, expected one of those in {folder}: {there}.")
    if not found:
        raise ConfigError(f"models: found no objects in {folder}, expected <object>/card.yaml.")
    return [found[name] for name in dict.fromkeys(names)] if names else list(found.values())


def _objects(folder: Path) -> dict[str, Path]:
    """{object name: its folder} of all object folders in ``folder``, by name."""
    found = {card.parent.name: card.parent for card in sorted(folder.glob(f"*/{CARD_FILE}"))}
    return {name: path for name, path in found.items() if name not in SHARED}


def _default_folders() -> Iterator[Path]:
    """Where object folders are looked for when no folder is named."""
    yield Path("models")
    for prefix in filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)):
        yield Path(prefix) / "share" / "pose_node" / "models"
    yield Path(sys.prefix) / "share" / "pose_node" / "models"
    yield Path(__file__).resolve().parents[2] / "models"  # a checkout, installed in place
