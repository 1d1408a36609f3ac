"""add-object: surfaces, symmetries that are known beforehand, folders written whole or not at all."""

from __future__ import annotations

import functools
import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("trimesh")
pytest.importorskip("open3d")
import trimesh

from pose_node.errors import CardError, MeshError
from pose_node.geometry.se3 import angle
from pose_node.geometry.symmetry import Axis, Symmetry, rotation_error, turn
from pose_node.learning import onboard
from pose_node.learning.mesh import Mesh, diameter_of
from pose_node.learning.onboard import add_object
from pose_node.learning.similarity import Similarity, describe, find_similarity, fold_axes, symmetry_words
from pose_node.learning.surface import farthest_point_order, sample_surface
from pose_node.objects.card import load_card, save_card

pytestmark = pytest.mark.learning
make = trimesh.creation
quick_surface = functools.partial(sample_surface, candidates=8000, samples=2048, subdivisions=1)


def placed(part, seed=3):
    """The part turned and moved anywhere, as nobody's mesh lies along its own axes; and the motion."""
    T = trimesh.transformations.random_rotation_matrix(np.random.default_rng(seed).random(3))
    T[:3, 3] = (0.2, -0.1, 0.3)
    part = part.copy()
    part.apply_transform(T)
    return as_mesh(part), T


def as_mesh(part):
    vertices = np.asarray(part.vertices, dtype=float)
    return Mesh(vertices, np.asarray(part.faces), diameter_of(vertices))


def join(*boxes):
    return trimesh.util.concatenate([make.box(bounds=b) for b in boxes])


