"""Unions of pieces by size: an object in two halves is united, what is too large is refused, whichever way it is turned."""

from __future__ import annotations

import numpy as np

from pose_node.detection.size_match import size_matches
from pose_node.geometry.se3 import apply, exp_so3, transform
from pose_node.measurement.sensor import DEFAULT


def seen(block, pose):
    cloud, mask = block.see(pose)
    return cloud.points_m[mask.ravel()[cloud.source_index]]


def found(block, points, pieces, gap_m=0.01):
    range_m = np.linalg.norm(points, axis=1)
    return size_matches(points, range_m, pieces, {"block": block.card}, np.full(len(points), gap_m), DEFAULT)


def test_two_halves_are_one_object(block, pose):
    points = seen(block, pose)
    left = points[:, 0] < np.median(points[:, 0])
    best = found(block, points, [np.flatnonzero(left), np.flatnonzero(~left)])[0]
    assert len(best.rows) == len(points)
    assert best.objects[0][1] == "block"


def test_halves_that_lie_apart_are_not(block, pose):
    points = seen(block, pose)
    left = points[:, 0] < np.median(points[:, 0])
    points = points + np.where(left, -0.02, 0.02)[:, None] * np.array([1.0, 0.0, 0.0])
    assert all(len(c.rows) < len(points) for c in found(block, points, [np.flatnonzero(left), np.flatnonzero(~left)]))


def test_pieces_larger_than_every_view_do_not_match(block, pose):
    points = seen(block, pose)
    centre = points.mean(axis=0)
    assert found(block, centre + 1.5 * (points - centre), [np.arange(len(points))]) == []


def test_pieces_too_far_away_do_not_match(block, pose):
    points = seen(block, pose)
    assert found(block, points + np.array([0.0, 0.0, 5.0]), [np.arange(len(points))]) == []


def test_a_motion_changes_nothing(block, pose):
    points = seen(block, pose)
    left = points[:, 0] < np.median(points[:, 0])
    pieces = [np.flatnonzero(left), np.flatnonzero(~left)]
    M = transform(exp_so3(np.array([0.4, -1.0, 2.0])), np.zeros(3))
    still, moved = found(block, points, pieces), found(block, apply(M, points), pieces)
    assert [c.rows.tolist() for c in still] == [c.rows.tolist() for c in moved]
    assert np.allclose([c.objects[0][0] for c in still], [c.objects[0][0] for c in moved])


def test_without_pieces_there_is_no_match(block):
    assert found(block, np.zeros((0, 3)), []) == []
