"""Axes of confusion: the covariance covers what the view leaves open."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_node.config import JudgeConfig
from pose_node.geometry.symmetry import Axis
from pose_node.pose.ambiguity import close_gaps, run_around
from pose_node.types import Hypothesis


def test_an_axis_of_confusion_widens_the_covariance_by_what_the_view_allows(block, stages_of, seen, pose):
    axis = Axis(np.array([0.0, 0.0, 1.0]), np.zeros(3))
    cloud, segment = seen(pose)
    spread = []
    for margin in (0.01, 1.0):
        card = replace(block.card, confusion_axes=(axis,))
        stages = stages_of({"block": card}, JudgeConfig(alternatives_margin=margin))
        _, (estimate,), _ = stages.run(cloud, [Hypothesis("block", pose, segment, "match")])
        u = estimate.T_camera_object[:3, :3] @ axis.direction
        spread.append(u @ estimate.covariance[3:, 3:] @ u)
    assert spread[0] < np.deg2rad(10) ** 2 and spread[1] == pytest.approx(np.pi**2 / 3, rel=0.05)


def test_the_run_around_a_place_on_the_circle():
    allowed = np.array([True, True, False, True, False, True])
    assert run_around(allowed, 0).tolist() == [True, True, False, False, False, True]
    assert run_around(np.ones(4, bool), 2).all()
    assert run_around(np.array([False, True]), 0).tolist() == [False, False]


def test_narrow_gaps_are_closed_and_wide_ones_are_not():
    allowed = np.array([True, False, False, True, False, False, False, False, False, False])
    assert close_gaps(allowed, 2).tolist() == [True, True, True, True, False, False, False, False, False, False]