BAR = [[-0.06, -0.015, -0.01], [0.06, 0.015, 0.01]]
PARTS = {
    # name: (part, size of its finite group, continuous axes)
    "cube": (make.box((0.1, 0.1, 0.1)), 24, 0),
    "box": (make.box((0.1, 0.07, 0.03)), 4, 0),
    "hexagon": (make.cylinder(radius=0.05, height=0.03, sections=6), 12, 0),
    "cylinder": (make.cylinder(radius=0.03, height=0.1, sections=64), 2, 1),
    "cone": (make.cone(radius=0.04, height=0.1, sections=64), 1, 1),
    "ball": (make.icosphere(subdivisions=3, radius=0.05), 1, 3),
    "two arms": (join(BAR, [[0.04, -0.015, 0.01], [0.06, 0.05, 0.03]], [[-0.06, -0.05, 0.01], [-0.04, 0.015, 0.03]]), 2, 0),
    "corner": (join(BAR, [[0.04, -0.015, 0.01], [0.06, 0.07, 0.03]], [[-0.06, -0.015, 0.01], [-0.02, 0.015, 0.06]]), 1, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_known_symmetries_are_found(name):
    part, discrete, axes = PARTS[name]
    mesh, T = placed(part)
    found = find_similarity(mesh, quick_surface(mesh)).symmetry
    assert (len(found.discrete), len(found.axes)) == (discrete, axes)
    for a in found.discrete:  # exactly a group, not nearly
        for b in found.discrete:
            assert np.degrees(rotation_error(a @ b, found.discrete, found)).min() < 1e-4
    if axes == 1:
        assert np.degrees(np.arccos(min(abs(found.axes[0].direction @ T[:3, 2]), 1.0))) < 0.5
        off = np.cross(found.axes[0].origin_m - T[:3, 3], T[:3, 2])
        assert np.linalg.norm(off) < 0.003 * mesh.diameter_m


def gear(teeth, hub):
    """Teeth of module 2 mm (4.5 mm deep) on a disc 10 mm wide, with a hub on one side or none."""
    module, width = 0.002, 0.01
    step = 2 * np.pi / teeth
    inner, outer = (teeth / 2 - 1.25) * module, (teeth / 2 + 1) * module
    corners = [(-0.27, inner), (-0.13, outer), (0.13, outer), (0.27, inner)]
    angle_rad, radius = np.array([((i + share) * step, r) for i in range(teeth) for share, r in corners]).T
    rim = np.stack([radius * np.cos(angle_rad), radius * np.sin(angle_rad), 0 * radius], axis=-1)
    count = len(rim)
    i, j = np.arange(count), (np.arange(count) + 1) % count
    low, high = np.full(count, 2 * count), np.full(count, 2 * count + 1)
    faces = [(i, j, j + count), (i, j + count, i + count), (j, i, low), (i + count, j + count, high)]
    top = np.array([0, 0, width])
    vertices = np.vstack([rim, rim + top, [0 * top], [top]])
    disc = trimesh.Trimesh(vertices, np.vstack([np.stack(f, axis=-1) for f in faces]), process=False)
    boss = make.cylinder(radius=0.4 * inner, segment=[top, 2 * top], sections=32)
    return trimesh.util.concatenate([disc, boss]) if hub else disc


def perforated(holes, cells=(20, 12), cell_m=0.01):
    """A plate of ``cells`` squares and their thickness, those in ``holes`` open; no faces inside."""
    solid = np.zeros((cells[0] + 2, cells[1] + 2, 3), dtype=bool)
    solid[1:-1, 1:-1, 1] = True
    solid[tuple(np.transpose(holes) + 1)] = False
    sides = []
    for cell in np.argwhere(solid):
        box = make.box(bounds=[cell, cell + 1])
        outward = np.rint(box.face_normals).astype(int)
        box.update_faces(~solid[tuple((cell + outward).T)])
        sides.append(box)
    return trimesh.util.concatenate(sides).apply_scale(cell_m)


def pallet():
    """800 x 1200 x 144 mm: its boards are 22 mm thick, 1.5 % of its diameter."""
    top = [[[x, 0, 0.122], [x + 0.1, 1.2, 0.144]] for x in (0, 0.175, 0.35, 0.525, 0.7)]
    across = [[[0, y, 0.1], [0.8, y + 0.145, 0.122]] for y in (0, 0.5275, 1.055)]
    blocks = [[[x, y, 0.022], [x + 0.1, y + 0.1, 0.1]] for x in (0, 0.35, 0.7) for y in (0, 0.55, 1.1)]
    feet = [[[x, 0, 0], [x + 0.1, 1.2, 0.022]] for x in (0, 0.35, 0.7)]
    return join(*top, *across, *blocks, *feet)


LARGE = {  # name: (part, size of its group): nothing that a depth camera sees is a symmetry
    "flat bar": (make.box((0.03, 0.01, 0.6)), 4),
    "square bar": (make.box((0.02, 0.02, 0.5)), 8),
    "thin square bar": (make.box((0.01, 0.01, 0.4)), 8),
    "beam": (make.box((0.1, 0.06, 3.0)), 4),
    "hexagonal bar": (make.cylinder(radius=0.012, height=0.6, sections=6), 12),
    "plate with an odd hole": (perforated([(2, 2), (2, 9), (17, 2), (16, 9)]), 1),
    "plate with even holes": (perforated([(2, 2), (2, 9), (17, 2), (17, 9)]), 4),
    "pallet": (pallet(), 2),
}


@pytest.mark.parametrize("name", LARGE)
def test_what_a_camera_sees_is_no_symmetry_of_a_long_or_large_part(name):
    part, motions = LARGE[name]
    mesh, _ = placed(part)
    found = find_similarity(mesh, quick_surface(mesh))
    assert (len(found.symmetry.discrete), len(found.symmetry.axes)) == (motions, 0)


@pytest.mark.parametrize(("teeth", "hub"), [(31, True), (32, False), (100, True)])
def test_a_gear_has_as_many_motions_as_teeth(teeth, hub):
    mesh, T = placed(gear(teeth, hub))
    found = find_similarity(mesh, quick_surface(mesh))
    assert len(found.symmetry.axes) == 0
    assert len(found.symmetry.discrete) == (teeth if hub else 2 * teeth)  # without a hub its ends can be swapped
    order, _, direction = fold_axes(found.symmetry)[0]
    assert order == teeth and abs(direction @ T[:3, 2]) > np.cos(np.radians(0.1))
    assert symmetry_words(found)[0].startswith(f"{teeth}-fold about (")
    group = found.symmetry.discrete
    products = np.einsum("aij,bjk->abik", group[:5], group)
    apart = np.abs(products[:, :, None] - group).max(axis=(-2, -1)).min(axis=-1)
    assert apart.max() < 1e-9


def test_a_round_part_cut_into_facets_stays_round():
    mesh, _ = placed(make.cylinder(radius=0.1, height=0.05, sections=24))
    found = find_similarity(mesh, quick_surface(mesh)).symmetry
    assert (len(found.discrete), len(found.axes)) == (2, 1)


def test_the_axes_of_a_polyhedron():
    mesh, _ = placed(make.icosahedron().apply_scale(0.05))
    found = find_similarity(mesh, quick_surface(mesh))
    assert len(found.symmetry.discrete) == 60
    assert [order for order, _, _ in fold_axes(found.symmetry)] == 6 * [5] + 10 * [3] + 15 * [2]


def test_a_mirror_image_is_no_symmetry():
    """The part is its own mirror image, and no rotation is a symmetry of it."""
    mesh, _ = placed(join([[-0.06, -0.02, 0], [0.06, 0.02, 0.02]], [[-0.06, -0.02, 0.02], [-0.02, 0.02, 0.08]]))
    assert len(find_similarity(mesh, quick_surface(mesh)).symmetry.discrete) == 1


def test_a_cup_is_round_but_for_its_handle():
    body = make.cylinder(radius=0.04, height=0.09, sections=64)
    handle = make.box(bounds=[[0.038, -0.006, -0.03], [0.07, 0.006, 0.03]])
    mesh, T = placed(trimesh.util.concatenate([body, handle]))
    found = find_similarity(mesh, quick_surface(mesh))
    assert len(found.symmetry.axes) == 0
    assert len(found.confusion_axes) == 1
    axis = found.confusion_axes[0]
    assert abs(axis.direction @ T[:3, 2]) > np.cos(np.radians(1.0))
    assert np.linalg.norm(np.cross(axis.origin_m - T[:3, 3], T[:3, 2])) < 0.001  # the body's, not the whole's


def test_half_turns_that_keep_most_are_confusions():
    bottle = trimesh.util.concatenate(
        [make.box((0.04, 0.08, 0.16)), make.box(bounds=[[-0.01, -0.01, 0.08], [0.01, 0.01, 0.1]])]
    )
    mesh, T = placed(bottle)
    found = find_similarity(mesh, quick_surface(mesh))
    assert len(found.symmetry.discrete) == 2
    upside_down = [c for c in found.confusions if (c.T[:3, :3] @ T[:3, 2]) @ T[:3, 2] < -0.98]
    assert upside_down and upside_down[0].overlap > 0.7


def test_declared_symmetry_is_taken_as_it_is():
    mesh, _ = placed(PARTS["cube"][0])
    declared = onboard._declared_symmetry("none")
    assert len(find_similarity(mesh, quick_surface(mesh), declared).symmetry.discrete) == 1


def test_the_search_gives_the_same_again():
    mesh, _ = placed(PARTS["corner"][0])
    a, b = (find_similarity(mesh, quick_surface(mesh)) for _ in range(2))
    assert np.array_equal(a.symmetry.discrete, b.symmetry.discrete)
    assert [c.T.tolist() for c in a.confusions] == [c.T.tolist() for c in b.confusions]


def test_normals_point_outward_whatever_the_winding(rng):
    ball = make.icosphere(subdivisions=3, radius=0.05)
    flipped = rng.random(len(ball.faces)) < 0.5
    faces = np.where(flipped[:, None], ball.faces[:, ::-1], ball.faces)
    surface = quick_surface(Mesh(np.asarray(ball.vertices), faces, 0.1))
    assert (np.einsum("ij,ij->i", surface.points_m, surface.normals) > 0.049).all()
    assert len(surface.points_m) == 2048


def test_inner_walls_are_not_sampled():
    inner, outer = (make.icosphere(subdivisions=3, radius=r) for r in (0.02, 0.05))
    surface = quick_surface(as_mesh(trimesh.util.concatenate([inner, outer])))
    assert np.linalg.norm(surface.points_m, axis=1).min() > 0.045


def test_a_sheet_has_two_sides():
    corners = np.array([[0, 0, 0], [0.1, 0, 0], [0.1, 0.08, 0], [0, 0.08, 0]])
    surface = quick_surface(Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]]), diameter_of(corners)))
    up = surface.normals[:, 2] > 0
    assert 0.45 < up.mean() < 0.55
    above = surface.view_directions[:, 2] > 0.1
    assert np.array_equal(surface.visible[above][:, : len(up)], np.tile(up[:2048], (above.sum(), 1)))


