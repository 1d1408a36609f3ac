"""Flat surfaces with known noise: the fit finds the sensor again, and says when it cannot."""

from __future__ import annotations

import numpy as np
import pytest
from wall_clouds import SHAPE, K, wall

from pose_node.errors import InputError
from pose_node.evaluation.figures.plane_noise import fit_sensor, plane_tiles
from pose_node.measurement.cloud import Cloud


def walls(distances_m, **more):
    return [plane_tiles(wall(distance, seed, **more)) for seed, distance in enumerate(distances_m)]


def test_noise_of_independent_pixels_is_found():
    found = fit_sensor(walls((0.5, 0.8, 1.2, 1.6)), "walls")
    at = np.array([0.5, 1.0, 1.6])
    np.testing.assert_allclose(found.sensor.sigma_m(at), 0.0004 + 0.0015 * at**2, rtol=0.1)
    assert found.sensor.smoothing_rad == 0.0
    assert found.sensor.pitch_rad == pytest.approx(1.0 / 300.0, rel=0.15)
    assert found.sensor.bias_rel < 1e-3


def test_the_window_of_a_smoothing_camera_is_found():
    found = fit_sensor(walls((0.5, 0.8, 1.2, 1.6), window_px=1.5), "walls")
    assert found.sensor.smoothing_rad == pytest.approx(1.5 / 300.0, rel=0.25)
    assert found.preset in ("structured_light", "active_stereo")


def test_a_slow_bend_is_bias_and_no_noise():
    straight = fit_sensor(walls((0.6, 1.2)), "walls")
    bent = fit_sensor(walls((0.6, 1.2), bend_m=0.004), "walls")
    assert bent.sensor.bias_rel > 2.0 * straight.sensor.bias_rel
    assert bent.sensor.sigma_m(1.0) == pytest.approx(straight.sensor.sigma_m(1.0), rel=0.3)


def test_one_range_is_too_little():
    with pytest.raises(InputError, match=r"walls: found its plane from 1\.\d\d to 1\.\d\d m, expected ranges"):
        fit_sensor(walls((1.0,), tilt_rad=0.05), "walls")


def test_a_recording_without_a_plane_says_so():
    rng = np.random.default_rng(0)
    rubble = Cloud.from_depth(rng.uniform(0.5, 2.0, SHAPE), K)
    assert plane_tiles(rubble) == []
    with pytest.raises(InputError, match="rubble: found a plane in 0 of 3 frames"):
        fit_sensor([plane_tiles(rubble)] * 3, "rubble")


def test_a_bare_cloud_has_no_tiles():
    cloud = wall(1.0, 0)
    assert plane_tiles(Cloud.from_points(cloud.points_m)) == []
