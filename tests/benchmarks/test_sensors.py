"""docs/sensors.md shows the committed figures, and names every preset and setting."""

from __future__ import annotations

import json
from dataclasses import fields

from benchmarks import results, sensors
from pose_node.config import SensorConfig
from pose_node.measurement.sensor import PRESETS

FIGURES = json.loads((results.FOLDER / "sensors.json").read_text())["figures"]


def test_the_table_is_that_of_the_results():
    assert "\n".join([sensors.BEGIN, *sensors.lines(FIGURES), sensors.END]) in sensors.PAGE.read_text()


def test_noise_of_real_planes_is_within_half_of_the_presets():
    for key in FIGURES:
        if key.endswith("_preset_sigma_mm"):
            measured = FIGURES[key.replace("_preset", "")]
            assert 0.5 < measured / FIGURES[key] < 1.5, key


def test_every_preset_and_setting_is_explained():
    page = sensors.PAGE.read_text()
    assert all(f"`{name}`" in page for name in PRESETS)
    assert all(f"`sensor.{field.name}`" in page for field in fields(SensorConfig))
