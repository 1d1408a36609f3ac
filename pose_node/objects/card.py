"""The card of an object: models/<object>/card.yaml and the files that it names.

The folder has ``card.yaml`` (metres, radians, object frame = mesh frame), ``mesh.ply`` (metres), ``surface.npz`` and, once
exported, the network. Loading checks all of them but the network, which is checked when it is opened (``network.session``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pose_node.arrays import Array
from pose_node.errors import CardError
from pose_node.geometry.symmetry import Axis, Symmetry
from pose_node.objects.card_values import (
    check_diameter,
    check_keys,
    check_name,
    number,
    parse_axes,
    parse_motions,
    parse_symmetry,
    vector,
)
from pose_node.objects.digest import folder_digest
from pose_node.objects.surface import SURFACE_FILE, Surface, load_surface

CARD_FILE, MESH_FILE = "card.yaml", "mesh.ply"
CARD_FORMAT = 1

# libyaml's parser, where PyYAML was built with it, is ten times as fast
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _WeaklyReferable:
    """Allows weak references, so that caches do not keep an object alive."""

    __slots__ = ("__weakref__",)


@dataclass(frozen=True, slots=True, eq=False)
class ObjectCard(_WeaklyReferable):
    """What ``models/<name>/card.yaml`` and the files that it names state of an object.

    diameter_m:  largest distance between two points of the mesh.
    centre_m:    [3] the point whose position the network predicts, in the object frame.
    symmetry:    exact, as found or declared: poses equal up to it are one.
    confusions:  [E, 4, 4] motions, without the identity, that map MOST of the surface onto itself: a box's half-turns, a mug's
                 turns about its body. They never make poses equal, but are tried as further hypotheses.
    confusion_axes: axes about which most of the surface is round (a mug's body).
    bop_id:      the object's number in a BOP data set.
    network:     file name, sha256, opset, input and output shapes; None before export.
    training, scores: records of ``train`` and the benchmarks, as data.
    meshes_seen: names of the meshes that the network was trained with.
    digest:      ``folder_digest`` of the folder just before it was read; empty for a card that was not read.
    """

    name: str
    folder: Path
    diameter_m: float
    centre_m: Array
    symmetry: Symmetry
    confusions: Array
    confusion_axes: tuple[Axis, ...]
    surface: Surface
    mesh_path: Path
    bop_id: int | None = None
    network: Mapping[str, Any] | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)
    meshes_seen: tuple[str, ...] = ()
    digest: str = ""


def load_card(folder: str | Path) -> ObjectCard:
    """Read and check an object folder. Raises CardError for what is missing, unknown or invalid, in one sentence."""
    folder = Path(folder)
    digest = folder_digest(folder)
    path = folder / CARD_FILE
    values = _read_yaml(path)
    known = {
        "format": int, "name": str, "bop_id": (int, type(None)), "diameter_m": (float, int), "centre_m": list,
        "mesh": str, "surface": str, "symmetry": dict, "confusions": list, "confusion_axes": list,
        "network": (dict, type(None)), "training": dict, "scores": dict, "meshes_seen": list,
    }  # fmt: skip
    check_keys(values, known, str(path), optional={"bop_id", "network", "training", "scores", "meshes_seen"})
    if values["format"] != CARD_FORMAT:
        raise CardError(f"{path}: found card format {values['format']}, expected {CARD_FORMAT}.")
    if check_name(values["name"]) != folder.resolve().name:
        raise CardError(f"{path}: found the name {values['name']!r}, expected the folder's, {folder.resolve().name!r}.")
    symmetry = values["symmetry"]
    check_keys(symmetry, {"discrete": list, "axes": list}, f"{path}: symmetry")
    diameter_m = check_diameter(number(values["diameter_m"]), str(path))
    mesh_path = _in_folder(folder, values["mesh"], f"{path}: mesh")
    _check_network(values.get("network"), folder, f"{path}: network")
    if not mesh_path.is_file():
        raise CardError(f"{mesh_path}: the card names this mesh, but there is no such file.")
    return ObjectCard(
        name=values["name"],
        folder=folder,
        diameter_m=diameter_m,
        centre_m=vector(values["centre_m"], f"{path}: centre_m"),
        symmetry=parse_symmetry(symmetry["discrete"], symmetry["axes"], f"{path}: symmetry"),
        confusions=parse_motions(values["confusions"], f"{path}: confusions"),
        confusion_axes=parse_axes(values["confusion_axes"], f"{path}: confusion_axes"),
        surface=load_surface(_in_folder(folder, values["surface"], f"{path}: surface"), diameter_m),
        mesh_path=mesh_path,
        bop_id=values.get("bop_id"),
        network=values.get("network"),
        training=values.get("training", {}),
        scores=values.get("scores", {}),
        meshes_seen=tuple(str(name) for name in values.get("meshes_seen", [])),
        digest=digest,
    )


def check_unchanged(card: ObjectCard) -> None:
    """Raises CardError when the folder is not as it was when the card was read: someone writes to it, and no read is whole."""
    if folder_digest(card.folder) != card.digest:
        raise CardError(f"{card.folder}: changed while it was read, expected a folder that nothing writes to.")


def save_card(card: ObjectCard) -> None:
    """Write ``card.folder/card.yaml``, not the files that it names; atomically. Raises CardError for an invalid name."""
    values = {
        "format": CARD_FORMAT,
        "name": check_name(card.name),
        "bop_id": card.bop_id,
        "diameter_m": round(float(card.diameter_m), 6),
        "centre_m": _rounded(card.centre_m, 6),
        "mesh": card.mesh_path.name,
        "surface": SURFACE_FILE,
        "symmetry": {
            "discrete": [_rounded(T) for T in card.symmetry.discrete[1:]],
            "axes": [_axis_values(axis) for axis in card.symmetry.axes],
        },
        "confusions": [_rounded(T) for T in card.confusions],
        "confusion_axes": [_axis_values(axis) for axis in card.confusion_axes],
        "network": _plain(card.network),
        "training": _plain(card.training),
        "scores": _plain(card.scores),
        "meshes_seen": list(card.meshes_seen),
    }
    header = (
        "# Facts about one object, written by `pose_node add-object`, `train` and `export`. Metres, radians; the object\n"
        "# frame is the mesh's own. Motions are rows of 4x4 matrices T with point' = T point; the identity is left out.\n"
    )
    path = card.folder / CARD_FILE
    part = path.with_suffix(".yaml.part")
    part.write_text(header + yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=120))
    part.replace(path)


def _in_folder(folder: Path, name: str, where: str) -> Path:
    """The file ``name`` in the folder; raises CardError for a path, which would not be valid on another machine."""
    if name in ("", ".", "..") or any(c in name for c in "/\\\0"):
        raise CardError(f"{where}: found {name!r}, expected the name of a file in {folder}.")
    return folder / name


def _check_network(network: Mapping[str, Any] | None, folder: Path, where: str) -> None:
    """Raises CardError where the network's entry has no file name in the folder or no hash."""
    if network is None:
        return
    for key in ("file", "sha256"):
        if not isinstance(network.get(key), str):
            raise CardError(f"{where}: {key} is {network.get(key)!r}, expected text, as earlier versions wrote it.")
    _in_folder(folder, network["file"], f"{where}.file")


def _read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; raises CardError."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise CardError(f"{path}: cannot be read ({error.strerror}), expected an object's card.") from error
    except (
        yaml.YAMLError,
        ValueError,
        RecursionError,
    ) as error:  # ValueError: invalid dates, and text that is not UTF-8
        raise CardError(f"{path}: is not YAML ({str(error).splitlines()[0]}).") from error
    if not isinstance(values, dict):
        raise CardError(f"{path}: found {type(values).__name__}, expected a mapping of facts.")
    return values


def _rounded(array: Array, digits: int = 8) -> Any:
    return (np.round(np.asarray(array, float), digits) + 0.0).tolist()  # + 0.0 turns -0.0 into 0.0


def _axis_values(axis: Axis) -> dict[str, Any]:
    return {"direction": _rounded(axis.direction), "origin_m": _rounded(axis.origin_m)}


def _plain(value: Any) -> Any:
    """Numpy values, tuples and paths as types that YAML can represent."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, Path) else value
