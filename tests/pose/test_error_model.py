"""The errors that all frames of a camera share."""

from __future__ import annotations

import numpy as np
import pytest

from pose_node.measurement.sensor import DEFAULT
from pose_node.pose.error_model import add_bias, depth_bias, shared_covariance


def test_the_depth_bias_lies_along_the_line_of_sight_and_grows_with_range():
    away = np.array([0.1, 0.2, 0.6])
    np.testing.assert_allclose(np.cross(depth_bias(away, DEFAULT), away), 0.0, atol=1e-12)
    assert np.linalg.norm(depth_bias(away, DEFAULT)) == pytest.approx(0.0022, abs=2e-4)
    assert np.linalg.norm(depth_bias(2.0 * away, DEFAULT)) > np.linalg.norm(depth_bias(away, DEFAULT))


def test_the_shared_covariance_grows_with_range():
    assert np.trace(shared_covariance(2.0, DEFAULT)) > np.trace(shared_covariance(1.0, DEFAULT))


@pytest.mark.parametrize("size", [3, 6])
def test_a_bias_of_the_position_or_the_pose_is_added(size):
    bias = np.arange(1.0, size + 1.0)
    total = add_bias(np.eye(6), bias)
    np.testing.assert_array_equal(total[:size, :size], np.eye(size) + np.outer(bias, bias))
    np.testing.assert_array_equal(total[size:, size:], np.eye(6 - size))
