"""Cards: what is written is read, and every way in which a folder can be wrong has its own sentence."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pose_node.errors import CardError
from pose_node.geometry.symmetry import Axis, Symmetry, turn
from pose_node.objects.card import ObjectCard, Surface, check_name, load_card, save_card, save_surface


@pytest.fixture
def card(tmp_path, rng):
    """A ball of 0.1 m with a card that uses every field, written to ``part/``."""
    folder = tmp_path / "part"
    folder.mkdir()
    normals = rng.normal(size=(500, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    views = normals[:10]
    surface = Surface(0.05 * normals, normals, views, (normals @ views.T > 0).T[:, :200])
    axis = Axis(np.array([0.0, 0.6, 0.8]), np.array([0.01, 0.0, 0.0]))
    made = ObjectCard(
        name="part",
        folder=folder,
        diameter_m=0.1,
        centre_m=np.array([0.001, 0.002, 0.003]),
        symmetry=Symmetry(np.stack([np.eye(4), turn(axis, np.pi)]), (axis,)),
        confusions=turn(axis, np.array([1.0, 2.0])),
        confusion_axes=(axis,),
        surface=surface,
        mesh_path=folder / "mesh.ply",
        bop_id=7,
        network={"file": "pose.onnx", "sha256": "00", "opset": 17, "parity_max_rel": np.float64(1e-6)},
        training={"views": np.int64(100), "shape": (1, 2)},
        scores={"recall": 0.9},
        meshes_seen=("part", "box_1"),
    )
    (folder / "mesh.ply").write_bytes(b"ply\n")
    save_surface(folder / "surface.npz", surface)
    save_card(made)
    return made


def edited(card, **changes):
    """Overwrite keys of the card's YAML; None removes one."""
    path = card.folder / "card.yaml"
    values = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        values.pop(key, None)
        if value is not None:
            values[key] = value
    path.write_text(yaml.safe_dump(values))


def rewritten(card, **changes):
    """Overwrite arrays of surface.npz; None removes one."""
    path = card.folder / "surface.npz"
    with np.load(path) as data:
        arrays = {**data}
    arrays.update(changes)
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})


def refused(card, *words):
    with pytest.raises(CardError) as caught:
        load_card(card.folder)
    message = str(caught.value)
    assert str(card.folder) in message and "\n" not in message
    for word in words:
        assert word in message


def test_what_is_written_is_read(card):
    read = load_card(card.folder)
    assert (read.name, read.bop_id, read.diameter_m) == ("part", 7, 0.1)
    np.testing.assert_allclose(read.centre_m, card.centre_m)
    np.testing.assert_allclose(read.symmetry.discrete, card.symmetry.discrete, atol=1e-8)
    np.testing.assert_allclose(read.confusions, card.confusions, atol=1e-8)
    for a, b in zip((*read.symmetry.axes, *read.confusion_axes), (*card.symmetry.axes, *card.confusion_axes)):
        np.testing.assert_allclose(a.direction, b.direction)
        np.testing.assert_allclose(a.origin_m, b.origin_m)
    np.testing.assert_allclose(read.surface.points_m, card.surface.points_m, atol=1e-7)
    assert np.array_equal(read.surface.visible, card.surface.visible)
    assert read.surface.visible.dtype == bool
    assert read.network == {"file": "pose.onnx", "sha256": "00", "opset": 17, "parity_max_rel": 1e-6}
    assert read.training == {"views": 100, "shape": [1, 2]}
    assert read.meshes_seen == ("part", "box_1")


def test_rotations_are_exact_after_reading(card):
    R = load_card(card.folder).confusions[:, :3, :3]
    np.testing.assert_allclose(R @ np.swapaxes(R, -1, -2), np.tile(np.eye(3), (2, 1, 1)), atol=1e-14)


