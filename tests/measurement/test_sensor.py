from __future__ import annotations

import numpy as np
import pytest

from pose_node.config import SensorConfig
from pose_node.measurement.sensor import PRESETS, Sensor


def test_every_preset_can_be_chosen():
    options = SensorConfig.__dataclass_fields__["preset"].metadata["options"]
    assert set(options) == set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_noise_and_bias_grow_with_the_range(name):
    sensor = Sensor.from_config(SensorConfig(preset=name))
    range_m = np.array([0.3, 1.0, 3.0])
    assert (np.diff(sensor.bias_m(range_m)) > 0.0).all()
    assert (np.diff(sensor.sigma_m(range_m)) >= 0.0).all()
    assert (sensor.tolerance_m(range_m) > np.hypot(sensor.sigma_m(range_m), sensor.bias_m(range_m))).all()


def test_a_stated_value_replaces_the_presets():
    sensor = Sensor.from_config(SensorConfig(preset="laser", smoothing_rad=0.0, bias_rel=0.002))
    assert sensor.bias_rel == 0.002
    assert sensor.smoothing_rad == 0.0
    assert sensor.noise_m == PRESETS["laser"].noise_m


def test_lengths_of_a_number_are_numbers():
    sensor = PRESETS["structured_light"]
    assert np.ndim(sensor.sigma_m(1.0)) == np.ndim(sensor.bias_m(1.0)) == np.ndim(sensor.tolerance_m(1.0)) == 0
