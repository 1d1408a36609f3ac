"""surface.npz: damaged or invalid files are refused with a reason."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from objects.card_editing import refused, rewritten

from pose_node.errors import CardError
from pose_node.objects.card import load_card
from pose_node.objects.surface import save_surface


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


def test_a_truncated_surface_is_refused(card):
    path = card.folder / "surface.npz"
    path.write_bytes(path.read_bytes()[:-2000])
    refused(card, "surface.npz", "cannot be read")


def test_the_box_of_a_surface_is_the_smallest_along_the_axes(card):
    points = card.surface.points_m
    low, high = card.surface.box_m
    assert (points >= low).all() and (points <= high).all()
    assert all(np.isclose(points, corner).any(axis=0).all() for corner in (low, high))
