"""PLY in its three encodings, with and without further properties; broken files give one sentence."""

from __future__ import annotations

import numpy as np
import pytest

from pose_node.errors import MeshError
from pose_node.objects.mesh_file import read_ply, vertex_normals

pytest.importorskip("trimesh")

VERTICES = np.array([[0, 0, 0], [1.5, 0, 0], [0, 2.25, 0], [0, 0, 3]], np.float32)
FACES = np.array([[0, 1, 2], [0, 3, 1]], np.int32)


def header(encoding: str, extra: str = "", face: str = "") -> bytes:
    return (
        f"ply\nformat {encoding} 1.0\ncomment made here\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
        f"{extra}element face 2\nproperty list uchar int vertex_indices\n{face}end_header\n"
    ).encode()


def binary(order: str) -> bytes:
    body = VERTICES.astype(f"{order}f4").tobytes()
    return body + b"".join(b"\x03" + face.astype(f"{order}i4").tobytes() for face in FACES)


CASES = {
    "little": header("binary_little_endian") + binary("<"),
    "big": header("binary_big_endian") + binary(">"),
    "ascii": header("ascii") + b"0 0 0\n1.5 0 0\n0 2.25 0\n0 0 3\n3 0 1 2\n3 0 3 1\n",
    "colours": header("ascii", "property uchar red\n") + b"0 0 0 9\n1.5 0 0 9\n0 2.25 0 9\n0 0 3 9\n3 0 1 2\n3 0 3 1\n",
    "texture": header("ascii", face="property list uchar float texcoord\n")
    + b"0 0 0\n1.5 0 0\n0 2.25 0\n0 0 3\n3 0 1 2 6 0 0 0 0 0 0\n3 0 3 1 6 0 0 0 0 0 0\n",
}


@pytest.mark.parametrize("name", CASES)
def test_every_encoding_reads_the_same(tmp_path, name):
    path = tmp_path / "mesh.ply"
    path.write_bytes(CASES[name])
    vertices, faces = read_ply(path)
    assert (vertices == VERTICES).all() and vertices.dtype == np.float64
    assert (faces == FACES).all()


def test_polygons_are_triangulated(tmp_path):
    path = tmp_path / "mesh.ply"
    path.write_bytes(header("ascii") + b"0 0 0\n1 0 0\n0 2 0\n0 0 3\n4 0 1 2 3\n3 0 3 1\n")
    vertices, faces = read_ply(path)
    assert len(vertices) == 4 and sorted(map(tuple, faces)) == [(0, 1, 2), (0, 3, 1), (2, 3, 0)]


def test_vertices_keep_their_number_and_order(tmp_path):
    """Equal ones, those of no face, and those that a texture gives two coordinates."""
    path = tmp_path / "mesh.ply"
    text = CASES["texture"].replace(b"6 0 0 0 0 0 0\n", b"6 0 1 2 3 4 5\n", 1).replace(b"1.5 0 0\n", b"0 0 3\n")
    path.write_bytes(text)
    vertices, faces = read_ply(path)
    assert vertices.tolist() == [[0, 0, 0], [0, 0, 3], [0, 2.25, 0], [0, 0, 3]]
    assert (faces == FACES).all()


def test_normals_of_vertices():
    vertices = np.array([*VERTICES, [9, 9, 9]], np.float64)
    normals = vertex_normals(vertices, FACES)
    assert np.allclose(normals[2], [0, 0, 1]) and np.allclose(normals[3], [0, 1, 0])
    a, b = 1.5 * 2.25, 1.5 * 3.0  # twice the areas of the two triangles
    assert np.allclose(normals[0], np.array([0, b, a]) / np.hypot(a, b))
    assert (normals[4] == 0).all()


def test_a_scan_has_no_faces(tmp_path):
    path = tmp_path / "scan.ply"
    head = "ply\nformat binary_little_endian 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
    path.write_bytes(head.encode() + VERTICES.tobytes())
    vertices, faces = read_ply(path)
    assert vertices.shape == (4, 3) and faces.shape == (0, 3)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"solid stl",
        CASES["little"][:-5],
        CASES["little"][:-40],
        CASES["ascii"][:-8],
        CASES["ascii"][:-20],
        header("ascii").replace(b"float x", b"float u") + CASES["ascii"][len(header("ascii")) :],
        header("ascii") + b"0 0 0\n1 0 0\n0 2 0\n0 0 3\n3 0 1 9\n3 0 3 1\n",
        header("ascii") + b"0 0 0\n1 0 nan\n0 2 0\n0 0 3\n3 0 1 2\n3 0 3 1\n",
    ],
)
def test_a_malformed_file_is_refused_in_one_sentence(tmp_path, data):
    path = tmp_path / "mesh.ply"
    path.write_bytes(data)
    with pytest.raises(MeshError, match="expected"):
        read_ply(path)


def test_a_missing_file_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(MeshError, match="cannot be read"):
        read_ply(tmp_path / "none.ply")
