"""models/<object>/ -> ObjectCard: the facts about one object that the chain relies on.

The folder: ``card.yaml`` (metres, radians, object frame = mesh frame), ``mesh.ply`` (metres), ``surface.npz`` and, once
exported, the network that the card names. Loading checks everything that can be wrong with the first three; the
network's bytes are checked where they are run.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pose_node.arrays import Array
from pose_node.errors import CardError
from pose_node.geometry.symmetry import Axis, Symmetry
from pose_node.geometry.symmetry_group import completed

CARD_FILE, MESH_FILE, SURFACE_FILE = "card.yaml", "mesh.ply", "surface.npz"
CARD_FORMAT = 1
NAME_PATTERN = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
DIAMETER_RANGE_M = (0.005, 5.0)

_ARCHIVE = (zipfile.BadZipFile, zlib.error, struct.error)  # what a damaged archive raises

# libyaml's parser is ten times faster where it was built in
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Samples of the object's surface in the object frame, in farthest-point order: any prefix covers the object evenly.

    points_m, normals:  [S, 3] float64, outward unit normals.
    view_directions:    [V, 3] unit vectors from the object's centre towards a viewpoint.
    visible:            [V, S'] bool: which of the first S' samples that viewpoint sees (self-occlusion, rendered at
                        ``view_distance_rel`` diameters).
    """

    points_m: Array
    normals: Array
    view_directions: Array
    visible: Any

    @property
    def box_m(self) -> Array:
        """[2, 3] the lowest and the highest corner of the samples' box along the object frame's axes."""
        return np.stack([self.points_m.min(axis=0), self.points_m.max(axis=0)])


class _Referable:
    """Lets caches refer to what is worked out of an object without keeping the object alive."""

    __slots__ = ("__weakref__",)


