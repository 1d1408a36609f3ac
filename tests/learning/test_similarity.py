"""Symmetries and confusions of parts whose symmetry is known, and of the shipped objects."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("trimesh")
pytest.importorskip("open3d")
import trimesh
from learning_parts import PARTS, join, make, placed, quick_surface

from pose_node.geometry.se3 import angle
from pose_node.geometry.symmetry import Axis, Symmetry, rotation_error, turn
from pose_node.learning.similarity import find_similarity
from pose_node.learning.similarity_text import fold_axes, motion_text, symmetry_texts
from pose_node.objects.card import load_card

pytestmark = pytest.mark.learning


@pytest.mark.parametrize("name", PARTS)
def test_known_symmetries_are_found(name):
    part, discrete, axes = PARTS[name]
    mesh, T = placed(part)
    found = find_similarity(mesh, quick_surface(mesh)).symmetry
    assert (len(found.discrete), len(found.axes)) == (discrete, axes)
    for a in found.discrete:  # an exact group
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


LARGE = {  # name: (part, size of its group)
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
def test_long_and_large_parts_have_no_symmetry_that_a_camera_would_see_through(name):
    part, motions = LARGE[name]
    mesh, _ = placed(part)
    found = find_similarity(mesh, quick_surface(mesh))
    assert (len(found.symmetry.discrete), len(found.symmetry.axes)) == (motions, 0)


@pytest.mark.parametrize(("teeth", "hub"), [(31, True), (32, False), (100, True)])
def test_a_gear_has_as_many_symmetries_as_teeth(teeth, hub):
    mesh, T = placed(gear(teeth, hub))
    found = find_similarity(mesh, quick_surface(mesh))
    assert len(found.symmetry.axes) == 0
    assert len(found.symmetry.discrete) == (teeth if hub else 2 * teeth)  # without a hub its ends can be swapped
    order, _, direction = fold_axes(found.symmetry)[0]
    assert order == teeth and abs(direction @ T[:3, 2]) > np.cos(np.radians(0.1))
    assert symmetry_texts(found)[0].startswith(f"{teeth}-fold about (")
    group = found.symmetry.discrete
    products = np.einsum("aij,bjk->abik", group[:5], group)
    apart = np.abs(products[:, :, None] - group).max(axis=(-2, -1)).min(axis=-1)
    assert apart.max() < 1e-9


def test_a_faceted_round_part_is_round():
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


def test_the_body_of_a_cup_is_a_confusion_axis():
    body = make.cylinder(radius=0.04, height=0.09, sections=64)
    handle = make.box(bounds=[[0.038, -0.006, -0.03], [0.07, 0.006, 0.03]])
    mesh, T = placed(trimesh.util.concatenate([body, handle]))
    found = find_similarity(mesh, quick_surface(mesh))
    assert len(found.symmetry.axes) == 0
    assert len(found.confusion_axes) == 1
    axis = found.confusion_axes[0]
    assert abs(axis.direction @ T[:3, 2]) > np.cos(np.radians(1.0))
    assert np.linalg.norm(np.cross(axis.origin_m - T[:3, 3], T[:3, 2])) < 0.001  # the body's, not the whole's


def test_half_turns_that_leave_most_of_the_surface_in_place_are_confusions():
    bottle = trimesh.util.concatenate(
        [make.box((0.04, 0.08, 0.16)), make.box(bounds=[[-0.01, -0.01, 0.08], [0.01, 0.01, 0.1]])]
    )
    mesh, T = placed(bottle)
    found = find_similarity(mesh, quick_surface(mesh))
    assert len(found.symmetry.discrete) == 2
    upside_down = [c for c in found.confusions if (c.T[:3, :3] @ T[:3, 2]) @ T[:3, 2] < -0.98]
    assert upside_down and upside_down[0].overlap > 0.7


def test_a_declared_symmetry_is_used_unchanged():
    mesh, _ = placed(PARTS["cube"][0])
    declared = Symmetry(np.eye(4)[None])
    assert len(find_similarity(mesh, quick_surface(mesh), declared).symmetry.discrete) == 1


def test_the_search_is_deterministic():
    mesh, _ = placed(PARTS["corner"][0])
    a, b = (find_similarity(mesh, quick_surface(mesh)) for _ in range(2))
    assert np.array_equal(a.symmetry.discrete, b.symmetry.discrete)
    assert [c.T.tolist() for c in a.confusions] == [c.T.tolist() for c in b.confusions]


def test_motion_text():
    axis = Axis(np.array([0.0, 0.0, -1.0]), np.zeros(3))
    assert motion_text(turn(axis, np.pi)) == "180 deg about (0.00, 0.00, 1.00)"
    assert motion_text(turn(axis, np.pi / 2)) == "90 deg about (0.00, 0.00, -1.00)"


@pytest.mark.parametrize("name", ["mustard_bottle", "gelatin_box", "potted_meat_can", "banana", "bowl", "mug"])
def test_shipped_symmetries_agree_with_the_data_set(name, data_folder, repository):
    """Ours contains every symmetry that the data set declares; each of ours is declared, or invisible to depth."""
    info = data_folder / "ycbv" / "models" / "models_info.json"
    if not info.is_file():
        pytest.skip("no models of ycbv beside the recordings")
    card = load_card(repository / "models" / name)
    declared = json.loads(info.read_text())[str(card.bop_id)]
    assert card.diameter_m == pytest.approx(declared["diameter"] / 1000, abs=1e-6)
    strict = [np.reshape(T, (4, 4)) for T in declared.get("symmetries_discrete", [])]
    for T in strict:
        assert np.degrees(rotation_error(np.eye(4), T, card.symmetry)) < 2.0
    axes = declared.get("symmetries_continuous", [])
    assert len(axes) == len(card.symmetry.axes)
    for theirs, ours in zip(axes, card.symmetry.axes):
        assert abs(np.dot(theirs["axis"], ours.direction)) > np.cos(np.radians(1.0))
        off = np.cross(np.array(theirs["offset"]) / 1000 - ours.origin_m, ours.direction)
        assert np.linalg.norm(off) < 0.001
    declared_motions = strict + [np.reshape(T, (4, 4)) for T in declared.get("symmetries_depth", [])]
    for T in card.symmetry.discrete[1:]:
        assert min(np.degrees(angle(T[:3, :3].T @ M[:3, :3])) for M in declared_motions) < 2.0
    for M in declared_motions:  # what depth cannot distinguish is at least a confusion
        known = [rotation_error(M, E, card.symmetry) for E in (np.eye(4), *card.confusions)]
        assert np.degrees(min(known)) < 3.0
