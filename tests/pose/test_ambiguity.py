"""Axes of confusion: the covariance covers what the view leaves open."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_node.geometry.se3 import angle
from pose_node.geometry.symmetry import Axis
from pose_node.pose.ambiguity import close_gaps, resolve_turns, run_around
from pose_node.pose.likelihood import Scores


class Likely:
    """Log-odds that fall by ``nats`` over a radian away from a pose."""

    def __init__(self, T, nats):
        self.T, self.nats = T, nats

    def score(self, T, view, **how):
        return Scores(4.0 - self.nats * angle(self.T[:3, :3].T @ T[:, :3, :3]), np.zeros(len(T)), None)


@pytest.mark.parametrize(("nats", "least_deg", "most_deg"), [(0.0, 102.0, 106.0), (100.0, 0.0, 10.0)])
def test_an_axis_of_confusion_widens_the_covariance_by_what_the_view_allows(block, pose, nats, least_deg, most_deg):
    axis = Axis(np.array([0.0, 0.0, 1.0]), np.zeros(3))
    card = replace(block.card, confusion_axes=(axis,))
    T, covariance = resolve_turns(pose, 1e-6 * np.eye(6), card, Likely(pose, nats), None, None)
    u = T[:3, :3] @ axis.direction
    assert least_deg <= np.degrees(np.sqrt(u @ covariance[3:, 3:] @ u)) <= most_deg


def test_the_run_around_a_place_on_the_circle():
    allowed = np.array([True, True, False, True, False, True])
    assert run_around(allowed, 0).tolist() == [True, True, False, False, False, True]
    assert run_around(np.ones(4, bool), 2).all()
    assert run_around(np.array([False, True]), 0).tolist() == [False, False]


def test_narrow_gaps_are_closed_and_wide_ones_are_not():
    allowed = np.array([True, False, False, True, False, False, False, False, False, False])
    assert close_gaps(allowed, 2).tolist() == [True, True, True, True, False, False, False, False, False, False]
