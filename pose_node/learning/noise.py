"""How depth cameras err: three sensor models over ideal depth, each one call of ``apply``.

    sensor.apply(depth_m [h, w], ids [h, w], cosine [h, w], K [3, 3], rng) -> depth_m [h, w] float32, 0 = no reading

``K`` belongs to the pixels handed in; lateral effects are stated in pixels of the sensor's own grid and scaled by the
ratio of the focal lengths, so an image registered to a finer colour camera gets wider patches, as real ones do.

Every figure is (nominal, low, high). ``variation`` 0 takes the nominal figures, 1 draws each of them within its range
once per image; ``strength`` scales every error.

Sources: Khoshelham & Elberink, "Accuracy and Resolution of Kinect Depth Data", Sensors 2012 (disparity noise, 1/8 px);
Nguyen, Izadi & Lovell, "Modeling Kinect Sensor Noise", 3DIMPVT 2012 (lateral noise, grazing incidence); Handa et al.,
"A Benchmark for RGB-D Visual Odometry", ICRA 2014 (lateral shift, then quantised disparity); Fankhauser et al.,
"Kinect v2 for Mobile Robot Navigation", ICAR 2015, and Tolgyessy et al., "Evaluation of the Azure Kinect", Sensors 2021
(time of flight); Ahn et al., "Analysis and Noise Modeling of the Intel RealSense D435", UR 2019, and Keselman et al.,
"Intel RealSense Stereoscopic Depth Cameras", CVPRW 2017 (active stereo: disparity noise, sub-pixel bias, fattening).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pose_node.arrays import Array

Range = tuple[float, float, float]
Image = NDArray[np.float32]


class Sensor(Protocol):
    """The face that all sensor models share."""

    name: str

    def apply(self, depth_m: Image, ids: NDArray, cosine: Image, K: Array, rng: np.random.Generator) -> Image:
        """Ideal depth to measured depth, 0 where there is no reading. The input is left alone."""


@dataclass(frozen=True)
class Calibration:
    """A constant error of the whole camera: offset and scale of depth, drawn evenly within the bounds every time."""

    offset_m: float = 0.002
    scale: float = 0.005

    def apply(self, depth_m: Image, strength: float, rng: np.random.Generator) -> Image:
        offset, scale = rng.uniform(-1, 1, 2) * strength * (self.offset_m, self.scale)
        return np.where(depth_m > 0, depth_m * np.float32(1 + scale) + np.float32(offset), np.float32(0))


@dataclass(frozen=True)
class StructuredLight:
    """Kinect v1, Asus Xtion, PrimeSense: a dot pattern matched over windows, so disparity carries the error.

    baseline_focal:  px m of the sensor's own grid (580 px x 75 mm).
    disparity_px:    standard deviation of the disparity error before quantisation.
    correlation_px:  length over which that error is one patch (the matching window); a part of it reaches three times as far.
    white:           share of the error's variance that is independent from pixel to pixel.
    step_px:         disparity quantum.
    jitter_px:       standard deviation of the sideways wobble of edges.
    grazing_deg:     incidence from which on readings go missing.
    speckle:         share of pixels that go missing anywhere, in small patches; dropout: in large ones (dark, shiny).
    window_px:       half the width of the matching window, which rounds ridges and creases.
    edge_loss_px:    along a quarter of a depth step readings go missing, up to a few times this far from it.

    Nominal figures were fitted to 37 labelled objects in nine YCB-Video frames (Xtion, 0.5 to 1.1 m): robust deviation
    from the labelled mesh, its correlation over 1 to 16 pixels, and missing readings by distance from the silhouette.
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
        """See the module's first lines."""
        p = _draw(self, rng)
        grid = K[0, 0] / self.focal_px
        mirrored = rng.random() < 0.5 * min(self.variation, 1.0)
        z, cosine = _wobble(depth_m, cosine, p["jitter_px"] * grid * self.strength, max(1.5 * grid, 1.0), rng)
        lost = _shadow(depth_m, K[0, 0] * self.baseline_m, mirrored)
        lost |= _grazing(cosine, p["grazing_deg"], rng)
        lost |= _frayed(_edges(z, 0.02), p["edge_loss_px"] * grid * min(self.strength, 1.0), 5.0 * grid, rng)
        lost |= _patches(z.shape, p["speckle"] * self.strength, 1.5 * grid, rng)
        lost |= _patches(z.shape, p["dropout"] * self.strength, 10.0 * grid, rng)
        fb = np.float32(p["baseline_focal"])
        z = _smooth(z, np.float32(1.0), max(int(round(p["window_px"] * grid * min(self.strength, 1.0))), 1))
        with np.errstate(divide="ignore"):
            disparity = fb / z
        near, far = np.sqrt((1 - p["white"]) * np.float32([0.7, 0.3]))
        error = near * field(z.shape, p["correlation_px"] * grid, rng)
        error += far * field(z.shape, 3 * p["correlation_px"] * grid, rng)
        error += np.float32(np.sqrt(p["white"])) * _white(z.shape, rng)
        # Slanted surfaces shear the pattern inside of the matching window, and the match suffers.
        error *= (p["disparity_px"] * self.strength) / np.maximum(cosine, np.float32(0.35))
        step = np.float32(p["step_px"])
        phase = np.float32(rng.random())
        disparity = (np.round((disparity + error) / step + phase) - phase) * step
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where((z > 0) & ~lost & (disparity > step), fb / disparity, np.float32(0))
        if grid > 1.4:  # registered to a finer camera, by interpolation
            z = _smooth(z, np.float32(1.0))
        return self.calibration.apply(z, self.strength, rng)


