"""``pose_node add-object``: makes an object folder from a mesh file, ready for the pipeline; and renews folders of other backbones."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pose_node.arrays import Array
from pose_node.config import InferConfig
from pose_node.errors import CardError, MeshError
from pose_node.geometry.se3 import apply
from pose_node.geometry.symmetry import Symmetry
from pose_node.learning.bank_building import build_bank
from pose_node.learning.mesh import Mesh, load_mesh, save_mesh
from pose_node.learning.picture import draw_onboarding
from pose_node.learning.similarity import Similarity, find_similarity
from pose_node.learning.similarity_text import confusion_texts, symmetry_texts
from pose_node.learning.surface import sample_surface
from pose_node.network.backbone import Backbone
from pose_node.objects.bank import BANK_FILE, save_bank
from pose_node.objects.card import MESH_FILE, ObjectCard, load_card, save_card
from pose_node.objects.card_values import check_name, parse_symmetry
from pose_node.objects.folders import SHARED, backbone_folder
from pose_node.objects.mesh_file import read_ply
from pose_node.objects.surface import SURFACE_FILE, save_surface

PICTURE_FILE, README_FILE = "onboarding.png", "README.md"
_OLD_NETWORK = "pose.onnx"  # of earlier versions


@dataclass(frozen=True, slots=True, eq=False)
class Onboarded:
    """The new card, the symmetries and confusions that were found, and notes for the user."""

    card: ObjectCard
    similarity: Similarity
    notes: tuple[str, ...]


def add_object(
    mesh_path: str | Path,
    name: str,
    models: str | Path = "models",
    units: str | None = None,
    bop_id: int | None = None,
    symmetry: str = "auto",
    force: bool = False,
) -> Onboarded:
    """Make ``models/name`` from a mesh file; when that fails, an existing folder stays as it was.

    symmetry: "auto" searches it, "none" declares that there is none, anything else is a YAML file with
              ``discrete`` (4x4 motions, metres, mesh frame) and ``axes`` ({direction, origin_m}).
    force:    replace an existing folder; its BOP id is kept where no other is given.
    Raises MeshError (the mesh), CardError (the name, the symmetry file, the folder) or ModelError (the backbone).
    """
    if check_name(name) in SHARED:
        raise CardError(
            f"object name: found {name!r}, expected another: this folder has a network that all objects share."
        )
    folder = Path(models) / name
    if folder.exists() and not force:
        raise CardError(f"{folder}: the object exists already; pass --force to replace it, or choose another name.")
    declared = _declared_symmetry(symmetry)
    backbone = open_backbone(folder)
    mesh = load_mesh(mesh_path, units)
    surface = sample_surface(mesh)
    similarity = find_similarity(mesh, surface, declared)
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=folder.parent))
    try:
        new = staging / name  # the card refuses a folder of another name
        new.mkdir()
        card = ObjectCard(
            name=name,
            folder=new,
            diameter_m=mesh.diameter_m,
            centre_m=_centre(surface.points_m, similarity.symmetry),
            symmetry=similarity.symmetry,
            confusions=np.array([m.T for m in similarity.confusions]).reshape(-1, 4, 4),
            confusion_axes=similarity.confusion_axes,
            surface=surface,
            mesh_path=new / MESH_FILE,
            bop_id=_old_bop_id(folder) if bop_id is None else bop_id,
        )
        save_mesh(new / MESH_FILE, mesh)
        save_surface(new / SURFACE_FILE, surface)
        notes = list(mesh.notes)
        save_bank(new / BANK_FILE, build_bank(mesh, card.centre_m, backbone, notes))
        save_card(card)
        draw_onboarding(new / PICTURE_FILE, mesh, card, similarity)
        (new / README_FILE).write_text(_readme(card, mesh, similarity, Path(mesh_path).name, units))
        load_card(new)  # raises CardError if the new folder cannot be loaded
        os.chmod(new, 0o755)
        _replace_folder(folder, new, old=staging / "old")
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Onboarded(load_card(folder), similarity, tuple(notes))


def open_backbone(folder: Path) -> Backbone:
    """The backbone for an object ``folder``, as the pipeline finds it; raises ConfigError or ModelError."""
    return Backbone(backbone_folder([folder]), InferConfig(provider="cpu"))


def renew(folder: str | Path) -> tuple[str, ...]:
    """Make the bank of an existing object folder anew, with the present backbone; the rest of its facts stay.

    A network of its own, which objects of earlier versions had, is removed. Returns sentences for the user. Raises CardError,
    MeshError or ModelError; the folder then stays as it was.
    """
    folder = Path(folder)
    card, backbone = load_card(folder), open_backbone(folder)
    vertices_m, faces = read_ply(card.mesh_path)
    notes: list[str] = []
    bank = build_bank(Mesh(vertices_m, faces, card.diameter_m), card.centre_m, backbone, notes)
    part = folder / f".{BANK_FILE}"
    save_bank(part, bank)
    part.replace(folder / BANK_FILE)
    save_card(replace(card, network=None, training={}, meshes_seen=()))
    old = folder / _OLD_NETWORK
    if old.exists():
        old.unlink()
        notes.append(f"{old.name} removed: the backbone replaces it")
    return tuple(notes)


def _old_bop_id(folder: Path) -> int | None:
    """The BOP id of the folder to be replaced, where its card can be read."""
    try:
        return load_card(folder).bop_id if folder.is_dir() else None
    except CardError:
        return None


def _readme(card: ObjectCard, mesh: Mesh, similarity: Similarity, source: str, units: str | None) -> str:
    """The folder's README: facts that a person can check against the part."""
    low, high = mesh.vertices_m.min(axis=0), mesh.vertices_m.max(axis=0)

    def millimetres(values: Any) -> str:
        return " x ".join(f"{1000 * v:.1f}" for v in values)

    rows = [
        ("diameter", f"{1000 * card.diameter_m:.1f} mm"),
        ("size along x, y, z", f"{millimetres(high - low)} mm"),
        ("centre in the object frame", f"({', '.join(f'{1000 * v:.1f}' for v in card.centre_m)}) mm"),
        ("mesh file", source),
        ("unit of the mesh file", units or "as the file states, otherwise m"),
        ("faces", str(len(mesh.faces))),
        ("symmetry", "; ".join(symmetry_texts(similarity)) or "none"),
        ("may be confused with", "; ".join(confusion_texts(similarity)) or "nothing found"),
        ("BOP id", "none" if card.bop_id is None else str(card.bop_id)),
    ]
    table = "\n".join(f"| {key} | {value} |" for key, value in rows)
    return (
        f"# {card.name}\n\n![{card.name} with its frame]({PICTURE_FILE})\n\n| fact | value |\n|---|---|\n{table}\n\n"
        "Check the picture for a wrong origin, axis or unit. The object frame is the mesh's own.\n"
        "All facts that the pipeline uses are in [card.yaml](card.yaml). `pose_node add-object` wrote this page once.\n"
    )


