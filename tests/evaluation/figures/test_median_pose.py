"""The middle of many poses is where most of them are."""

from __future__ import annotations

import numpy as np
import pytest

from pose_node.evaluation.figures.median_pose import twists_from_median
from pose_node.geometry import se3


def pose(mm, degrees) -> np.ndarray:
    return se3.transform(se3.exp_so3(np.radians([0.0, 0.0, degrees])), [0.001 * mm, 0.0, 0.5])


def test_outliers_do_not_move_the_median():
    off = twists_from_median(np.stack([pose(0, 0), pose(1, 2), pose(-1, -2), pose(0, 0), pose(80, 90)]))
    assert 1000.0 * off[:, 0] == pytest.approx([0.0, 1.0, -1.0, 0.0, 80.0])
    assert np.degrees(off[:, 5]) == pytest.approx([0.0, 2.0, -2.0, 0.0, 90.0])
    assert np.allclose(off[:, 1:5], 0.0)


def test_it_may_be_that_of_some():
    poses = np.stack([pose(0, 0), pose(5, 10), pose(5, 10), pose(5, 10)])
    assert 1000.0 * twists_from_median(poses, poses[:1])[:, 0] == pytest.approx([0.0, 5.0, 5.0, 5.0])