@dataclass(frozen=True)
class TimeOfFlight:
    """Kinect v2, Azure Kinect: phase noise that grows with range and slant, flying pixels, multi-path.

    sigma_m:      standard deviation at 0.5 m, square on; grows with range squared over it and 1 / sqrt(cosine).
    growth:       added relative growth per metre beyond 0.5 m.
    multipath_m:  largest of a smooth bias, mostly away from the camera (paths are longer).
    flying:       share of edge pixels that land between the two surfaces.
    lost_flying:  share of the flying pixels that the driver's filter removes.
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
        """See the module's first lines."""
        p = _draw(self, rng)
        grid = K[0, 0] / self.focal_px
        reach = max(int(round(grid)), 1)
        lost = _grazing(cosine, p["grazing_deg"], rng) | _patches(depth_m.shape, p["speckle"] * self.strength, 1.5, rng)
        z = depth_m.astype(np.float32)
        # A pixel over an edge sums the light of both surfaces.
        edge = _edges(z, 0.015, reach)
        flies = edge & (rng.random(z.shape, dtype=np.float32) < p["flying"] * min(self.strength, 1.0))
        other = _shifted(z, int(rng.integers(-reach, reach + 1)), int(rng.integers(-reach, reach + 1)))
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
    """RealSense D400 and kin: block matching with a smoothing filter; the foreground swells over what is behind it.

    baseline_focal:  px m (D435 at 848 px: 21; D415 at 1280 px: 50).
    wave_px:         size of the bias that repeats with every pixel of disparity.
    fattening_px:    how far the foreground swells.
    blend_m:         steps lower than this are smoothed into slopes a few pixels wide.
    hole_share:      share of the surface lost in patches; edge_loss: of the pixels beside a step.
    smoothing:       strength of the driver's last spatial filter.

    What the second camera cannot see lies on the left of things, as in the depth of all D400 cameras.

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
        """See the module's first lines."""
        p = _draw(self, rng)
        grid = K[0, 0] / self.focal_px
        lost = _shadow(depth_m, K[0, 0] * self.baseline_m, True) | _grazing(cosine, p["grazing_deg"], rng)
        lost |= _patches(depth_m.shape, p["hole_share"] * self.strength, 6.0 * grid, rng)
        z, swollen = _fatten(depth_m.astype(np.float32), p["fattening_px"] * grid * self.strength, rng)
        lost &= ~swollen
        lost |= _edges(z, 0.02) & (rng.random(z.shape, dtype=np.float32) < p["edge_loss"] * min(self.strength, 1.0))
        z = _smooth(z, np.float32(1.0), max(int(round(2 * grid)), 1), p["blend_m"] * min(self.strength, 1.0))
        fb = np.float32(p["baseline_focal"])
        with np.errstate(divide="ignore"):
            disparity = np.where(z > 0, fb / z, np.float32(0))
        error = np.sqrt(1 - p["white"]) * field(z.shape, p["correlation_px"] * grid, rng)
        error += np.sqrt(p["white"]) * _white(z.shape, rng)
        error *= (p["disparity_px"] * self.strength) / np.maximum(cosine, np.float32(0.35))
        error += np.float32(p["wave_px"] * self.strength) * np.sin(np.float32(2 * np.pi) * disparity + rng.random())
        step = np.float32(p["step_px"])
        disparity = np.round((disparity + error) / step) * step
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where((z > 0) & ~lost & (disparity > step), fb / disparity, np.float32(0))
        if p["smoothing"] * self.strength > 0.05:
            z = _smooth(z, np.float32(min(p["smoothing"] * self.strength, 1.0)))
        return self.calibration.apply(z, self.strength, rng)


def sensors(strength: float = 1.0, variation: float = 1.0) -> tuple[Sensor, ...]:
    """The three models, with one strength and variation."""
    return tuple(kind(strength=strength, variation=variation) for kind in (StructuredLight, TimeOfFlight, ActiveStereo))