def _centre(points: Array, symmetry: Symmetry) -> Array:
    """The mean of the visible surface, moved to the nearest point that the symmetry leaves in place."""
    centre = points.mean(axis=0)
    for axis in symmetry.axes:
        centre = axis.origin_m + ((centre - axis.origin_m) @ axis.direction) * axis.direction
    return apply(symmetry.discrete, centre[None]).mean(axis=0)[0]


def _declared_symmetry(symmetry: str) -> Symmetry | None:
    if symmetry == "auto":
        return None
    if symmetry == "none":
        return Symmetry(np.eye(4)[None])
    try:
        values = yaml.safe_load(Path(symmetry).read_text())
    except OSError as error:
        raise CardError(f"--symmetry: found {symmetry!r}, expected auto, none or a readable YAML file.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CardError(f"{symmetry}: is not YAML ({str(error).splitlines()[0]}).") from error
    if not isinstance(values, Mapping) or not values or set(values) - {"discrete", "axes"}:
        raise CardError(f"{symmetry}: expected a mapping with discrete (4x4 motions), axes, or both.")
    for key, value in values.items():
        if value is not None and not isinstance(value, list):
            raise CardError(f"{symmetry}: {key} is {value!r}, expected a list.")
    motions = [T for T in values.get("discrete") or [] if not _is_identity(T)]
    return parse_symmetry(motions, values.get("axes") or [], symmetry)


def _is_identity(value: Any) -> bool:
    """Whether an entry of the file is the identity, which it may list; ``parse_symmetry`` refuses invalid matrices."""
    try:
        T = np.array(value, dtype=float)
    except (TypeError, ValueError):
        return False
    return T.shape == (4, 4) and bool(np.allclose(T, np.eye(4), atol=1e-6))


def _replace_folder(folder: Path, new: Path, old: Path) -> None:
    """Rename ``new`` to ``folder`` and what was there to ``old``; when that fails, ``folder`` stays as it was."""
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError as error:
        if old.exists():
            old.rename(folder)
        raise MeshError(f"{folder}: could not be written ({error.strerror}).") from error