@dataclass(frozen=True, slots=True, eq=False)
class ObjectCard(_Referable):
    """What ``models/<name>/card.yaml`` and the files beside it say.

    symmetry:    exact, as found or declared: estimates equal up to it are one.
    confusions:  [E, 4, 4] motions (identity not among them) that leave MOST of the surface in place: a box's half-turns, a
                 mug's turn about its body. Never used to merge, only to propose: the judge tells them apart if it can.
    confusion_axes: axes about which most of the surface is round (a mug's body).
    network:     file name, sha256, opset, input and output shapes; None before export.
    training, scores: what ``train`` and the benchmarks wrote down, as data.
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


def check_name(name: str) -> str:
    """``name``, or CardError with a suggestion: ROS topics and frames need lower-case words joined by underscores."""
    if isinstance(name, str) and NAME_PATTERN.fullmatch(name):
        return name
    words = re.sub(r"[^a-z0-9]+", "_", str(name).lower()).strip("_")
    words = re.sub(r"^[0-9_]+", "", words) or "object"
    raise CardError(f"object name: found {name!r}, expected lower-case words joined by '_', for example {words!r}.")


def check_diameter(diameter_m: float, what: str) -> float:
    """``diameter_m``, or CardError that names the likely mistake of units."""
    low, high = DIAMETER_RANGE_M
    if low <= diameter_m <= high:
        return diameter_m
    cause = "probably millimetres taken for metres" if diameter_m > high else "probably metres divided by 1000 twice"
    raise CardError(f"{what}: found a diameter of {diameter_m:g} m, expected {low:g} to {high:g} m ({cause}).")


def load_card(folder: str | Path) -> ObjectCard:
    """Read and check an object folder; CardError says in one sentence what is missing, unknown or impossible."""
    folder = Path(folder)
    path = folder / CARD_FILE
    values = _read_yaml(path)
    known = {
        "format": int, "name": str, "bop_id": (int, type(None)), "diameter_m": (float, int), "centre_m": list,
        "mesh": str, "surface": str, "symmetry": dict, "confusions": list, "confusion_axes": list,
        "network": (dict, type(None)), "training": dict, "scores": dict, "meshes_seen": list,
    }  # fmt: skip
    _check_keys(values, known, str(path), optional={"bop_id", "network", "training", "scores", "meshes_seen"})
    if values["format"] != CARD_FORMAT:
        raise CardError(f"{path}: found card format {values['format']}, expected {CARD_FORMAT}.")
    if check_name(values["name"]) != folder.resolve().name:
        raise CardError(f"{path}: found the name {values['name']!r}, expected the folder's, {folder.resolve().name!r}.")
    symmetry = values["symmetry"]
    _check_keys(symmetry, {"discrete": list, "axes": list}, f"{path}: symmetry")
    diameter_m = check_diameter(_number(values["diameter_m"]), str(path))
    mesh_path = _beside(folder, values["mesh"], f"{path}: mesh")
    _check_network(values.get("network"), folder, f"{path}: network")
    if not mesh_path.is_file():
        raise CardError(f"{mesh_path}: the card names this mesh, but there is no such file.")
    return ObjectCard(
        name=values["name"],
        folder=folder,
        diameter_m=diameter_m,
        centre_m=_vector(values["centre_m"], f"{path}: centre_m"),
        symmetry=parse_symmetry(symmetry["discrete"], symmetry["axes"], f"{path}: symmetry"),
        confusions=parse_motions(values["confusions"], f"{path}: confusions"),
        confusion_axes=parse_axes(values["confusion_axes"], f"{path}: confusion_axes"),
        surface=load_surface(_beside(folder, values["surface"], f"{path}: surface"), diameter_m),
        mesh_path=mesh_path,
        bop_id=values.get("bop_id"),
        network=values.get("network"),
        training=values.get("training", {}),
        scores=values.get("scores", {}),
        meshes_seen=tuple(str(name) for name in values.get("meshes_seen", [])),
    )


def save_card(card: ObjectCard) -> None:
    """Write ``card.folder/card.yaml`` (not the files that it names), whole or not at all."""
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


def _beside(folder: Path, name: str, where: str) -> Path:
    """The file of that name in the folder: a card that names files elsewhere would not be the same on another machine."""
    if name in ("", ".", "..") or any(c in name for c in "/\\\0"):
        raise CardError(f"{where}: found {name!r}, expected the name of a file in {folder}.")
    return folder / name


def _check_network(network: Mapping[str, Any] | None, folder: Path, where: str) -> None:
    if network is None:
        return
    for key in ("file", "sha256"):
        if not isinstance(network.get(key), str):
            raise CardError(f"{where}: {key} is {network.get(key)!r}, expected text, as `pose_node export` writes it.")
    _beside(folder, network["file"], f"{where}.file")


def load_surface(path: Path, diameter_m: float) -> Surface:
    """Read surface.npz and check its shapes, units and normals; raises CardError."""
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {key: data[key] for key in data.files}
    except FileNotFoundError as error:
        raise CardError(f"{path}: no such file, expected the object's surface samples.") from error
    except (OSError, ValueError, EOFError, TypeError, AttributeError, NotImplementedError, *_ARCHIVE) as error:
        raise CardError(f"{path}: cannot be read ({error}), expected the object's surface samples.") from error
    shapes = {"points_m": (-1, 3), "normals": (-1, 3), "view_directions": (-1, 3), "visible": (-1, -1)}
    if set(arrays) != set(shapes):
        raise CardError(f"{path}: found arrays {sorted(arrays)}, expected {sorted(shapes)}.")
    for key, shape in shapes.items():
        found = arrays[key].shape
        if len(found) != len(shape) or 0 in found or any(e not in (-1, f) for e, f in zip(shape, found)):
            raise CardError(f"{path}: {key} has shape {found}, expected {str(shape).replace('-1', 'N')}.")
    points, normals = arrays["points_m"].astype(float), arrays["normals"].astype(float)
    directions = arrays["view_directions"].astype(float)
    if len(points) != len(normals):
        raise CardError(f"{path}: found {len(points)} points and {len(normals)} normals, expected as many.")
    if not (np.isfinite(points).all() and _are_unit(normals) and _are_unit(directions)):
        raise CardError(f"{path}: found values that are not finite or normals that are not of length one.")
    if arrays["visible"].dtype != np.uint8 or len(arrays["visible"]) != len(directions):
        raise CardError(
            f"{path}: visible is {arrays['visible'].dtype} of {len(arrays['visible'])} rows, "
            f"expected packed bits (uint8) for {len(directions)} view directions."
        )
    extent = float(np.linalg.norm(np.ptp(points, axis=0)))
    if not 0.8 * diameter_m <= extent <= 1.8 * diameter_m:
        raise CardError(f"{path}: the samples span {extent:.4g} m, expected about the diameter, {diameter_m:.4g} m.")
    visible = np.unpackbits(arrays["visible"], axis=1).astype(bool)
    return Surface(points, normals, directions, visible[:, : len(points)])


def save_surface(path: Path, surface: Surface) -> None:
    """Write surface.npz in the layout that ``load_surface`` reads; the number of visible samples is a multiple of 8."""
    np.savez_compressed(
        path,
        points_m=surface.points_m.astype(np.float32),
        normals=surface.normals.astype(np.float32),
        view_directions=surface.view_directions.astype(np.float32),
        visible=np.packbits(surface.visible, axis=1),
    )


def parse_symmetry(discrete: Sequence[Any], axes: Sequence[Any], where: str) -> Symmetry:
    """Motions without the identity, and axes, in metres -> the group that they generate; raises CardError."""
    motions = parse_motions(discrete, f"{where}.discrete")
    return Symmetry(*completed(np.concatenate([np.eye(4)[None], motions]), parse_axes(axes, f"{where}.axes"), where))


def parse_motions(values: Sequence[Any], where: str) -> Array:
    """Rows of rigid 4x4 motions in metres -> [D, 4, 4] with exact rotations; raises CardError (mirrors too)."""
    motions = np.zeros((len(values), 4, 4))
    for i, value in enumerate(values):
        try:
            T = np.array(value, dtype=float)
        except (TypeError, ValueError, OverflowError) as error:
            raise CardError(f"{where}[{i}]: found {value!r}, expected four rows of four numbers.") from error
        if T.shape != (4, 4) or not np.isfinite(T).all() or not np.allclose(T[3], (0, 0, 0, 1)):
            raise CardError(f"{where}[{i}]: found {value!r}, expected four rows of four numbers, the last 0 0 0 1.")
        R = T[:3, :3]
        if not np.allclose(R @ R.T, np.eye(3), atol=1e-4) or np.linalg.det(R) < 0:
            raise CardError(f"{where}[{i}]: found a matrix that is not a rotation, expected no scale and no mirror.")
        if np.abs(T[:3, 3]).max() > 2 * DIAMETER_RANGE_M[1]:
            raise CardError(f"{where}[{i}]: found a translation of {np.abs(T[:3, 3]).max():g} m, expected metres.")
        motions[i] = T
    if len(motions):
        U, _, Vt = np.linalg.svd(motions[:, :3, :3])  # rounding in the text made them a little less than rotations
        motions[:, :3, :3] = U @ Vt
    return motions


def parse_axes(values: Sequence[Any], where: str) -> tuple[Axis, ...]:
    """[{direction, origin_m}, ...] -> axes with unit directions; raises CardError."""
    axes = []
    for i, value in enumerate(values):
        _check_keys(value, {"direction": list, "origin_m": list}, f"{where}[{i}]")
        direction = _vector(value["direction"], f"{where}[{i}].direction")
        length = float(np.linalg.norm(direction))
        if not 0.99 <= length <= 1.01:
            raise CardError(f"{where}[{i}]: found a direction of length {length:g}, expected a unit vector.")
        origin_m = _vector(value["origin_m"], f"{where}[{i}].origin_m")
        if np.abs(origin_m).max() > 2 * DIAMETER_RANGE_M[1]:
            raise CardError(f"{where}[{i}]: found an origin {np.abs(origin_m).max():g} m away, expected metres.")
        axes.append(Axis(direction / length, origin_m))
    return tuple(axes)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise CardError(f"{path}: cannot be read ({error.strerror}), expected an object's card.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: dates that are none, and no UTF-8
        raise CardError(f"{path}: is not YAML ({str(error).splitlines()[0]}).") from error
    if not isinstance(values, dict):
        raise CardError(f"{path}: found {type(values).__name__}, expected a mapping of facts.")
    return values


def _check_keys(
    values: Any, known: Mapping[str, Any], where: str, optional: set[str] | frozenset[str] = frozenset()
) -> None:
    if not isinstance(values, Mapping):
        raise CardError(f"{where}: found {values!r}, expected a mapping with {', '.join(known)}.")
    for key in values:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            meant = f" (did you mean {near[0]!r}?)" if near else ""
            raise CardError(f"{where}: unknown key {key!r}{meant}; expected {', '.join(known)}.")
    for key, kind in known.items():
        if key not in values:
            if key not in optional:
                raise CardError(f"{where}: the key {key!r} is missing.")
        elif not isinstance(values[key], kind) or isinstance(values[key], bool):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            raise CardError(f"{where}: {key} is {values[key]!r}, expected {' or '.join(k.__name__ for k in kinds)}.")


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer of hundreds of digits
        return float("inf")


def _vector(value: Any, where: str) -> Array:
    try:
        vector = np.array(value, dtype=float)
    except (TypeError, ValueError, OverflowError) as error:
        raise CardError(f"{where}: found {value!r}, expected three numbers.") from error
    if vector.shape != (3,) or not np.isfinite(vector).all():
        raise CardError(f"{where}: found {value!r}, expected three finite numbers.")
    return vector


def _are_unit(vectors: Array) -> bool:
    return bool(np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-3))


def _rounded(array: Array, digits: int = 8) -> Any:
    return (np.round(np.asarray(array, float), digits) + 0.0).tolist()  # + 0.0: no minus zero


def _axis_values(axis: Axis) -> dict[str, Any]:
    return {"direction": _rounded(axis.direction), "origin_m": _rounded(axis.origin_m)}


def _plain(value: Any) -> Any:
    """Numpy numbers, tuples and paths as what YAML holds."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, Path) else value
