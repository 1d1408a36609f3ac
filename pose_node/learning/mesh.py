"""Mesh files -> triangles in metres; every reason why a file is unusable has its own error message.

trimesh reads and writes the files and removes unused vertices; open3d simplifies. By hand: the test for triangles without
area, which trimesh measures in metres and a file of unknown unit needs relative to the triangle; and the diameter, which
neither library has.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open3d as o3d
import trimesh
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from pose_node.arrays import Array
from pose_node.errors import MeshError
from pose_node.learning.stray_bodies import remove_stray_bodies
from pose_node.learning.units import UNITS_IN_M, unit_in_m

SUFFIXES = (".ply", ".obj", ".stl", ".off", ".glb", ".gltf", ".3mf")
MAX_FACES = 20_000
# 3MF names its unit (millimetres by default), glTF is in metres by definition; the other formats state none.
_STATED_IN_M = {
    "micron": 1e-6, "millimeter": 1e-3, "millimeters": 1e-3, "centimeter": 1e-2, "inch": 0.0254, "foot": 0.3048, "meter": 1.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """Triangles in the object frame: ``vertices_m`` [V, 3] float64, ``faces`` [F, 3] indices, the largest vertex distance.

    ``notes`` are sentences for the user: what was assumed, and what was changed.
    """

    vertices_m: Array
    faces: Any
    diameter_m: float
    notes: tuple[str, ...] = ()


def load_mesh(path: str | Path, units: str | None = None) -> Mesh:
    """Read a mesh file; the parts of a scene are merged at their positions.

    units: one of ``UNITS_IN_M``. Without it the unit that the file states applies; a file without one is read as metres,
           provided that no other unit gives a plausible diameter. ``notes`` says which unit was used.
    Raises MeshError when the file cannot be read, has no surface, or has an implausible size in its unit.
    """
    path = Path(path)
    if units is not None and units not in UNITS_IN_M:
        raise MeshError(f"units: found {units!r}, expected one of {', '.join(UNITS_IN_M)}.")
    mesh, stated_m = _read(path)
    _check_arrays(path, mesh.vertices, mesh.faces)
    _remove_degenerate(mesh)
    _check_extent(path, mesh)
    stray = remove_stray_bodies(mesh)
    notes: list[str] = []
    diameter = diameter_of(mesh.vertices)
    scale = unit_in_m(path, diameter, units, stated_m, notes)
    if stray:
        notes.append(stray.describe(scale))
    if len(mesh.faces) > MAX_FACES:
        notes.append(f"faces: {len(mesh.faces)} simplified to about {MAX_FACES}")
        mesh = _simplified(mesh)
        diameter = diameter_of(mesh.vertices)
    return Mesh(np.asarray(mesh.vertices) * scale, np.asarray(mesh.faces), diameter * scale, tuple(notes))


def save_mesh(path: Path, mesh: Mesh) -> None:
    """Write a binary PLY in metres: vertices (float32) and faces, nothing else."""
    trimesh.Trimesh(mesh.vertices_m, mesh.faces, process=False).export(path, vertex_normal=False)


def diameter_of(vertices: Array) -> float:
    """The largest distance between two vertices."""
    vertices = np.asarray(vertices)
    try:
        vertices = vertices[ConvexHull(vertices).vertices]
    except QhullError:  # a flat mesh has no hull: search all its vertices
        pass
    if len(vertices) > 3000:
        # Round objects have large hulls; the farthest pair is among the extreme points in many directions.
        directions = np.random.default_rng(0).normal(size=(2000, 3))
        vertices = vertices[np.unique(np.argmax(vertices @ directions.T, axis=0))]
    return float(pdist(vertices).max()) if len(vertices) > 1 else 0.0


def _read(path: Path) -> tuple[trimesh.Trimesh, float | None]:
    """The triangles, and the file's unit in metres where the file states it."""
    if not path.is_file():
        raise MeshError(f"{path}: no such file, expected a mesh ({', '.join(SUFFIXES)}).")
    if path.suffix.lower() not in SUFFIXES:
        raise MeshError(
            f"{path}: found a file of type {path.suffix or 'none'!r}, expected one of {', '.join(SUFFIXES)}."
        )
    if path.stat().st_size == 0:
        raise MeshError(f"{path}: the file is empty.")
    try:
        loaded = trimesh.load(path, process=False, skip_materials=True)
    except Exception as error:  # each of trimesh's readers raises errors of its own
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise MeshError(f"{path}: cannot be read as {path.suffix[1:].upper()} ({reason}).") from error
    stated_m = _stated_m(path, loaded)
    geometry = loaded.to_geometry() if isinstance(loaded, trimesh.Scene) and loaded.geometry else loaded
    if isinstance(geometry, trimesh.points.PointCloud):
        raise MeshError(
            f"{path}: found {len(geometry.vertices)} points without faces, expected a surface of triangles."
        )
    if not isinstance(geometry, trimesh.Trimesh):
        raise MeshError(f"{path}: found no triangles, expected a surface.")
    if path.suffix.lower() == ".stl":
        geometry.merge_vertices()
    return trimesh.Trimesh(geometry.vertices, geometry.faces, process=False), stated_m  # without colours and textures


def _stated_m(path: Path, loaded: Any) -> float | None:
    kind = path.suffix.lower()
    if kind in (".glb", ".gltf"):
        return 1.0
    if kind != ".3mf":
        return None
    units = getattr(loaded, "units", None)
    if units not in _STATED_IN_M:
        raise MeshError(f"{path}: found the unit {units!r}, expected one of {', '.join(_STATED_IN_M)}.")
    return _STATED_IN_M[units]


def _check_arrays(path: Path, vertices: Array, faces: Any) -> None:
    if len(vertices) == 0 or len(faces) == 0:
        raise MeshError(
            f"{path}: found {len(vertices)} vertices and {len(faces)} faces, expected a surface of triangles."
        )
    if (bad := int((~np.isfinite(vertices)).any(axis=1).sum())) > 0:
        raise MeshError(f"{path}: found {bad} vertices that are not finite, expected numbers.")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise MeshError(f"{path}: a face refers to vertex {faces.max()}, but there are only {len(vertices)}.")


def _remove_degenerate(mesh: trimesh.Trimesh) -> None:
    """Remove triangles without area and vertices that no triangle uses."""
    a, b, c = mesh.triangles.transpose(1, 0, 2)
    longest2 = np.max([np.sum((p - q) ** 2, axis=1) for p, q in ((a, b), (b, c), (c, a))], axis=0)
    mesh.update_faces(2 * mesh.area_faces > 1e-9 * longest2)
    mesh.remove_unreferenced_vertices()


def _check_extent(path: Path, mesh: trimesh.Trimesh) -> None:
    if len(mesh.faces) == 0:
        raise MeshError(f"{path}: none of its triangles has an area, expected a surface.")
    spread = np.linalg.svd(mesh.vertices - mesh.vertices.mean(axis=0), compute_uv=False)
    if spread[1] <= 1e-6 * spread[0]:
        raise MeshError(f"{path}: all its vertices lie on a line, expected a surface.")


def _simplified(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    detailed = o3d.geometry.TriangleMesh(o3d.utility.Vector3dVector(vertices), o3d.utility.Vector3iVector(faces))
    detailed.merge_close_vertices(1e-9 * float(np.ptp(vertices, axis=0).max()))
    simple = detailed.simplify_quadric_decimation(MAX_FACES)
    mesh = trimesh.Trimesh(np.asarray(simple.vertices), np.asarray(simple.triangles), process=False)
    _remove_degenerate(mesh)
    return mesh
