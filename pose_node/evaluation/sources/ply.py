"""PLY files (Turk, 1994), ascii or binary, as far as meshes and range scans need them: vertices and triangles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pose_node.arrays import Array
from pose_node.errors import MeshError

_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4", "double": "f8",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4", "float32": "f4",
    "float64": "f8",
}  # fmt: skip
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


def read_ply(path: str | Path) -> tuple[Array, Any]:
    """Vertices [V, 3] in the file's units and triangles [F, 3], empty for a point cloud.

    Raises MeshError when the file cannot be read, is no PLY, or has faces of more than three corners.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MeshError(f"{path}: cannot be read ({error.strerror}), expected a PLY file.") from None
    end = data.find(b"end_header")
    if not data.startswith(b"ply") or end < 0:
        raise MeshError(f"{path}: found no PLY header, expected a PLY file.")
    header = data[:end].decode("ascii", errors="replace").split("\n")
    body = data[data.index(b"\n", end) + 1 :]
    try:
        order, elements = _elements(header)
        rows = _ascii(body, elements) if not order else _binary(body, elements)
        vertex = rows["vertex"]
        vertices = np.stack([vertex[axis].astype(np.float64) for axis in "xyz"], axis=1)
        corners = rows.get("face")
        names = () if corners is None else corners.dtype.names
        name = next((n for n in ("vertex_indices", "vertex_index") if n in names), None)
        faces = np.empty((0, 3), np.intp) if name is None else corners[name].astype(np.intp).reshape(-1, 3)
    except (KeyError, ValueError, IndexError) as error:
        raise MeshError(f"{path}: found a PLY that does not read ({error}), expected x, y, z and triangles.") from None
    if not np.isfinite(vertices).all() or (len(faces) and not 0 <= faces.min() <= faces.max() < len(vertices)):
        raise MeshError(f"{path}: found vertices that are not finite or faces beyond them, expected a whole mesh.")
    return vertices, faces


def _elements(header: list[str]) -> tuple[str, list[tuple[str, int, Any]]]:
    """Byte order and [(element, count, dtype of a row)]; a list property is taken to hold three values, checked later."""
    order, elements = "", []
    for line in header:
        words = line.split()
        if words[:1] == ["format"]:
            order = _ORDERS[words[1]]
        elif words[:1] == ["element"]:
            elements.append((words[1], int(words[2]), []))
        elif words[:1] == ["property"] and words[1] == "list":
            # Texture coordinates, two for each corner, are the one other list that meshes carry.
            size = 6 if words[4] == "texcoord" else 3
            elements[-1][2].extend([(f"{words[4]} count", order + _TYPES[words[2]])])
            elements[-1][2].append((words[4], order + _TYPES[words[3]], (size,)))
        elif words[:1] == ["property"]:
            elements[-1][2].append((words[2], order + _TYPES[words[1]]))
    return order, [(name, count, np.dtype(fields)) for name, count, fields in elements]


def _binary(body: bytes, elements: list[tuple[str, int, Any]]) -> dict[str, Any]:
    rows, at = {}, 0
    for name, count, dtype in elements:
        rows[name] = _checked(np.frombuffer(body, dtype, count, at))
        at += count * dtype.itemsize
    return rows


def _ascii(body: bytes, elements: list[tuple[str, int, Any]]) -> dict[str, Any]:
    lines = [line for line in body.decode("ascii").split("\n") if line.strip()]
    rows, at = {}, 0
    for name, count, dtype in elements:
        flat = np.array([line.split() for line in lines[at : at + count]], dtype=np.float64).reshape(count, -1)
        row, column = np.empty(count, dtype), 0
        for field in dtype.names:
            width = int(np.prod(dtype[field].shape, dtype=int))
            row[field] = flat[:, column : column + width].reshape(count, *dtype[field].shape)
            column += width
        rows[name] = _checked(row)
        at += count
    return rows


def _checked(rows: Any) -> Any:
    for field in rows.dtype.names:
        if field.endswith(" count") and (rows[field] != rows.dtype[field.removesuffix(" count")].shape[0]).any():
            raise ValueError("a list of another length than a triangle's")
    return rows


def vertex_normals(vertices: Array, triangles: Any) -> Array:
    """[V, 3] unit normals, each the mean of those of its triangles weighed by area."""
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    of_face = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], of_face)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return normals / np.where(length > 0.0, length, 1.0)