def mesh_error(points_m: Array, diameter_m: float, amplitude_m: float, rng: np.random.Generator) -> Image:
    """A smooth displacement along the normal [...], at most ``amplitude_m``, of surface points [..., 3] in the object frame.

    The mesh is not the object on the table: scans are smooth, labels peel, cans are dented. Three waves of 1/2 to 2
    diameters.
    """
    waves = rng.normal(size=(3, 3))
    waves *= (2 * np.pi / (diameter_m * rng.uniform(0.5, 2.0, 3)) / np.linalg.norm(waves, axis=1))[:, None]
    phases, share = rng.uniform(0, 2 * np.pi, 3), rng.dirichlet(np.ones(3))
    angle = points_m.astype(np.float32) @ waves.T.astype(np.float32) + phases.astype(np.float32)
    return np.sin(angle) @ (share * amplitude_m).astype(np.float32)


def field(shape: tuple[int, int], spacing_px: float, rng: np.random.Generator) -> Image:
    """Gaussian noise [h, w] of unit variance whose values are alike over about ``spacing_px`` (white below 1.2 px).

    Noise on a coarse grid, brought up by cubic B-splines: two small matrix products, whatever the spacing.
    """
    if spacing_px < 1.2:
        return _white(shape, rng)
    rows, columns = (_spline(n, spacing_px, float(rng.random())) for n in shape)
    return rows @ _white((rows.shape[1], columns.shape[1]), rng) @ columns.T


def _spline(length: int, spacing: float, phase: float) -> Image:
    """Weights [length, knots] of a uniform cubic B-spline, each row scaled to unit energy."""
    at = np.arange(length, dtype=np.float32) / np.float32(spacing) + np.float32(phase)
    distance = np.abs(at[:, None] - (np.arange(int(at[-1]) + 4, dtype=np.float32) - 1)[None, :])
    # The cubic B-spline as a difference of two truncated cubes: (2 - d)^3 / 6 - 4 (1 - d)^3 / 6.
    outer, inner = np.maximum(2 - distance, 0), np.maximum(1 - distance, 0)
    weights = outer * outer * outer - 4 * inner * inner * inner
    return weights / np.sqrt(np.einsum("nk,nk->n", weights, weights))[:, None]


def _white(shape: tuple[int, int], rng: np.random.Generator) -> Image:
    return rng.standard_normal(shape, dtype=np.float32)


def _draw(sensor: object, rng: np.random.Generator) -> dict[str, float]:
    """One value for each (nominal, low, high) of a sensor."""
    ranges = {k: v for k, v in vars(sensor).items() if isinstance(v, tuple)}
    at = rng.random(len(ranges))
    return {k: n + sensor.variation * (lo + u * (hi - lo) - n) for u, (k, (n, lo, hi)) in zip(at, ranges.items())}


def _wobble(
    depth: Image, cosine: Image, sigma_px: float, patch_px: float, rng: np.random.Generator
) -> tuple[Image, Image]:
    """Read every pixel from a place up to a few pixels aside: edges fray, surfaces hardly change."""
    h, w = depth.shape
    v = np.arange(h, dtype=np.float32)[:, None] + field(depth.shape, patch_px, rng) * np.float32(sigma_px)
    u = np.arange(w, dtype=np.float32)[None, :] + field(depth.shape, patch_px, rng) * np.float32(sigma_px)
    at = np.clip(np.rint(v), 0, h - 1).astype(np.int32) * w + np.clip(np.rint(u), 0, w - 1).astype(np.int32)
    moved = depth.ravel()[at]
    # On a surface the reading belongs to this pixel's own ray: only what comes from another surface is moved.
    keep = (np.abs(moved - depth) < 0.01) & (depth > 0)
    return np.where(keep, depth, moved).astype(np.float32), np.where(keep, cosine, cosine.ravel()[at])


def _shadow(depth: Image, baseline_focal: float, mirrored: bool) -> NDArray[np.bool_]:
    """Pixels that the projector (or the second camera) beside the camera cannot see, row by row."""
    with np.errstate(divide="ignore"):
        disparity = np.where(depth > 0, np.float32(baseline_focal) / depth, np.float32(0))
    if mirrored:
        disparity = disparity[:, ::-1]
    seen_at = np.arange(depth.shape[1], dtype=np.float32)[None, :] + disparity
    lost = np.zeros(depth.shape, bool)
    lost[:, 1:] = seen_at[:, 1:] <= np.maximum.accumulate(seen_at, axis=1)[:, :-1] - 0.5
    return lost[:, ::-1] if mirrored else lost