def test_visibility_is_what_a_view_sees():
    surface = quick_surface(as_mesh(make.icosphere(subdivisions=4, radius=0.05)))
    seen = surface.view_directions @ surface.normals[: surface.visible.shape[1]].T
    limit = 0.05 / 0.5  # the horizon from five diameters away
    assert surface.visible[seen > limit + 0.05].all()
    assert not surface.visible[seen < limit - 0.05].any()


def test_farthest_points_spread_evenly(rng):
    points = rng.random((3000, 3))
    order = farthest_point_order(points, 100)
    assert len(set(order)) == 100
    gaps = np.linalg.norm(points[order][:, None] - points[order][None], axis=-1) + 9 * np.eye(100)
    assert gaps.min() > 0.12  # random ones would nearly touch


@pytest.fixture(scope="module")
def added(tmp_path_factory):
    """A part added for real, once."""
    home = tmp_path_factory.mktemp("objects")
    part = PARTS["two arms"][0].copy()
    part.apply_scale(1000)
    part.export(home / "part.stl")
    return add_object(home / "part.stl", "two_arms", home / "models", "mm", bop_id=4), home


def test_a_new_folder_is_whole(added):
    done, home = added
    assert sorted(p.name for p in done.card.folder.iterdir()) == [
        "README.md", "card.yaml", "mesh.ply", "onboarding.png", "surface.npz",
    ]  # fmt: skip
    assert [p.name for p in (home / "models").iterdir()] == ["two_arms"]  # nothing left lying about
    card = load_card(home / "models" / "two_arms")
    assert card.bop_id == 4 and card.network is None
    assert card.diameter_m == pytest.approx(done.card.diameter_m)
    assert card.surface.points_m.shape == (8192, 3) and card.surface.visible.shape == (642, 2048)
    assert len(card.symmetry.discrete) == 2
    readme = (card.folder / "README.md").read_text()
    assert (
        "180 deg about (0.00, 0.00, 1.00)" in readme
        and "part.stl" in readme
        and "| unit of the mesh file | mm |" in readme
    )


