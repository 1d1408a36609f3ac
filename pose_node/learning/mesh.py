"""Mesh files -> triangles in metres, with one clear refusal for each way in which a file can be unusable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from pose_node.arrays import Array
from pose_node.errors import MeshError
from pose_node.learning.stray import without_stray
from pose_node.learning.units import UNITS_IN_M, unit_in_m

SUFFIXES = (".ply", ".obj", ".stl", ".off", ".glb", ".gltf", ".3mf")
MAX_FACES = 20_000
# 3MF names its unit (without one it is millimetres), glTF is metres by definition; the other formats say nothing
_STATED_IN_M = {
    "micron": 1e-6, "millimeter": 1e-3, "millimeters": 1e-3, "centimeter": 1e-2, "inch": 0.0254, "foot": 0.3048, "meter": 1.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """Triangles in the object frame: ``vertices_m`` [V, 3] float64, ``faces`` [F, 3] indices, the largest vertex distance.

    ``notes`` are sentences on what was taken for granted or changed, for the user to read.
    """

    vertices_m: Array
    faces: Any
    diameter_m: float
    notes: tuple[str, ...] = ()


def load_mesh(path: str | Path, units: str | None = None) -> Mesh:
    """Read a mesh file; a scene's parts are merged at their places.

    units: one of ``UNITS_IN_M``, what the file's numbers mean. Without it the file's own word counts, and where the format
           has none, metres if no other unit gives a diameter that an object can have; ``notes`` says so.
    Raises MeshError when the file cannot be read, holds no surface, or cannot have the size that its units give.
    """
    path = Path(path)
    if units is not None and units not in UNITS_IN_M:
        raise MeshError(f"units: found {units!r}, expected one of {', '.join(UNITS_IN_M)}.")
    vertices, faces, stated_m = _read(path)
    if len(vertices) == 0 or len(faces) == 0:
        raise MeshError(
            f"{path}: found {len(vertices)} vertices and {len(faces)} faces, expected a surface of triangles."
        )
    if (bad := int((~np.isfinite(vertices)).any(axis=1).sum())) > 0:
        raise MeshError(f"{path}: found {bad} vertices that are not finite, expected numbers.")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise MeshError(f"{path}: a face names vertex {faces.max()}, but there are only {len(vertices)}.")
    vertices, faces = _without_degenerate(vertices, faces)
    if len(faces) == 0:
        raise MeshError(f"{path}: all its triangles have no area, expected a surface.")
    notes: list[str] = []
    diameter = diameter_of(vertices)
    _check_flat(path, vertices, diameter)
    vertices, faces, stray = without_stray(vertices, faces)
    diameter = diameter_of(vertices) if stray else diameter
    scale = unit_in_m(path, diameter, units, stated_m, notes)
    if stray:
        notes.append(stray.in_words(scale))
    if len(faces) > MAX_FACES:
        notes.append(f"faces: {len(faces)} simplified to about {MAX_FACES}")
        vertices, faces = _simplified(vertices, faces)
        diameter = diameter_of(vertices)
    return Mesh(vertices * scale, faces, diameter * scale, tuple(notes))


def save_mesh(path: Path, mesh: Mesh) -> None:
    """Write a binary PLY in metres with vertices (float32) and faces alone."""
    header = (
        "ply\nformat binary_little_endian 1.0\ncomment metres, object frame\n"
        f"element vertex {len(mesh.vertices_m)}\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face {len(mesh.faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    rows = np.empty(len(mesh.faces), dtype=[("count", "u1"), ("index", "<i4", 3)])
    rows["count"], rows["index"] = 3, mesh.faces
    path.write_bytes(header.encode() + mesh.vertices_m.astype("<f4").tobytes() + rows.tobytes())


def diameter_of(vertices: Array) -> float:
    """The largest distance between two vertices."""
    try:
        vertices = vertices[ConvexHull(vertices).vertices]
    except QhullError:  # flat: the corners are then found among all
        pass
    if len(vertices) > 3000:
        # round objects have large hulls; the farthest pair lies among the points farthest out in many directions
        directions = np.random.default_rng(0).normal(size=(2000, 3))
        vertices = vertices[np.unique(np.argmax(vertices @ directions.T, axis=0))]
    return float(pdist(vertices).max()) if len(vertices) > 1 else 0.0


def _read(path: Path) -> tuple[Array, Any, float | None]:
    """Vertices, faces, and the unit in metres where the file states it."""
    import trimesh

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
    except Exception as error:  # each of trimesh's readers has its own errors: all of them mean an unreadable file
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
    return np.asarray(geometry.vertices, dtype=np.float64), np.asarray(geometry.faces, dtype=np.int64), stated_m


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


def _without_degenerate(vertices: Array, faces: Any) -> tuple[Array, Any]:
    """Drop triangles without area and vertices that no triangle uses."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    double_area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    longest = np.max([np.sum((p - q) ** 2, axis=1) for p, q in ((a, b), (b, c), (c, a))], axis=0)
    faces = faces[double_area > 1e-9 * longest]
    used, index = np.unique(faces, return_inverse=True)
    return vertices[used], index.reshape(-1, 3)


def _check_flat(path: Path, vertices: Array, diameter: float) -> None:
    spread = np.linalg.svd(vertices - vertices.mean(axis=0), compute_uv=False)
    if spread[1] <= 1e-6 * spread[0] or diameter <= 0:
        raise MeshError(f"{path}: all its vertices lie on a line, expected a surface.")


def _simplified(vertices: Array, faces: Any) -> tuple[Array, Any]:
    import open3d as o3d

    mesh = o3d.geometry.TriangleMesh(o3d.utility.Vector3dVector(vertices), o3d.utility.Vector3iVector(faces))
    mesh.merge_close_vertices(1e-9 * float(np.ptp(vertices, axis=0).max()))
    mesh = mesh.simplify_quadric_decimation(MAX_FACES)
    return _without_degenerate(np.asarray(mesh.vertices), np.asarray(mesh.triangles))
