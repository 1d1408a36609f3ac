"""PLY files as arrays: the mesh of an object folder, the models of a data set, and range scans.

trimesh reads them. Vertices keep the file's number and order, so that errors over vertices (MSSD, ADD) do not depend on
the reader. The robot side reads no meshes, so trimesh is imported inside the functions.
"""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import numpy as np

from pose_node.arrays import Array, Indices
from pose_node.errors import MeshError


def read_ply(path: str | Path) -> tuple[Array, Indices]:
    """Vertices [V, 3] in the file's units and triangles [F, 3], empty for a point cloud. Other polygons are triangulated.

    Raises MeshError when the file cannot be read, is no PLY, is cut short, or has invalid vertices or faces.
    """
    from trimesh.exchange.ply import load_ply

    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise MeshError(f"{path}: cannot be read ({error.strerror}), expected a PLY file.") from None
    try:
        declared = _declared(data)
        # fix_texture would split the vertices along the seams of a texture.
        mesh = load_ply(BytesIO(data), fix_texture=False, skip_materials=True)
        vertices = np.asarray(mesh.get("vertices", np.empty((0, 3))), np.float64)
        triangles = np.asarray(mesh.get("faces", np.empty((0, 3)))).astype(np.intp)
        _check(vertices, triangles, declared)
    except Exception as error:  # trimesh shows a malformed file by whatever error it meets
        reason = str(error).rstrip(".!") or type(error).__name__
        raise MeshError(f"{path}: cannot be read as PLY ({reason}), expected x, y, z and triangles.") from None
    return vertices, triangles


def _declared(data: bytes) -> dict[str, int]:
    """How many elements of each name the header announces; raises ValueError without a header."""
    header, end, _ = data.partition(b"end_header")
    if not (header.startswith(b"ply") and end):
        raise ValueError("no PLY header")
    lines = re.findall(r"^element (\S+) (\d+)", header.decode("ascii", errors="replace"), re.MULTILINE)
    return {name: int(count) for name, count in lines}


def _check(vertices: Array, triangles: Indices, declared: dict[str, int]) -> None:
    """Raises ValueError for invalid vertices or faces, and for a text file cut short, which trimesh reads as a smaller mesh."""
    for name, found in (("vertex", len(vertices)), ("face", len(triangles))):
        if found < declared.get(name, 0):
            raise ValueError(f"{found} of {declared[name]} elements {name!r}")
    if not np.isfinite(vertices).all():
        raise ValueError("vertices that are not finite")
    if len(triangles) and not 0 <= triangles.min() <= triangles.max() < len(vertices):
        raise ValueError(f"faces with vertices {triangles.min()} to {triangles.max()} of {len(vertices)}")


def vertex_normals(vertices: Array, triangles: Indices) -> Array:
    """[V, 3] unit normals: the mean of those of the adjacent triangles, weighted by area; 0 at a vertex without any."""
    import trimesh

    return trimesh.geometry.mean_vertex_normals(len(vertices), triangles, trimesh.triangles.cross(vertices[triangles]))
