"""Declared symmetries: completed to a group where that is finite and small, refused with a reason otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pose_node.errors import CardError
from pose_node.geometry.se3 import exp_so3, transform
from pose_node.geometry.symmetry import Axis, Symmetry, rotation_error, turn
from pose_node.geometry.symmetry_group import MAX_MOTIONS, completed

CENTRE = np.array([0.02, -0.01, 0.03])
Z = Axis(np.array([0.0, 0.0, 1.0]), CENTRE)
X = Axis(np.array([1.0, 0.0, 0.0]), CENTRE)
NONE = np.eye(4)[None]


def with_identity(*motions):
    return np.stack([np.eye(4), *motions])


def about(R):
    return transform(R, CENTRE - R @ CENTRE)


def assert_group(discrete, count):
    assert len(discrete) == count and np.array_equal(discrete[0], np.eye(4))
    symmetry = Symmetry(discrete)
    products = (discrete[:, None] @ discrete[None]).reshape(-1, 4, 4)
    assert np.degrees(rotation_error(np.eye(4), products, symmetry)).max() < 1e-6


def test_a_quarter_turn_alone_becomes_four():
    A, B = np.eye(4), turn(Z, np.pi / 2)
    discrete, axes = completed(with_identity(B), (), "part")
    assert axes == ()
    assert_group(discrete, 4)
    there, back = (rotation_error(*pair, Symmetry(discrete)) for pair in ((A, B), (B, A)))
    assert there < 1e-9 and back < 1e-9


@settings(max_examples=40, deadline=None)
@given(fold=st.integers(2, 100), flipped=st.booleans(), seed=st.integers(0, 1000))
def test_turns_by_a_whole_fraction_are_closed(fold, flipped, seed):
    axis = Axis(Rotation.random(random_state=seed).as_matrix()[0], CENTRE)
    across = np.cross(axis.direction, Rotation.random(random_state=seed + 1).as_matrix()[0])
    flip = turn(Axis(across / np.linalg.norm(across), CENTRE), np.pi)
    generators = [turn(axis, 2 * np.pi / fold), *([flip] if flipped else [])]
    discrete, _ = completed(with_identity(*generators), (), "part")
    assert_group(discrete, fold * (2 if flipped else 1))
    np.testing.assert_allclose(discrete[:, :3, :3] @ CENTRE + discrete[:, :3, 3], np.tile(CENTRE, (len(discrete), 1)))


@pytest.mark.parametrize(("name", "count"), [("T", 12), ("O", 24), ("I", 60)])
def test_polyhedral_groups_grow_from_two_motions(name, count):
    R = Rotation.create_group(name).as_matrix()
    fine = [M for M in R if not np.allclose(M, np.eye(3))]
    for a, b in ((0, -1), (3, 5), (len(fine) // 2, 1)):
        discrete, _ = completed(with_identity(about(fine[a]), about(fine[b])), (), "part")
        assert count % len(discrete) == 0
        assert_group(discrete, len(discrete))
    discrete, _ = completed(with_identity(*map(about, fine)), (), "part")
    assert len(discrete) == count


def test_a_group_is_not_changed():
    group = turn(Z, np.arange(6) * np.pi / 3)
    assert completed(group, (), "part")[0] is group
    rounded = np.round(group, 8)
    assert completed(rounded, (), "part")[0] is rounded


def test_numbers_of_three_digits_are_made_exact():
    R = np.round(exp_so3(np.array([0, 0, np.pi / 3])), 3)
    discrete, _ = completed(with_identity(transform(R, np.round(CENTRE - R @ CENTRE, 3))), (), "part")
    assert_group(discrete, 6)


def test_a_round_part_keeps_its_axis_and_its_flip():
    flip = turn(X, np.pi)
    discrete, axes = completed(with_identity(flip, turn(Z, 0.5 * np.pi)), (Z, Z), "part")
    assert len(discrete) == 3 and axes == (Z,)  # an axis named twice is no ball
    ball = tuple(Axis(d, CENTRE) for d in np.eye(3))
    assert completed(NONE, ball, "part") == (NONE, ball)


def moved(T, *offset):
    T = T.copy()
    T[:3, 3] += offset
    return T


@pytest.mark.parametrize(
    ("motions", "axes", "words"),
    [
        ([turn(Z, 1.0)], (), f"more than {MAX_MOTIONS} products"),
        ([turn(Z, 0.5 * np.pi), turn(Axis(np.array([0.6, 0.0, 0.8]), CENTRE), 0.5 * np.pi)], (), "more than"),
        ([turn(Z, 0.001)], (), "less than 0.4 deg"),
        ([moved(np.eye(4), 0.1, 0, 0)], (), "less than 0.4 deg"),
        ([moved(turn(Z, np.pi), 0, 0, 0.05)], (), "repeating its motions shifts the object by 50 mm"),
        ([turn(Z, np.pi), turn(Axis(X.direction, CENTRE + np.array([0, 0.2, 0])), np.pi)], (), "shifts the object"),
        ([turn(X, 0.5 * np.pi)], (Z,), "turns the axis to another direction"),
        ([moved(turn(Z, np.pi), 0.1, 0, 0)], (Z,), "moves the axis sideways"),
        ([moved(turn(Z, np.pi), 0, 0, 0.1)], (Z,), "the axis is shifted by 100 mm"),
        ([turn(X, np.pi), moved(turn(X, np.pi), 0, 0, 0.1)], (Z,), "two motions that swap the ends"),
        ([], (Z, Axis(Z.direction, CENTRE + np.array([0.1, 0, 0]))), "parallel axes are 100 mm apart"),
        ([], (Z, Axis(X.direction, CENTRE + np.array([0, 0.1, 0]))), "pass each other at 100 mm"),
        ([moved(np.eye(4), 0.1, 0, 0)], (X, Z), "the centre of all turns is shifted by 100 mm"),
    ],
)
def test_motions_of_no_group_are_refused(motions, axes, words):
    with pytest.raises(CardError) as caught:
        completed(with_identity(*motions), axes, "part.yaml")
    message = str(caught.value)
    assert message.startswith("part.yaml") and words in message and "\n" not in message
