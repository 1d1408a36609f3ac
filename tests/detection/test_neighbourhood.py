"""Normals and concavity of measured points."""

from __future__ import annotations

import numpy as np
from detection.sheets import bent

from pose_node.detection.neighbourhood import neighbourhood
from pose_node.measurement.sensor import DEFAULT


def test_a_flat_sheet_has_its_normal_and_no_concavity():
    points, pixels = bent(0.0)
    around = neighbourhood(points, np.zeros(3), pixels, DEFAULT)
    assert np.allclose(around.normals, [0.0, 0.0, -1.0], atol=1e-6)
    assert around.concavity.max() < 1e-6


def test_only_a_concave_crease_is_concave():
    for angle_deg, concave in ((90.0, True), (-90.0, False)):
        points, pixels = bent(angle_deg)
        around = neighbourhood(points, np.zeros(3), pixels, DEFAULT)
        crease = np.abs(points[:, 1]) < 0.002
        assert (around.concavity[crease].min() > 0.2) == concave
        assert np.median(around.concavity[~crease]) < 1e-6
