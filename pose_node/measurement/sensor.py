"""What a depth camera's readings are worth: noise by range, smoothing, pixel pitch and bias, in one object with presets.

Every tolerance, gate, sampling radius and covariance of the chain is a multiple of these lengths. ``docs/sensors.md`` has
the sources of the presets, and their comparison with real recordings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pose_node.arrays import Array
from pose_node.config import SensorConfig

_NORMAL_RAD = 0.35  # finer normals would need neighbourhoods that cut corners


@dataclass(frozen=True, slots=True)
class Sensor:
    """One kind of depth camera.

    noise_m, noise_per_m2: standard deviation of one reading along its ray, ``noise_m + noise_per_m2 * range^2``: the second
                           term is what a constant error of disparity or phase makes of the range.
    smoothing_rad:         standard deviation of the window over which the camera smooths depth, as an angle; 0: none.
    pitch_rad:             angle between neighbouring pixels of the sensor's own grid.
    bias_rel:              standard deviation of an error that all readings of a place have in common, as a share of the
                           range: calibration and slowly varying distortion, which averaging does not reduce.
    """

    noise_m: float
    noise_per_m2: float
    smoothing_rad: float
    pitch_rad: float
    bias_rel: float

    @classmethod
    def from_config(cls, config: SensorConfig) -> Sensor:
        """The preset, with the values that ``config`` states itself."""
        stated = {name: getattr(config, name) for name in ("noise_m", "noise_per_m2", "smoothing_rad", "bias_rel")}
        return replace(PRESETS[config.preset], **{name: value for name, value in stated.items() if value >= 0.0})

    def sigma_m(self, range_m: float | Array) -> Any:
        """Standard deviation in metres of one reading along its ray, at ``range_m`` (a number or an array)."""
        return self.noise_m + self.noise_per_m2 * np.square(range_m)

    def bias_m(self, range_m: float | Array) -> Any:
        """Standard deviation in metres of the error that neighbouring readings have in common, along the ray."""
        return self.bias_rel * np.asarray(range_m)[()]

    def correlation_m(self, range_m: float | Array) -> Any:
        """Distance in metres across the rays beyond which the noise of readings at ``range_m`` is independent.

        Noise smoothed by a window of deviation s is as informative as independent cells of side sqrt(4 pi) s.
        """
        return np.hypot(np.sqrt(4.0 * np.pi) * self.smoothing_rad, self.pitch_rad) * np.asarray(range_m)[()]

    def normal_radius_m(self, range_m: float | Array) -> Any:
        """Radius in metres of the neighbourhood whose plane has a normal that the noise turns by ``_NORMAL_RAD``.

        A plane through n independent readings within radius r has a slope of deviation 2 sigma / (r sqrt(n)).
        """
        spread = 2.0 / np.sqrt(np.pi) * self.sigma_m(range_m) * self.correlation_m(range_m)
        return np.sqrt(spread / _NORMAL_RAD)

    def tolerance_m(self, range_m: float | Array) -> Any:
        """Distance in metres within which a correct model and a reading agree: 99 % of noise and bias together."""
        return 2.6 * np.hypot(self.sigma_m(range_m), self.bias_m(range_m))


PRESETS = {
    "structured_light": Sensor(0.0005, 0.0015, 0.0029, 1 / 575, 0.0032),
    "active_stereo": Sensor(0.0003, 0.0024, 0.0072, 1 / 600, 0.004),
    "time_of_flight": Sensor(0.0014, 0.0004, 0.0, 1 / 365, 0.004),
    "laser": Sensor(0.00005, 0.00005, 0.0, 1 / 1000, 0.0005),
    "industrial_structured_light": Sensor(0.00003, 0.00012, 0.001, 1 / 1800, 0.0005),
}
DEFAULT = PRESETS[SensorConfig().preset]
