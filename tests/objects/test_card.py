"""Cards: what is written is read back, and each way in which a card can be invalid has its own sentence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from objects.card_editing import edited, refused

from pose_node.errors import CardError
from pose_node.geometry.symmetry import Axis, turn
from pose_node.objects.card import check_unchanged, load_card, save_card


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


def test_writing_again_changes_no_byte(card):
    before = (card.folder / "card.yaml").read_bytes()
    save_card(load_card(card.folder))
    assert (card.folder / "card.yaml").read_bytes() == before


def test_nothing_optional_is_needed(card):
    save_card(replace(card, bop_id=None, network=None, training={}, scores={}, meshes_seen=()))
    edited(card, bop_id=None, network=None, training=None, scores=None, meshes_seen=None)
    read = load_card(card.folder)
    assert read.bop_id is None and read.network is None and read.training == {}


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


def test_a_folder_that_is_written_to_after_it_was_read_is_refused(card):
    read = load_card(card.folder)
    check_unchanged(read)
    (card.folder / "mesh.ply").write_bytes(b"another")
    with pytest.raises(CardError, match="part: changed while it was read"):
        check_unchanged(read)
