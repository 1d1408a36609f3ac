"""Association: estimates belong to the nearest track at their place, and to none elsewhere."""

from __future__ import annotations

import numpy as np

from pose_node.geometry.se3 import transform
from pose_node.tracking.association import assign, at_one_place

SHARP = np.diag([0.001] * 3 + [0.01] * 3) ** 2


def at(x):
    return transform(np.eye(3), np.array([x, 0.0, 0.8]))


def test_each_estimate_belongs_to_the_nearest_track_in_any_order(block):
    tracked = [(at(0.0), SHARP), (at(0.03), SHARP)]
    assert assign([(at(0.031), SHARP), (at(0.002), SHARP)], tracked, block.card) == {0: 1, 1: 0}


def test_an_estimate_elsewhere_belongs_to_none_unless_the_positions_are_that_uncertain(block):
    far, wide = at(0.5 * block.card.diameter_m), np.eye(6) * block.card.diameter_m**2
    assert assign([(far, SHARP)], [(at(0.0), SHARP)], block.card) == {}
    assert assign([(far, SHARP)], [(at(0.0), wide)], block.card) == {0: 0}


def test_nothing_is_assigned_to_nothing(block):
    assert assign([], [(at(0.0), SHARP)], block.card) == assign([(at(0.0), SHARP)], [], block.card) == {}


def test_a_place_is_a_quarter_of_the_diameter_wide(block):
    assert at_one_place(at(0.0), at(0.24 * block.card.diameter_m), block.card)
    assert not at_one_place(at(0.0), at(0.26 * block.card.diameter_m), block.card)
