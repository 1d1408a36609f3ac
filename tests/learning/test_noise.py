"""Each sensor model has the errors of its docstring, and none at strength 0."""

import numpy as np
import pytest

from pose_node.evaluation.figures.plane_noise import plane_tiles
from pose_node.learning import noise
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.sensor import PRESETS

K = np.array([[575.0, 0.0, 319.5], [0.0, 575.0, 239.5], [0.0, 0.0, 1.0]])
SENSORS = noise.sensors(variation=0.0)
IDS = np.zeros((120, 140), np.int16)


def flat(depth_m: float, shape=(120, 140)) -> tuple[np.ndarray, np.ndarray]:
    return np.full(shape, depth_m, np.float32), np.ones(shape, np.float32)


def step(near=0.8, far=1.2) -> tuple[np.ndarray, np.ndarray]:
    depth, cosine = flat(far)
    depth[30:90, 40:100] = near
    return depth, cosine


def spread(sensor, depth_m: float) -> float:
    """Standard deviation in metres about the mean of a wall."""
    values = []
    for seed in range(6):
        z = sensor.apply(*flat(depth_m)[:1], IDS, flat(depth_m)[1], K, np.random.default_rng(seed))
        values.append(np.std(z[z > 0]))
    return float(np.mean(values))


@pytest.mark.parametrize("sensor", noise.sensors(), ids=lambda s: s.name)
def test_a_seed_determines_the_bytes_and_the_input_is_unchanged(sensor):
    depth, cosine = step()
    before = depth.copy()
    one, two, other = (sensor.apply(depth, IDS, cosine, K, np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(depth, before)
    assert one.dtype == np.float32 and one.shape == depth.shape and np.isfinite(one).all() and (one >= 0).all()


@pytest.mark.parametrize("kind", [noise.StructuredLight, noise.TimeOfFlight, noise.ActiveStereo])
def test_without_strength_a_wall_is_measured_exactly(kind):
    depth, cosine = flat(0.9)
    z = kind(strength=0.0, variation=0.0).apply(depth, IDS, cosine, K, np.random.default_rng(0))
    quantum = 0.9**2 / 43.5 * 0.125 if kind is noise.StructuredLight else 0.9**2 / 32 * 0.03125
    assert np.abs(z - depth).max() <= quantum


@pytest.mark.parametrize("sensor", SENSORS, ids=lambda s: s.name)
def test_the_background_has_no_readings(sensor):
    depth, cosine = flat(0.9)
    depth[:, 60:], cosine[:, 60:] = 0, 0
    z = sensor.apply(depth, IDS, cosine, K, np.random.default_rng(0))
    assert (z[:, 70:] == 0).all() and (z[:, :50] > 0).mean() > 0.85


@pytest.mark.parametrize("sensor", SENSORS, ids=lambda s: s.name)
@pytest.mark.parametrize("depth_m", [1.0, 1.5])
def test_its_noise_is_that_of_the_preset(sensor, depth_m):
    depth, cosine = flat(depth_m, (480, 640))
    z = sensor.apply(depth, np.zeros(depth.shape, np.int16), cosine, K, np.random.default_rng(0))
    sigma_m = np.median([tile.sigma_m for tile in plane_tiles(Cloud.from_depth(z, K))])
    assert sigma_m == pytest.approx(PRESETS[sensor.name].sigma_m(depth_m), rel=0.3)


def test_triangulation_noise_grows_with_the_square_of_depth():
    light, stereo = SENSORS[0], SENSORS[2]
    for sensor in (light, stereo):
        ratio = spread(sensor, 1.4) / spread(sensor, 0.7)
        assert 3.0 < ratio < 5.5
    # Khoshelham & Elberink: 1.4 mm at a metre.
    assert 0.0010 < spread(light, 1.0) < 0.0022


def test_time_of_flight_noise_is_millimetres_and_grows_with_range():
    tof = SENSORS[1]
    assert 0.0008 < spread(tof, 0.5) < 0.004
    assert spread(tof, 1.4) > 1.2 * spread(tof, 0.5)


def test_structured_light_is_quantised_in_disparity():
    light = noise.StructuredLight(variation=0.0, calibration=noise.Calibration(0.0, 0.0))
    depth = np.tile(np.linspace(0.9, 1.0, 140, dtype=np.float32), (120, 1))
    z = light.apply(depth, IDS, np.ones_like(depth), K, np.random.default_rng(0))
    steps = np.unique(np.round(43.5 / z[z > 0] / 0.125 % 1.0, 3))
    assert len(steps) <= 2  # one phase, to rounding


@pytest.mark.parametrize("sensor", SENSORS, ids=lambda s: s.name)
def test_grazing_surfaces_are_lost(sensor):
    depth, cosine = flat(0.9)
    cosine[:, :70] = np.cos(np.radians(88))
    z = sensor.apply(depth, IDS, cosine, K, np.random.default_rng(0))
    assert (z[:, :60] > 0).mean() < 0.1 < 0.8 < (z[:, 80:] > 0).mean()


def test_time_of_flight_has_flying_pixels_and_stereo_a_larger_foreground():
    depth, cosine = step()
    z = SENSORS[1].apply(depth, IDS, cosine, K, np.random.default_rng(0))
    assert ((z > 0.85) & (z < 1.15)).sum() > 20
    still = noise.ActiveStereo(variation=0.0, fattening_px=(3.0, 3.0, 3.0), baseline_m=0.0)
    z = still.apply(depth, IDS, cosine, K, np.random.default_rng(0))
    assert ((z > 0) & (z < 1.0)).sum() > (depth < 1.0).sum()


def test_triangulation_errors_are_correlated_among_neighbours():
    depth, cosine = flat(1.0)
    z = SENSORS[0].apply(depth, IDS, cosine, K, np.random.default_rng(3))
    error = np.where(z > 0, z - np.median(z[z > 0]), 0)
    beside = np.corrcoef(error[:, 1:].ravel(), error[:, :-1].ravel())[0, 1]
    apart = np.corrcoef(error[:, 30:].ravel(), error[:, :-30].ravel())[0, 1]
    assert beside > 0.5 > 0.25 > abs(apart)
