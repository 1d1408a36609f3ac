"""Measurement errors of depth cameras: three sensor models over ideal depth, each with one method ``apply``.

    sensor.apply(depth_m [h, w], ids [h, w], cosine [h, w], K [3, 3], rng) -> depth_m [h, w] float32, 0 = no reading

``K`` belongs to the given pixels. Lateral effects are given in pixels of the sensor's own grid and scaled by the ratio of
the focal lengths, so an image registered to a finer colour camera gets wider patches, as real ones do.

Every parameter is (nominal, low, high). ``variation`` 0 uses the nominal values, 1 draws each within its range once per
image; ``strength`` scales every error.

Sources: Khoshelham & Elberink, "Accuracy and Resolution of Kinect Depth Data", Sensors 2012 (disparity noise, 1/8 px);
Nguyen, Izadi & Lovell, "Modeling Kinect Sensor Noise", 3DIMPVT 2012 (lateral noise, grazing incidence); Handa et al.,
"A Benchmark for RGB-D Visual Odometry", ICRA 2014 (lateral shift, then quantised disparity); Fankhauser et al.,
"Kinect v2 for Mobile Robot Navigation", ICAR 2015, and Tolgyessy et al., "Evaluation of the Azure Kinect", Sensors 2021
(time of flight); Ahn et al., "Analysis and Noise Modeling of the Intel RealSense D435", UR 2019, and Keselman et al.,
"Intel RealSense Stereoscopic Depth Cameras", CVPRW 2017 (active stereo: disparity noise, sub-pixel bias, fattening).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pose_node.arrays import Array
from pose_node.learning.noise_effects import (
    Image,
    depth_edges,
    displace_edges,
    fatten,
    field,
    frayed,
    grazing,
    occlusion_shadow,
    patches,
    shifted,
    smooth,
    white,
)

Range = tuple[float, float, float]


class SimulatedSensor(Protocol):
    """The interface of all sensor models."""

    name: str

    def apply(self, depth_m: Image, ids: NDArray, cosine: Image, K: Array, rng: np.random.Generator) -> Image:
        """Ideal depth to measured depth, 0 where there is no reading. The input is not changed."""


@dataclass(frozen=True)
class Calibration:
    """A constant error of the whole image: offset and scale of depth, drawn uniformly within these bounds."""

    offset_m: float = 0.002
    scale: float = 0.005

    def apply(self, depth_m: Image, strength: float, rng: np.random.Generator) -> Image:
        """Depth [h, w] with the error, 0 where there is no reading."""
        offset, scale = rng.uniform(-1, 1, 2) * strength * (self.offset_m, self.scale)
        return np.where(depth_m > 0, depth_m * np.float32(1 + scale) + np.float32(offset), np.float32(0))


@dataclass(frozen=True)
class StructuredLight:
    """Kinect v1, Asus Xtion, PrimeSense: a dot pattern matched over windows, with errors in disparity.

    baseline_focal:  px m of the sensor's own grid (580 px x 75 mm).
    disparity_px:    standard deviation of the disparity error before quantisation.
    correlation_px:  correlation length of that error (the matching window); a part of it has three times this length.
    white:           share of the error's variance that is independent from pixel to pixel.
    step_px:         disparity quantum.
    jitter_px:       standard deviation of the lateral displacement of edges.
    grazing_deg:     angle of incidence beyond which readings are lost.
    speckle:         share of readings lost anywhere, in small patches; dropout: in large patches (dark or shiny surfaces).
    window_px:       half the width of the matching window, which rounds ridges and creases.
    edge_loss_px:    along a quarter of a depth step readings are lost, up to a few times this distance from it.

    Nominal figures were fitted to 37 labelled objects in nine YCB-Video frames (Xtion, 0.5 to 1.1 m): robust deviation
    from the labelled mesh, its correlation over 1 to 16 pixels, and lost readings by distance from the silhouette.
    """

    baseline_focal: Range = (43.5, 42.0, 45.0)
    disparity_px: Range = (0.065, 0.03, 0.1)
    correlation_px: Range = (2.8, 2.0, 4.5)
    white: Range = (0.2, 0.05, 0.35)
    step_px: Range = (0.125, 0.125, 0.125)
    jitter_px: Range = (0.8, 0.4, 1.3)
    grazing_deg: Range = (77.0, 72.0, 82.0)
    speckle: Range = (0.002, 0.0, 0.01)
    window_px: Range = (2.0, 1.0, 3.0)
    dropout: Range = (0.01, 0.0, 0.1)
    edge_loss_px: Range = (1.0, 0.0, 1.6)
    calibration: Calibration = Calibration()
    focal_px: float = 575.0
    baseline_m: float = 0.075
    strength: float = 1.0
    variation: float = 1.0
    name: str = "structured_light"

    def apply(self, depth_m: Image, ids: NDArray, cosine: Image, K: Array, rng: np.random.Generator) -> Image:
        """See ``SimulatedSensor.apply``."""
        p = _draw(self, rng)
        grid = float(K[0, 0]) / self.focal_px
        mirrored = rng.random() < 0.5 * min(self.variation, 1.0)
        z, cosine = displace_edges(depth_m, cosine, p["jitter_px"] * grid * self.strength, max(1.5 * grid, 1.0), rng)
        lost = occlusion_shadow(depth_m, K[0, 0] * self.baseline_m, mirrored)
        lost |= grazing(cosine, p["grazing_deg"], rng)
        lost |= frayed(depth_edges(z, 0.02), p["edge_loss_px"] * grid * min(self.strength, 1.0), 5.0 * grid, rng)
        lost |= patches(z.shape, p["speckle"] * self.strength, 1.5 * grid, rng)
        lost |= patches(z.shape, p["dropout"] * self.strength, 10.0 * grid, rng)
        fb = np.float32(p["baseline_focal"])
        z = smooth(z, np.float32(1.0), max(int(round(p["window_px"] * grid * min(self.strength, 1.0))), 1))
        with np.errstate(divide="ignore"):
            disparity = fb / z
        near, far = np.sqrt((1 - p["white"]) * np.float32([0.7, 0.3]))
        error = near * field(z.shape, p["correlation_px"] * grid, rng)
        error += far * field(z.shape, 3 * p["correlation_px"] * grid, rng)
        error += np.float32(np.sqrt(p["white"])) * white(z.shape, rng)
        # Slanted surfaces shear the pattern within the matching window, which degrades the match.
        error *= (p["disparity_px"] * self.strength) / np.maximum(cosine, np.float32(0.35))
        step = np.float32(p["step_px"])
        phase = np.float32(rng.random())
        disparity = (np.round((disparity + error) / step + phase) - phase) * step
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where((z > 0) & ~lost & (disparity > step), fb / disparity, np.float32(0))
        if grid > 1.4:  # registered to a finer camera, by interpolation
            z = smooth(z, np.float32(1.0))
        return self.calibration.apply(z, self.strength, rng)


@dataclass(frozen=True)
class TimeOfFlight:
    """Kinect v2, Azure Kinect: phase noise that grows with range and incidence, flying pixels, multipath.

    sigma_m:      standard deviation at 0.5 m and normal incidence; grows with 1 / sqrt(cosine of incidence).
    growth:       its relative growth per metre beyond 0.5 m.
    multipath_m:  largest value of a smooth bias, mostly away from the camera, because paths become longer.
    flying:       share of edge pixels with a reading between the two surfaces.
    lost_flying:  share of these that the driver's filter removes.
    """

    sigma_m: Range = (0.0013, 0.0006, 0.0025)
    growth: Range = (0.8, 0.4, 1.6)
    correlation_px: Range = (1.2, 1.0, 2.0)
    multipath_m: Range = (0.0025, 0.0, 0.006)
    flying: Range = (0.6, 0.3, 0.9)
    lost_flying: Range = (0.4, 0.1, 0.8)
    grazing_deg: Range = (80.0, 75.0, 85.0)
    speckle: Range = (0.002, 0.0, 0.01)
    calibration: Calibration = Calibration()
    focal_px: float = 365.0
    strength: float = 1.0
    variation: float = 1.0
    name: str = "time_of_flight"

    def apply(self, depth_m: Image, ids: NDArray, cosine: Image, K: Array, rng: np.random.Generator) -> Image:
        """See ``SimulatedSensor.apply``."""
        p = _draw(self, rng)
        grid = float(K[0, 0]) / self.focal_px
        reach = max(int(round(grid)), 1)
        lost = grazing(cosine, p["grazing_deg"], rng) | patches(depth_m.shape, p["speckle"] * self.strength, 1.5, rng)
        z = depth_m.astype(np.float32)
        # A pixel on an edge receives the light of both surfaces.
        edge = depth_edges(z, 0.015, reach)
        flies = edge & (rng.random(z.shape, dtype=np.float32) < p["flying"] * min(self.strength, 1.0))
        other = shifted(z, int(rng.integers(-reach, reach + 1)), int(rng.integers(-reach, reach + 1)))
        share = rng.random(z.shape, dtype=np.float32)
        np.copyto(z, z + share * (other - z), where=flies & (z > 0) & (other > 0))
        lost |= flies & (rng.random(z.shape, dtype=np.float32) < p["lost_flying"])
        sigma = p["sigma_m"] * (1 + p["growth"] * np.maximum(z - np.float32(0.5), 0)) / np.sqrt(np.maximum(cosine, 0.1))
        error = field(z.shape, p["correlation_px"] * grid * 0.6, rng) * sigma * self.strength
        bias = field(z.shape, 60.0 * grid, rng) * 0.5 + 0.5
        error += np.clip(bias, -0.3, 1.5) * np.float32(p["multipath_m"] * self.strength)
        z = np.where((z > 0) & ~lost, z + error, np.float32(0)).astype(np.float32)
        return self.calibration.apply(z, self.strength, rng)


@dataclass(frozen=True)
class ActiveStereo:
    """RealSense D400 and similar: block matching with a smoothing filter; the foreground grows over the background.

    baseline_focal:  px m (D435 at 848 px: 21; D415 at 1280 px: 50).
    wave_px:         size of the bias that repeats with every pixel of disparity.
    fattening_px:    growth of the foreground.
    blend_m:         depth steps below this become slopes a few pixels wide.
    hole_share:      share of the surface lost in patches; edge_loss: of the pixels beside a step.
    smoothing:       strength of the driver's last spatial filter.

    The region hidden from the second camera is to the left of objects, as with all D400 cameras.

    Nominal deviation and correlation were fitted to 15 labelled objects in three RealSense frames at 0.6 m.
    """

    baseline_focal: Range = (32.0, 21.0, 50.0)
    disparity_px: Range = (0.09, 0.03, 0.11)
    correlation_px: Range = (7.5, 4.0, 11.0)
    white: Range = (0.02, 0.0, 0.1)
    wave_px: Range = (0.04, 0.0, 0.1)
    fattening_px: Range = (1.2, 0.0, 3.0)
    step_px: Range = (0.03125, 0.03125, 0.03125)
    blend_m: Range = (0.02, 0.0, 0.04)
    hole_share: Range = (0.01, 0.0, 0.08)
    grazing_deg: Range = (76.0, 70.0, 82.0)
    edge_loss: Range = (0.15, 0.0, 0.5)
    smoothing: Range = (0.5, 0.0, 1.0)
    calibration: Calibration = Calibration()
    focal_px: float = 600.0
    baseline_m: float = 0.05
    strength: float = 1.0
    variation: float = 1.0
    name: str = "active_stereo"

    def apply(self, depth_m: Image, ids: NDArray, cosine: Image, K: Array, rng: np.random.Generator) -> Image:
        """See ``SimulatedSensor.apply``."""
        p = _draw(self, rng)
        grid = float(K[0, 0]) / self.focal_px
        lost = occlusion_shadow(depth_m, K[0, 0] * self.baseline_m, True) | grazing(cosine, p["grazing_deg"], rng)
        lost |= patches(depth_m.shape, p["hole_share"] * self.strength, 6.0 * grid, rng)
        z, grown = fatten(depth_m.astype(np.float32), p["fattening_px"] * grid * self.strength, rng)
        lost &= ~grown
        lost |= depth_edges(z, 0.02) & (
            rng.random(z.shape, dtype=np.float32) < p["edge_loss"] * min(self.strength, 1.0)
        )
        z = smooth(z, np.float32(1.0), max(int(round(2 * grid)), 1), p["blend_m"] * min(self.strength, 1.0))
        fb = np.float32(p["baseline_focal"])
        with np.errstate(divide="ignore"):
            disparity = np.where(z > 0, fb / z, np.float32(0))
        error = math.sqrt(1 - p["white"]) * field(z.shape, p["correlation_px"] * grid, rng)
        error += math.sqrt(p["white"]) * white(z.shape, rng)
        error *= (p["disparity_px"] * self.strength) / np.maximum(cosine, np.float32(0.35))
        error += np.float32(p["wave_px"] * self.strength) * np.sin(np.float32(2 * np.pi) * disparity + rng.random())
        step = np.float32(p["step_px"])
        disparity = np.round((disparity + error) / step) * step
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where((z > 0) & ~lost & (disparity > step), fb / disparity, np.float32(0))
        if p["smoothing"] * self.strength > 0.05:
            z = smooth(z, np.float32(min(p["smoothing"] * self.strength, 1.0)))
        return self.calibration.apply(z, self.strength, rng)


def sensors(strength: float = 1.0, variation: float = 1.0) -> tuple[SimulatedSensor, ...]:
    """The three models, with the same strength and variation."""
    return tuple(kind(strength=strength, variation=variation) for kind in (StructuredLight, TimeOfFlight, ActiveStereo))


def _draw(sensor: object, rng: np.random.Generator) -> dict[str, float]:
    """One value for each (nominal, low, high) of a sensor."""
    ranges = {k: v for k, v in vars(sensor).items() if isinstance(v, tuple)}
    at = rng.random(len(ranges)).tolist()  # Python floats keep float32 images float32 in numpy 1 and 2 alike
    return {k: n + sensor.variation * (lo + u * (hi - lo) - n) for u, (k, (n, lo, hi)) in zip(at, ranges.items())}