def test_the_picture_shows_the_frame(added):
    image = pytest.importorskip("PIL.Image")
    with image.open(added[0].card.folder / "onboarding.png") as picture:
        colours = np.asarray(picture.convert("RGB")).astype(int)
    for wanted in ((214, 39, 40), (44, 160, 44), (31, 119, 180), (176, 0, 176)):  # x, y, z, symmetry
        assert (np.abs(colours - wanted).max(axis=-1) < 12).sum() > 100


def test_an_existing_object_is_not_overwritten(added):
    done, home = added
    before = (done.card.folder / "card.yaml").read_bytes()
    with pytest.raises(CardError, match="exists already; pass --force"):
        add_object(home / "part.stl", "two_arms", home / "models", "mm")
    assert (done.card.folder / "card.yaml").read_bytes() == before


@pytest.fixture
def quick(monkeypatch):
    """Onboarding without its search: a box's symmetry, or the declared one."""

    def known(mesh, surface, declared):
        half_turn = np.diag([-1.0, -1.0, 1.0, 1.0])
        return Similarity(declared or Symmetry(np.stack([np.eye(4), half_turn])), (), (), ())

    monkeypatch.setattr(onboard, "sample_surface", quick_surface)
    monkeypatch.setattr(onboard, "find_similarity", known)


NETWORK = {"file": "pose.onnx", "sha256": "00"}


@pytest.fixture
def trained(tmp_path, quick):
    """A small object that says it was trained."""
    make.box((0.1, 0.07, 0.03)).export(tmp_path / "box.ply")
    done = add_object(tmp_path / "box.ply", "box", tmp_path / "models", "m")
    folder = done.card.folder
    (folder / "pose.onnx").write_bytes(b"network")
    (folder / "training").mkdir()
    (folder / "training" / "log.json").write_text("[]")
    save_card(replace(done.card, network=NETWORK, training={"views": 1}, meshes_seen=("box",)))
    return folder


def test_force_keeps_a_training_that_still_holds(trained):
    models = trained.parent
    done = add_object(models.parent / "box.ply", "box", models, "m", force=True)
    assert "are the same: the old training is kept (pose.onnx, training)" in done.notes[0]
    assert (trained / "pose.onnx").read_bytes() == b"network"
    assert (trained / "training" / "log.json").exists()
    card = load_card(trained)
    assert card.network == NETWORK and card.training == {"views": 1} and card.meshes_seen == ("box",)


def test_force_drops_a_training_that_does_not_hold_and_says_so(trained):
    models = trained.parent
    done = add_object(models.parent / "box.ply", "box", models, "m", symmetry="none", force=True)
    assert "the old training is dropped (pose.onnx, training); train again" in done.notes[0]
    assert not (trained / "pose.onnx").exists() and load_card(trained).network is None
    assert [p.name for p in models.iterdir()] == ["box"]