def test_a_symmetry_that_is_no_group_is_completed(card):
    quarter_turn = turn(Axis(np.eye(3)[2], np.zeros(3)), np.pi / 2)
    edited(card, symmetry={"discrete": [quarter_turn.tolist()], "axes": []})
    assert len(load_card(card.folder).symmetry.discrete) == 4


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_card_with_anything_in_place_of_a_value_is_read_or_refused(card, data):
    save_card(card)
    path = card.folder / "card.yaml"
    values = yaml.safe_load(path.read_text())
    place = values
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        inner = place[key]
        if not (isinstance(inner, (dict, list)) and inner and data.draw(st.booleans())):
            break
        place = inner
    place[key] = data.draw(ANYTHING)
    path.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    try:
        load_card(card.folder)
    except CardError as error:
        assert "\n" not in str(error)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10**6), value=st.binary(max_size=6), cut=st.booleans())
def test_a_damaged_surface_is_read_or_refused(card, at, value, cut):
    path = card.folder / "surface.npz"
    save_surface(path, card.surface)
    content = bytearray(path.read_bytes())
    at %= len(content)
    content[at : at + len(value)] = value
    path.write_bytes(bytes(content[:at] if cut else content))
    try:
        load_card(card.folder)
    except CardError as error:
        assert str(path) in str(error)


def test_writing_again_changes_no_byte(card):
    before = (card.folder / "card.yaml").read_bytes()
    save_card(load_card(card.folder))
    assert (card.folder / "card.yaml").read_bytes() == before


def test_nothing_optional_is_needed(card):
    save_card(replace(card, bop_id=None, network=None, training={}, scores={}, meshes_seen=()))
    edited(card, bop_id=None, network=None, training=None, scores=None, meshes_seen=None)
    read = load_card(card.folder)
    assert read.bop_id is None and read.network is None and read.training == {}


def test_reading_is_fast(card):
    load_card(card.folder)
    start = time.perf_counter()
    load_card(card.folder)
    assert time.perf_counter() - start < 0.25  # 10 ms on a quiet machine


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"diameter": 0.1}, ["unknown key 'diameter'", "did you mean 'diameter_m'?"]),
        ({"diameter_m": None}, ["'diameter_m' is missing"]),
        ({"diameter_m": "0.1"}, ["diameter_m", "expected float"]),
        ({"diameter_m": True}, ["diameter_m is True"]),
        ({"diameter_m": 100.0}, ["diameter of 100 m", "probably millimetres"]),
        ({"diameter_m": 0.0001}, ["diameter of 0.0001 m"]),
        ({"diameter_m": float("nan")}, ["diameter of nan"]),
        ({"format": 2}, ["card format 2", "expected 1"]),
        ({"name": "Part"}, ["expected"]),
        ({"name": "other"}, ["'other'", "expected the folder's, 'part'"]),
        ({"centre_m": [0.0, 1.0]}, ["centre_m", "three finite numbers"]),
        ({"centre_m": ["a", 0, 0]}, ["centre_m", "three numbers"]),
        ({"symmetry": {"discrete": []}}, ["symmetry", "'axes' is missing"]),
        ({"symmetry": []}, ["symmetry is []", "expected dict"]),
        (
            {"symmetry": {"discrete": [turn(Axis(np.eye(3)[2], np.zeros(3)), 1.0).tolist()], "axes": []}},
            ["symmetry", "expected a finite group"],
        ),
        ({"confusions": [[[1, 0], [0, 1]]]}, ["confusions[0]", "four rows of four numbers"]),
        ({"confusions": ["turn"]}, ["confusions[0]", "four rows of four numbers"]),
        ({"confusions": [np.diag([1.0, 1.0, -1.0, 1.0]).tolist()]}, ["not a rotation", "no mirror"]),
        ({"confusions": [np.diag([2.0, 2.0, 2.0, 1.0]).tolist()]}, ["not a rotation", "no scale"]),
        ({"confusions": [(np.eye(4) + 100 * np.eye(4, k=3)).tolist()]}, ["translation of 100 m", "expected metres"]),
        ({"confusion_axes": [{"direction": [0, 0, 2], "origin_m": [0, 0, 0]}]}, ["length 2", "unit vector"]),
        ({"confusion_axes": [3]}, ["confusion_axes[0]", "expected a mapping"]),
        ({"mesh": "other.ply"}, ["other.ply", "no such file"]),
        ({"surface": "other.npz"}, ["other.npz", "no such file"]),
        ({"network": {}}, ["network", "file is None"]),
        ({"network": {"file": "pose.onnx"}}, ["network", "sha256 is None"]),
        (
            {"network": {"file": "/elsewhere/pose.onnx", "sha256": "00"}},
            ["network.file", "'/elsewhere/pose.onnx'", "a file in"],
        ),
        ({"network": {"file": "../other/pose.onnx", "sha256": "00"}}, ["network.file", "a file in"]),
        ({"mesh": "../other/mesh.ply"}, ["mesh", "'../other/mesh.ply'", "a file in"]),
        ({"surface": "/surface.npz"}, ["surface", "a file in"]),
        ({"mesh": ".."}, ["mesh", "a file in"]),
        ({"diameter_m": 10**400}, ["diameter of inf"]),
        ({"centre_m": [10**400, 0, 0]}, ["centre_m", "three numbers"]),
    ],
    ids=str,
)
def test_a_wrong_card_is_refused(card, changes, words):
    edited(card, **changes)
    if "name" in changes and changes["name"] == "Part":
        with pytest.raises(CardError, match="object name: found 'Part'"):
            load_card(card.folder)
    else:
        refused(card, *words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", ["found NoneType", "a mapping"]),
        (b"- 1\n", ["found list"]),
        (b"name: [\n", ["is not YAML"]),
        (b"\xff\xfe\x00", ["is not YAML"]),
    ],
)
def test_a_corrupt_card_is_refused(card, text, words):
    (card.folder / "card.yaml").write_bytes(text)
    refused(card, *words)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(CardError, match=r"card\.yaml: cannot be read \(No such file or directory\)"):
        load_card(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"normals": None}, ["found arrays", "expected ['normals'"]),
        ({"extra": np.zeros(1)}, ["found arrays"]),
        ({"points_m": np.zeros((500, 2))}, ["points_m has shape (500, 2)", "expected (N, 3)"]),
        ({"points_m": np.zeros((0, 3))}, ["points_m has shape (0, 3)"]),
        ({"normals": np.eye(3)}, ["500 points and 3 normals"]),
        ({"points_m": np.full((500, 3), np.nan)}, ["not finite"]),
        ({"normals": np.full((500, 3), 0.1)}, ["not of length one"]),
        ({"points_m": np.full((500, 3), 1.0)}, ["span 0 m", "diameter, 0.1 m"]),
        ({"visible": np.zeros((10, 25), bool)}, ["visible is bool", "packed bits"]),
        ({"visible": np.zeros((9, 25), np.uint8)}, ["9 rows", "10 view directions"]),
    ],
    ids=str,
)
def test_a_wrong_surface_is_refused(card, changes, words):
    rewritten(card, **changes)
    refused(card, "surface.npz", *words)