def _grazing(cosine: Image, limit_deg: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Slanted surfaces lose readings, some at ``limit_deg``, all a few degrees later."""
    limit = np.float32(np.cos(np.radians(limit_deg)))
    return cosine < limit * (np.float32(0.6) + np.float32(0.6) * rng.random(cosine.shape, dtype=np.float32))


def _edges(depth: Image, step_m: float, reach: int = 1) -> NDArray[np.bool_]:
    """Pixels within ``reach`` of a step of more than ``step_m`` at a metre (growing with depth), on both of its sides."""
    tall = np.float32(step_m) * np.maximum(depth, np.float32(0.3))
    edge = np.zeros(depth.shape, bool)
    across = np.abs(np.diff(depth, axis=1)) > tall[:, 1:]
    down = np.abs(np.diff(depth, axis=0)) > tall[1:]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    for _ in range(reach - 1):
        edge = dilate(edge)
    return edge


def _frayed(edge: NDArray[np.bool_], reach_px: float, patch_px: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Pixels lost beside an edge: along a quarter of its length, and there up to a few times ``reach_px`` deep.

    The share over the distance follows what real Xtion frames show at silhouettes (27 % at the first pixel, 6 % at three).
    """
    depth_px = (field(edge.shape, patch_px, rng) * np.float32(2.4) - np.float32(0.9)) * np.float32(reach_px)
    lost = edge & (depth_px > 0.5)
    for step in range(1, int(np.ceil(4.5 * reach_px))):
        edge = dilate(edge)
        lost |= edge & (depth_px > step + 0.5)
    return lost


def dilate(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask grown by one pixel to its eight neighbours."""
    wide = mask.copy()
    wide[:, 1:] |= mask[:, :-1]
    wide[:, :-1] |= mask[:, 1:]
    tall = wide.copy()
    tall[1:] |= wide[:-1]
    tall[:-1] |= wide[1:]
    return tall


def _patches(shape: tuple[int, int], share: float, size_px: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Random blobs of about ``size_px`` that cover ``share`` of the image."""
    values = field(shape, size_px, rng)
    if share <= 0:
        return np.zeros(shape, bool)
    # The upper quantile of a unit normal, to better than 1 % in the range of interest (Abramowitz & Stegun 26.2.23).
    t = np.sqrt(-2 * np.log(min(share, 0.5)))
    limit = t - (2.515517 + 0.802853 * t + 0.010328 * t**2) / (1 + 1.432788 * t + 0.189269 * t**2 + 0.001308 * t**3)
    return values > np.float32(limit)


def _shifted(image: Image, dv: int, du: int) -> Image:
    """The image moved by (dv, du); border pixels keep their value."""
    h, w = image.shape
    return image[np.clip(np.arange(h) + dv, 0, h - 1)[:, None], np.clip(np.arange(w) + du, 0, w - 1)[None, :]]


def _fatten(depth: Image, reach_px: float, rng: np.random.Generator) -> tuple[Image, NDArray[np.bool_]]:
    """Let the nearer surface swell by up to ``reach_px``, unevenly; also which pixels it took."""
    far = np.float32(1e3)
    filled = np.where(depth > 0, depth, far)
    near = filled.copy()
    reach = int(np.ceil(reach_px))
    for _ in range(reach):
        near[:, 1:] = np.minimum(near[:, 1:], near[:, :-1])
        near[:, :-1] = np.minimum(near[:, :-1], near[:, 1:])
    for _ in range(reach):
        near[1:] = np.minimum(near[1:], near[:-1])
        near[:-1] = np.minimum(near[:-1], near[1:])
    uneven = field(depth.shape, 4.0, rng) < np.float32(2 * (reach_px / reach - 0.5) if reach else 0.0)
    swollen = (near < filled - 0.01) & (near < far) & uneven if reach else np.zeros(depth.shape, bool)
    return np.where(swollen, near, depth), swollen


def _smooth(depth: Image, amount: np.float32, reach: int = 1, across_m: float = 0.0) -> Image:
    """A mean of three pixels ``reach`` apart along rows, then columns, that crosses no hole and no step over ``across_m``."""
    for axis in (1, 0):
        lines = depth if axis == 1 else depth.T
        near, far = lines[:, :-reach], lines[:, reach:]
        # A step is a change that a slope of 75 degrees at these ranges would not make within the window.
        band = np.maximum(np.float32(0.004 + 0.006 * reach) * near, np.float32(across_m))
        step = far - near
        step[(np.abs(step) > band) | (near <= 0) | (far <= 0)] = 0
        out = lines.copy()
        share = amount / np.float32(3)
        out[:, :-reach] += share * step
        out[:, reach:] -= share * step
        depth = out if axis == 1 else out.T
    return np.ascontiguousarray(depth)