def test_a_failure_leaves_nothing_behind(tmp_path, quick, monkeypatch):
    make.box((0.1, 0.07, 0.03)).export(tmp_path / "box.ply")

    def fail(*_):
        raise MeshError("the picture fails.")

    monkeypatch.setattr(onboard, "draw_onboarding", fail)
    with pytest.raises(MeshError, match="picture"):
        add_object(tmp_path / "box.ply", "box", tmp_path / "models", "m")
    assert list((tmp_path / "models").iterdir()) == []


def test_bad_words_are_refused_before_any_work(tmp_path):
    with pytest.raises(CardError, match="for example 'my_part'"):
        add_object(tmp_path / "part.ply", "My Part", tmp_path)
    with pytest.raises(CardError, match="expected auto, none or a readable YAML file"):
        add_object(tmp_path / "part.ply", "part", tmp_path, symmetry="yes")
    with pytest.raises(MeshError, match="no such file"):
        add_object(tmp_path / "part.ply", "part", tmp_path)


def test_symmetry_from_a_file(tmp_path):
    path = tmp_path / "symmetry.yaml"
    half_turn = np.diag([-1.0, -1.0, 1.0, 1.0]).tolist()
    path.write_text(json.dumps({"discrete": [np.eye(4).tolist(), half_turn]}))
    symmetry = onboard._declared_symmetry(str(path))
    assert len(symmetry.discrete) == 2 and np.array_equal(symmetry.discrete[0], np.eye(4))
    path.write_text("axes: [{direction: [0, 0, 1], origin_m: [0, 0, 0.1]}]")
    assert onboard._declared_symmetry(str(path)).axes[0].origin_m[2] == 0.1
    quarter_turn = turn(Axis(np.array([0.0, 0.0, 1.0]), np.zeros(3)), np.pi / 2)
    path.write_text(json.dumps({"discrete": [quarter_turn.tolist()]}))
    assert len(onboard._declared_symmetry(str(path)).discrete) == 4
    for text in ("", "turns: 3", "- 1", "a: [", "discrete: 3", "axes: {direction: 1}"):
        path.write_text(text)
        with pytest.raises(CardError, match=r"symmetry\.yaml"):
            onboard._declared_symmetry(str(path))
    path.write_text(json.dumps({"discrete": [np.diag([1.0, 1.0, -1.0, 1.0]).tolist()]}))
    with pytest.raises(CardError, match="no mirror"):
        onboard._declared_symmetry(str(path))


def test_motions_in_words():
    axis = Axis(np.array([0.0, 0.0, -1.0]), np.zeros(3))
    assert describe(turn(axis, np.pi)) == "180 deg about (0.00, 0.00, 1.00)"
    assert describe(turn(axis, np.pi / 2)) == "90 deg about (0.00, 0.00, -1.00)"


@pytest.mark.parametrize("name", ["mustard_bottle", "gelatin_box", "potted_meat_can", "banana", "bowl", "mug"])
def test_shipped_symmetries_agree_with_the_data_set(name, data_folder, repository):
    """Every declared symmetry is ours too, and every one of ours is declared, strictly or as what depth cannot tell."""
    info = data_folder / "ycbv" / "models" / "models_info.json"
    if not info.is_file():
        pytest.skip("no models of ycbv beside the recordings")
    card = load_card(repository / "models" / name)
    told = json.loads(info.read_text())[str(card.bop_id)]
    assert card.diameter_m == pytest.approx(told["diameter"] / 1000, abs=1e-6)
    strict = [np.reshape(T, (4, 4)) for T in told.get("symmetries_discrete", [])]
    for T in strict:
        assert np.degrees(rotation_error(np.eye(4), T, card.symmetry)) < 2.0
    axes = told.get("symmetries_continuous", [])
    assert len(axes) == len(card.symmetry.axes)
    for theirs, ours in zip(axes, card.symmetry.axes):
        assert abs(np.dot(theirs["axis"], ours.direction)) > np.cos(np.radians(1.0))
        off = np.cross(np.array(theirs["offset"]) / 1000 - ours.origin_m, ours.direction)
        assert np.linalg.norm(off) < 0.001
    told_motions = strict + [np.reshape(T, (4, 4)) for T in told.get("symmetries_depth", [])]
    for T in card.symmetry.discrete[1:]:
        assert min(np.degrees(angle(T[:3, :3].T @ M[:3, :3])) for M in told_motions) < 2.0
    for M in told_motions:  # what depth cannot tell is proposed at least
        known = [rotation_error(M, E, card.symmetry) for E in (np.eye(4), *card.confusions)]
        assert np.degrees(min(known)) < 3.0