@pytest.mark.parametrize("junk", [b"", b"PK\x03\x04 cut off", b"no archive"])
def test_a_corrupt_surface_is_refused(card, junk):
    (card.folder / "surface.npz").write_bytes(junk)
    refused(card, "surface.npz", "cannot be read")


def test_a_surface_cut_off_in_the_middle_is_refused(card):
    path = card.folder / "surface.npz"
    path.write_bytes(path.read_bytes()[:-2000])
    refused(card, "surface.npz", "cannot be read")


@pytest.mark.parametrize("name", ["mug", "mug_2", "a", "mustard_bottle", "m3t"])
def test_names_that_ros_takes(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("Mug", "mug"),
        ("mustard bottle", "mustard_bottle"),
        ("006_mustard_bottle", "mustard_bottle"),
        ("mug__2", "mug_2"),
        ("_mug_", "mug"),
        ("mug-2.stl", "mug_2_stl"),
        ("mug\n", "mug"),
        ("", "object"),
        ("123", "object"),
        ("../mug", "mug"),
    ],
)
def test_other_names_are_refused_with_one_that_goes(name, suggestion):
    with pytest.raises(CardError, match=f"for example '{suggestion}'"):
        check_name(name)
    assert check_name(suggestion) == suggestion


def test_the_box_of_a_surface_is_the_smallest_along_the_axes(card):
    points = card.surface.points_m
    low, high = card.surface.box_m
    assert (points >= low).all() and (points <= high).all()
    assert all(np.isclose(points, corner).any(axis=0).all() for corner in (low, high))
