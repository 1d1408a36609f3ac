"""Surface pieces: divided at concave creases and gaps, whole over convex edges, whichever way the cloud is turned."""

from __future__ import annotations

import numpy as np
import pytest
from detection.sheets import SIDE, bent

from pose_node.detection.neighbourhood import neighbourhood
from pose_node.detection.surface_pieces import components, pieces
from pose_node.geometry.se3 import apply, exp_so3, transform
from pose_node.measurement.sensor import DEFAULT

GAP_M = 0.012


def split(points, viewpoint=(0.0, 0.0, 0.0), pixels=None):
    around = neighbourhood(points, np.asarray(viewpoint), pixels, DEFAULT)
    return pieces(around, np.zeros(len(points), bool), np.full(len(points), GAP_M))[0]


@pytest.mark.parametrize("image", [True, False])
@pytest.mark.parametrize(("angle_deg", "count"), [(90.0, 2), (-90.0, 1), (0.0, 1)])
def test_concave_creases_divide_and_convex_edges_do_not(angle_deg, count, image):
    points, pixels = bent(angle_deg)
    found = split(points, pixels=pixels if image else None)
    assert len(found) == count
    assert sum(map(len, found)) > 0.95 * len(points)


def test_a_gap_divides():
    points, pixels = bent(0.0)
    points[points[:, 1] > 0, 2] += 0.05
    assert len(split(points, pixels=pixels)) == 2


def test_the_inside_of_a_bowl_is_one_piece():
    row, column = (a.ravel() for a in np.indices((SIDE, SIDE)))
    x, y = (row - SIDE / 2) * 0.002, (column - SIDE / 2) * 0.002
    points = np.stack([x, y, 0.6 + np.sqrt(0.09**2 - np.minimum(x * x + y * y, 0.08**2))], axis=1)
    assert max(map(len, split(points, pixels=(row, column)))) > 0.9 * len(points)


@pytest.mark.parametrize("image", [True, False])
def test_a_motion_changes_nothing(image):
    points, pixels = bent(70.0)
    rng = np.random.default_rng(0)
    points = points + 0.0005 * rng.normal(size=points.shape)
    M = transform(exp_so3(np.array([0.4, -1.0, 2.0])), np.array([0.3, 0.1, -0.7]))
    still = split(points, pixels=pixels if image else None)
    moved = split(apply(M, points), M[:3, 3], pixels if image else None)
    assert [p.tolist() for p in still] == [p.tolist() for p in moved]


def test_components_keep_to_their_members():
    points, pixels = bent(0.0)
    member = np.abs(points[:, 1]) > 0.01
    label = components(neighbourhood(points, np.zeros(3), pixels, DEFAULT), member, np.full(len(points), GAP_M))
    assert (label[~member] == -1).all()
    assert len(np.unique(label[member])) == 2


def test_points_of_a_piece_next_to_its_support_are_marked():
    points, pixels = bent(90.0)
    support = points[:, 1] < -0.012
    around = neighbourhood(points, np.zeros(3), pixels, DEFAULT)
    _, at_support = pieces(around, support, np.full(len(points), GAP_M))
    assert at_support.any() and not at_support[support].any()
    assert np.abs(points[at_support, 1]).max() < 0.03
