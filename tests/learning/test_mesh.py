"""Mesh files: every format, every kind of unusable file."""

from __future__ import annotations

import struct
import zipfile

import numpy as np
import pytest

pytest.importorskip("trimesh")
pytest.importorskip("open3d")
import trimesh

from pose_node.cli import parser
from pose_node.errors import MeshError
from pose_node.learning.mesh import MAX_FACES, SUFFIXES, Mesh, diameter_of, load_mesh, save_mesh

pytestmark = pytest.mark.learning
BOX_M = (0.12, 0.04, 0.03)  # its diagonal is 0.13 m


def box(scale=1.0):
    return trimesh.creation.box(scale * np.array(BOX_M))


def write_3mf(path, mesh, unit="meter"):
    """As little as a reader needs: one object, built once."""
    vertices = "".join(f'<vertex x="{x}" y="{y}" z="{z}"/>' for x, y, z in mesh.vertices)
    triangles = "".join(f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in mesh.faces)
    named = f' unit="{unit}"' if unit else ""
    model = (
        f'<model{named} xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02"><resources><object id="1">'
        f"<mesh><vertices>{vertices}</vertices><triangles>{triangles}</triangles></mesh></object></resources>"
        '<build><item objectid="1"/></build></model>'
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("3D/3dmodel.model", model)


def test_every_format_that_help_names_is_tried():
    named = {f".{word.strip(',').lower()}" for word in mesh_help().replace(" or ", " ").split()}
    assert named == set(SUFFIXES) == {f".{suffix}" for suffix in FORMATS}


def mesh_help():
    add_object = parser()._subparsers._group_actions[0].choices["add-object"]
    text = next(action.help for action in add_object._actions if action.dest == "paths")
    return text[text.index("(") + 1 : text.index(")")]


FORMATS = ["ply", "obj", "stl", "off", "glb", "gltf", "3mf"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_formats(tmp_path, suffix):
    path = tmp_path / f"box.{suffix}"
    if suffix == "gltf":
        for name, content in box().scene().export(file_type="gltf").items():
            (tmp_path / name.replace("model.gltf", "box.gltf")).write_bytes(content)
    elif suffix == "3mf":
        write_3mf(path, box())
    else:
        box().export(path)
    mesh = load_mesh(path, "m")
    assert mesh.diameter_m == pytest.approx(0.13, rel=1e-6)
    assert len(mesh.faces) == 12
    assert mesh.notes == ()
    if suffix not in ("glb", "gltf"):
        assert len(mesh.vertices_m) == 8  # STL's loose triangles are joined


def test_millimetres_become_metres(tmp_path):
    box(1000).export(tmp_path / "box.stl")
    mesh = load_mesh(tmp_path / "box.stl", "mm")
    np.testing.assert_allclose(np.ptp(mesh.vertices_m, axis=0), BOX_M, rtol=1e-6)


def test_units_are_never_guessed_silently(tmp_path):
    box().export(tmp_path / "box.ply")
    assert "none given, read as metres (diameter 0.13 m = 130 mm)" in load_mesh(tmp_path / "box.ply").notes[0]


@pytest.mark.parametrize(
    ("scale", "units", "words"),
    [
        (1000, None, "found a diameter of 130 and no unit, expected 0.005 to 5 m (130 mm, 130 cm = 1.3 m, 130 in = 3.302 m): pass"),
        (1000, "m", "found a diameter of 130 m with --units m, expected 0.005 to 5 m (130 mm, 130 cm = 1.3 m, 130 in = 3.302 m)"),
        (30, None, "found a diameter of 3.9 and no unit, expected 0.005 to 5 m (3.9 m, 3.9 cm = 39 mm, 3.9 in = 99.06 mm): pass"),
        (1, "mm", "found a diameter of 0.13 mm with --units mm, expected 0.005 to 5 m (0.13 m = 130 mm): pass --units."),
        (1e6, None, "which no unit gives (1.3e+05 m, 1.3e+05 mm = 130 m"),
        (1e-6, "mm", "which no unit gives"),
    ],
)  # fmt: skip
def test_impossible_sizes_name_every_unit_that_fits(tmp_path, scale, units, words):
    box(scale).export(tmp_path / "box.ply")
    with pytest.raises(MeshError) as caught:
        load_mesh(tmp_path / "box.ply", units)
    assert words in str(caught.value) and "probably" not in str(caught.value)


@pytest.mark.parametrize(("units", "scale"), [("m", 1), ("mm", 1000), ("cm", 100), ("in", 1 / 0.0254)])
def test_every_unit(tmp_path, units, scale):
    box(scale).export(tmp_path / "box.stl")
    mesh = load_mesh(tmp_path / "box.stl", units)
    np.testing.assert_allclose(np.ptp(mesh.vertices_m, axis=0), BOX_M, rtol=1e-6)
    assert mesh.notes == ()


@pytest.mark.parametrize(
    ("unit", "scale"), [("inch", 1 / 0.0254), ("centimeter", 100), ("meter", 1), ("millimeter", 1000), (None, 1000)]
)
def test_the_unit_stated_in_the_file_is_used(tmp_path, unit, scale):
    write_3mf(tmp_path / "box.3mf", box(scale), unit)
    mesh = load_mesh(tmp_path / "box.3mf")
    np.testing.assert_allclose(np.ptp(mesh.vertices_m, axis=0), BOX_M, rtol=1e-6)
    assert "as stated in the file (diameter 130 mm)" in mesh.notes[0]


def test_given_units_override_those_of_the_file_with_a_note(tmp_path):
    write_3mf(tmp_path / "box.3mf", box(100), "inch")
    mesh = load_mesh(tmp_path / "box.3mf", "cm")
    assert mesh.diameter_m == pytest.approx(0.13)
    assert mesh.notes == (
        "units: --units cm is used (diameter 130 mm) instead of the unit stated in the file, in (diameter 330.2 mm)",
    )


def test_an_implausible_unit_in_the_file_is_refused(tmp_path):
    box(1000).export(tmp_path / "box.glb")  # millimetres, in a format of metres
    with pytest.raises(MeshError, match=r"130 m in the file's own unit, m, expected .* \(130 mm, "):
        load_mesh(tmp_path / "box.glb")
    assert load_mesh(tmp_path / "box.glb", "mm").diameter_m == pytest.approx(0.13)
    write_3mf(tmp_path / "box.3mf", box(), "cubit")
    with pytest.raises(MeshError, match="found the unit 'cubit'"):
        load_mesh(tmp_path / "box.3mf")


def test_unknown_units(tmp_path):
    with pytest.raises(MeshError, match="found 'inch', expected one of m, mm, cm, in"):
        load_mesh(tmp_path / "box.ply", "inch")


def with_bodies(*others):
    return trimesh.util.concatenate([box(1000), *others])


def triangle(*place):
    return trimesh.Trimesh(np.array([[0, 0, 0], [4, 0, 0], [0, 4, 0.0]]) + place, [[0, 1, 2]])


@pytest.mark.parametrize(
    ("stray", "words"),
    [
        (triangle(1500, 0, 0), "1 of 2 bodies (1 triangles, 0.0"),
        (
            trimesh.creation.box((20, 20, 20), trimesh.transformations.translation_matrix((0, -900, 0))),
            "(12 triangles, ",
        ),
        (trimesh.util.concatenate([triangle(0, 0, 400), triangle(0, 0, -500)]), "2 of 3 bodies"),
    ],
)
def test_stray_bodies_are_removed_with_a_note(tmp_path, stray, words):
    with_bodies(stray).export(tmp_path / "part.stl")
    mesh = load_mesh(tmp_path / "part.stl", "mm")
    assert mesh.diameter_m == pytest.approx(0.13)
    (note,) = mesh.notes
    assert note.startswith("stray geometry: ") and words in note and note.endswith("m from the rest, removed")


def test_the_note_says_where_the_stray_body_is(tmp_path):
    with_bodies(triangle(1500, 0, 0)).export(tmp_path / "part.stl")
    (note,) = load_mesh(tmp_path / "part.stl", "mm").notes
    assert "around (1.5, 0.002, 0) m, 1.44 m from the rest" in note


def test_parts_of_several_bodies_are_kept(tmp_path):
    feet = [trimesh.creation.box((3, 3, 3)).apply_translation((x, 0, -40)) for x in (-50, 50)]
    with_bodies(*feet).export(tmp_path / "part.stl")
    mesh = load_mesh(tmp_path / "part.stl", "mm")
    assert len(mesh.faces) == 36 and mesh.notes == ()
    with_bodies(box(1000).apply_translation((0, 0, 500))).export(tmp_path / "pair.stl")
    pair = load_mesh(tmp_path / "pair.stl", "mm")
    assert len(pair.faces) == 24 and "far geometry: 1 of 2 bodies" in pair.notes[0] and "kept" in pair.notes[0]


def test_the_parts_of_a_scene_are_merged_at_their_positions(tmp_path):
    scene = trimesh.Scene()
    scene.add_geometry(box())
    scene.add_geometry(box(), transform=trimesh.transformations.translation_matrix((0, 0, 0.5)))
    scene.export(tmp_path / "two.glb")
    mesh = load_mesh(tmp_path / "two.glb", "m")
    assert len(mesh.faces) == 24
    assert np.ptp(mesh.vertices_m[:, 2]) == pytest.approx(0.53)


def test_quads_are_triangulated(tmp_path):
    corners = [(x, y, z) for x in (0, 0.1) for y in (0, 0.1) for z in (0, 0.1)]
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    lines = [f"v {x} {y} {z}" for x, y, z in corners] + ["f " + " ".join(str(i + 1) for i in side) for side in sides]
    (tmp_path / "cube.obj").write_text("\n".join(lines))
    assert len(load_mesh(tmp_path / "cube.obj", "m").faces) == 12


def test_degenerate_triangles_and_unused_vertices_are_removed(tmp_path):
    good = box()
    vertices = np.vstack([good.vertices, [[9.0, 9.0, 9.0]]])
    faces = np.vstack([good.faces, [[0, 0, 1]], [[2, 2, 2]]])
    trimesh.Trimesh(vertices, faces, process=False).export(tmp_path / "box.ply")
    mesh = load_mesh(tmp_path / "box.ply", "m")
    assert len(mesh.faces) == 12 and len(mesh.vertices_m) == 8


def ply(vertices, faces, kind="float"):
    lines = [
        "ply", "format ascii 1.0", f"element vertex {len(vertices)}",
        f"property {kind} x", f"property {kind} y", f"property {kind} z",
        *([f"element face {len(faces)}", "property list uchar int vertex_indices"] if faces is not None else []),
        "end_header", *(" ".join(map(str, v)) for v in vertices),
        *(f"{len(f)} " + " ".join(map(str, f)) for f in faces or []),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


TRIANGLE = [(0, 0, 0), (0.1, 0, 0), (0, 0.1, 0)]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("nothing.ply", None, "no such file"),
        ("part.step", b"ISO-10303-21;", "found a file of type '.step', expected one of .ply"),
        ("part", b"", "found a file of type 'none'"),
        ("empty.stl", b"", "the file is empty"),
        ("junk.ply", b"this is no mesh", "cannot be read as PLY"),
        ("junk.glb", b"glTF junk", "cannot be read as GLB"),
        ("short.stl", b"\0" * 80 + struct.pack("<I", 1000) + b"\0" * 50, ""),
        ("cut.ply", ply(TRIANGLE, [(0, 1, 2)]).encode()[:-20], ""),
        ("points.ply", ply(TRIANGLE, None).encode(), "without faces"),
        ("no_faces.ply", ply(TRIANGLE, []).encode(), "expected a surface"),
        (
            "nan.ply",
            ply([(0, 0, 0), ("nan", 0, 0), (0, 0.1, 0)], [(0, 1, 2)]).encode(),
            "1 vertices that are not finite",
        ),
        (
            "line.ply",
            ply([(0, 0, 0), (0.1, 0, 0), (0.2, 0, 0)], [(0, 1, 2)]).encode(),
            "none of its triangles has an area",
        ),
        ("point.ply", ply([(0, 0, 0)] * 3, [(0, 1, 2)]).encode(), "none of its triangles has an area"),
        ("beyond.ply", ply(TRIANGLE, [(0, 1, 7)]).encode(), ""),
        ("empty.obj", b"# nothing\n", ""),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_unusable_files_are_refused(tmp_path, name, content, words):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MeshError) as caught:
        load_mesh(path, "m")
    message = str(caught.value)
    assert str(path) in message and words in message and "\n" not in message


def test_large_meshes_are_simplified_with_a_note(tmp_path):
    trimesh.creation.icosphere(subdivisions=5, radius=0.05).export(tmp_path / "ball.ply")
    mesh = load_mesh(tmp_path / "ball.ply", "m")
    assert len(mesh.faces) <= MAX_FACES
    assert mesh.diameter_m == pytest.approx(0.1, rel=0.01)
    assert "20480 simplified" in mesh.notes[0]


def test_a_saved_mesh_is_loaded_unchanged(tmp_path):
    good = box()
    mesh = Mesh(np.asarray(good.vertices), np.asarray(good.faces), 0.13)
    save_mesh(tmp_path / "out.ply", mesh)
    again = load_mesh(tmp_path / "out.ply", "m")
    np.testing.assert_allclose(again.vertices_m, mesh.vertices_m, atol=1e-8)
    assert np.array_equal(again.faces, mesh.faces)


def test_diameter(rng):
    points = rng.normal(size=(300, 3))
    brute = np.linalg.norm(points[:, None] - points[None], axis=-1).max()
    assert diameter_of(points) == pytest.approx(brute)
    assert diameter_of(points * (1, 1, 0)) == pytest.approx(
        np.linalg.norm((points[:, None] - points[None])[..., :2], axis=-1).max()
    )
    sphere = trimesh.creation.icosphere(subdivisions=5, radius=0.05).vertices
    assert diameter_of(np.asarray(sphere)) == pytest.approx(0.1, rel=1e-3)
