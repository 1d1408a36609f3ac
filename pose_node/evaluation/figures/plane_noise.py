"""What a depth camera's readings of a flat surface say about its noise, smoothing and slow distortion.

Each frame's largest plane is fitted robustly and cut into tiles. Within a tile, what a plane of its own leaves over is noise:
its deviation at the tile's range, and its correlation from pixel to pixel, which is the camera's smoothing. How far the tiles
lie off the common plane is the slowly varying bias. An error of scale tilts or moves the whole plane, so it does not show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.sampling import even_subset
from pose_node.measurement.sensor import PRESETS, Sensor

TILE_RAD = 0.12  # side of a tile: many windows of the strongest smoothing, little of a slow distortion
_SUBSET = 2000  # points that the plane is searched among
_TRIALS = 300
_NEAR_REL = 0.01  # of the range: points nearer to a plane than this may be on it
_MIN_SHARE = 0.1  # of the readings that the plane must hold
_MIN_FILLED = 0.7  # of a tile's pixels on the plane
_MAX_OFF = 0.01  # of a tile's pixels beside the plane: flying pixels, but no object
_MIN_COSINE = 0.5  # of the incidence: at flatter angles the noise grows
_MIN_TILES = 8
_MIN_STRETCH = 1.5  # farthest tile's range over the nearest's: with less, floor and growth cannot be told apart
_BINS = 12
_UNCORRELATED = 0.05
_WHITE_PIXELS = 1.5  # a correlation length below this is that of independent pixels


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """A piece of a plane in one frame.

    range_m, sigma_m, offset_m: of its centre, its readings' standard deviation and their mean's distance from the whole
                                plane, both along the ray.
    pitch_rad:                  angle between neighbouring pixels.
    correlation:                [L] of residuals 0, 1, ... pixels apart.
    """

    range_m: float
    sigma_m: float
    offset_m: float
    pitch_rad: float
    correlation: Array


@dataclass(frozen=True, slots=True, eq=False)
class PlaneNoise:
    """What ``tiles`` of ``frames`` at ranges from ``low_m`` to ``high_m`` say: the sensor, and the preset most like it."""

    sensor: Sensor
    preset: str
    frames: int
    tiles: int
    low_m: float
    high_m: float


def plane_tiles(cloud: Cloud, side_rad: float = TILE_RAD) -> list[Tile]:
    """The tiles of the largest plane of an image's cloud; none where it has no plane or is a bare cloud.

    side_rad: of a tile. Smaller ones find room between objects, but take a part of a wide smoothing for a tilt.
    """
    if len(cloud.shape) != 2 or len(cloud) < _SUBSET:
        return []
    points = cloud.points_m - cloud.viewpoint_m
    range_m = np.linalg.norm(points, axis=1)
    ray = points / range_m[:, None]
    plane = _largest_plane(points)
    along = ray @ plane[:3]
    with np.errstate(divide="ignore"):
        off = range_m - plane[3] / along
    on = (np.abs(off) < _NEAR_REL * range_m / np.maximum(np.abs(along), _MIN_COSINE)) & (np.abs(along) > _MIN_COSINE)
    if on.sum() < _MIN_SHARE * len(points):
        return []
    image = np.full(cloud.shape[0] * cloud.shape[1], np.nan)
    image[cloud.source_index] = np.where(on, off, np.inf)
    ranges = np.full(len(image), np.nan)
    ranges[cloud.source_index] = range_m
    pitch = _pitch(ray, cloud)
    side = max(int(round(side_rad / pitch)), 8)
    image, ranges = image.reshape(cloud.shape), ranges.reshape(cloud.shape)
    return list(_tiles(image, ranges, side, pitch))


def fit_sensor(frames: Sequence[Sequence[Tile]], where: str) -> PlaneNoise:
    """The sensor that the tiles of each frame show.

    Raises InputError, which names the recording as ``where``, when hardly any frame shows a plane, or all at one range.
    """
    tiles = [tile for frame in frames for tile in frame]
    seen = sum(bool(frame) for frame in frames)
    if len(tiles) < _MIN_TILES:
        raise InputError(
            f"{where}: found a plane in {seen} of {len(frames)} frames with {len(tiles)} whole tiles of 7 degrees, expected at "
            f"least {_MIN_TILES}: point the camera at a bare wall or table."
        )
    range_m = np.array([tile.range_m for tile in tiles])
    low, high = (float(x) for x in np.percentile(range_m, (5, 95)))
    if high < _MIN_STRETCH * low:
        raise InputError(
            f"{where}: found its plane from {low:.2f} to {high:.2f} m, expected ranges that differ by half: look at it at a "
            "slant, or move the camera away while recording."
        )
    noise_m, noise_per_m2 = _growth(range_m, np.array([tile.sigma_m for tile in tiles]))
    bias = [_spread([tile.offset_m / tile.range_m for tile in frame]) for frame in frames if len(frame) >= _MIN_TILES]
    sensor = Sensor(
        noise_m,
        noise_per_m2,
        smoothing_rad(tiles),
        float(np.median([tile.pitch_rad for tile in tiles])),
        float(np.median(bias)) if bias else 0.0,
    )
    return PlaneNoise(sensor, _most_like(sensor, low, high), seen, len(tiles), low, high)


def smoothing_rad(tiles: Sequence[Tile]) -> float:
    """Standard deviation of the window that makes white noise as correlated as the tiles' readings; 0: they are independent.

    The sum of the correlations over all lags is the window's effective width, the square root of 4 pi times that deviation.
    """
    lags = min(len(tile.correlation) for tile in tiles)
    correlation = np.mean([tile.correlation[:lags] for tile in tiles], axis=0)
    below = np.flatnonzero(correlation < _UNCORRELATED)
    width = 1.0 + 2.0 * float(correlation[1 : below[0] if len(below) else None].sum())
    pitch_rad = float(np.median([tile.pitch_rad for tile in tiles]))
    return 0.0 if width < _WHITE_PIXELS else width / np.sqrt(4.0 * np.pi) * pitch_rad


def _growth(range_m: Array, sigma_m: Array) -> tuple[float, float]:
    """``noise_m`` and ``noise_per_m2``, neither negative, of deviations [N] at ranges [N]: least squares of relative errors."""
    edges = np.quantile(range_m, np.linspace(0.0, 1.0, _BINS + 1))
    place = np.clip(np.searchsorted(edges, range_m, side="right") - 1, 0, _BINS - 1)
    bins = [np.flatnonzero(place == k) for k in np.unique(place)]
    r = np.array([np.median(range_m[rows]) for rows in bins])
    sigma = np.array([np.median(sigma_m[rows]) for rows in bins])
    (floor, growth), _ = nnls(np.stack([1.0 / sigma, r * r / sigma], axis=1), np.ones(len(bins)))
    return float(floor), float(growth)


def _most_like(sensor: Sensor, low_m: float, high_m: float) -> str:
    """The preset whose noise, over the measured ranges, and smoothing differ least."""
    range_m = np.linspace(low_m, high_m, 9)

    def difference(preset: Sensor) -> float:
        noise = np.log(preset.sigma_m(range_m) / sensor.sigma_m(range_m))
        window = np.log((preset.smoothing_rad + sensor.pitch_rad) / (sensor.smoothing_rad + sensor.pitch_rad))
        return float(np.square(noise).mean() + window * window)

    return min(PRESETS, key=lambda name: difference(PRESETS[name]))


def _largest_plane(points: Array) -> Array:
    """The plane [4], unit normal n and distance d with n.x = d, near most of the points [N, 3] relative to the viewpoint."""
    subset = even_subset(points, _SUBSET)
    near = _NEAR_REL * np.linalg.norm(subset, axis=1)
    rng = np.random.default_rng(0)
    triple = subset[rng.integers(0, len(subset), (_TRIALS, 3))]
    normal = np.cross(triple[:, 1] - triple[:, 0], triple[:, 2] - triple[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    distance = np.einsum("ti,ti->t", normal, triple[:, 0])
    best = int((np.abs(subset @ normal.T - distance) < near[:, None]).sum(axis=0).argmax())
    plane = np.append(normal[best], distance[best])
    for _ in range(5):
        off = np.abs(subset @ plane[:3] - plane[3])
        limit = near if _ == 0 else np.minimum(near, 4.0 * 1.4826 * np.median(off[off < near]) * near / np.median(near))
        on = subset[off < limit]
        if len(on) < 3:
            break
        centroid = on.mean(axis=0)
        normal = np.linalg.eigh((on - centroid).T @ (on - centroid))[1][:, 0]
        plane = np.append(normal, normal @ centroid)
    return plane


def _pitch(ray: Array, cloud: Cloud) -> float:
    """Angle between the rays of pixels next to each other in a row."""
    row = np.flatnonzero(np.diff(cloud.source_index) == 1)
    row = row[:: max(len(row) // 2000, 1)]
    return float(np.median(np.linalg.norm(ray[row + 1] - ray[row], axis=1)))


def _tiles(off_m: Array, range_m: Array, side: int, pitch_rad: float) -> Iterator[Tile]:
    """The tiles of an image [H, W] of distances from the plane: NaN without a reading, infinite off the plane."""
    for top in range(0, off_m.shape[0] - side + 1, side):
        for left in range(0, off_m.shape[1] - side + 1, side):
            window = np.s_[top : top + side, left : left + side]
            off = off_m[window]
            on = np.isfinite(off)
            if on.mean() < _MIN_FILLED or np.isinf(off).mean() > _MAX_OFF:
                continue
            row, column = np.nonzero(on)
            A = np.stack([np.ones(len(row)), row - row.mean(), column - column.mean()], axis=1)
            trend = np.linalg.lstsq(A, off[on], rcond=None)[0]
            residual = off[on] - A @ trend
            residual = np.clip(residual, *np.percentile(residual, (1, 99)))
            sigma_m = float(residual.std())
            if sigma_m > 0.0:
                grid = np.zeros(off.shape)
                grid[on] = residual
                correlation = _correlation(grid, on)
                yield Tile(float(np.median(range_m[window][on])), sigma_m, float(trend[0]), pitch_rad, correlation)


def _correlation(residual: Array, on: Array) -> Array:
    """Correlation [L] of the residuals [S, S] of pixels 0, 1, ... apart in rows and columns, where both are ``on`` [S, S]."""
    on = on.astype(float)
    out = []
    for lag in range(len(residual) // 3):
        pairs = [
            (np.sum(a[: len(a) - lag] * a[lag:]), np.sum(b[: len(b) - lag] * b[lag:]))
            for a, b in ((residual, on), (residual.T, on.T))
        ]
        out.append(sum(p for p, _ in pairs) / max(sum(n for _, n in pairs), 1.0))
    return np.array(out) / out[0]


def _spread(values: Sequence[float]) -> float:
    """Robust standard deviation: from the median absolute deviation."""
    return 1.4826 * float(np.median(np.abs(np.array(values) - np.median(values))))
