"""Do the sensor presets agree with real recordings? Residuals of flat surfaces in the labelled sets, against each preset.

    python -m benchmarks.sensors        -> results/sensors.json, and the table of docs/sensors.md (20 s)

``SET_range_m``: median range of the tiles of the frames' largest planes (``figures.plane_noise``). ``SET_sigma_mm``: median over
tiles of the readings' standard deviation along the ray, about a plane of the tile's own. ``SET_smoothing_mrad``: window that
makes independent noise so correlated. ``SET_slow_rel``: spread of the tiles about the common plane, over the range.
``SET_preset_...``: the same of the preset. The scans of ``stanford_bunny`` show no plane: quadrics through 3 mm around 300 points.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from benchmarks import data, results, table
from pose_node.arrays import Array
from pose_node.evaluation.figures.plane_noise import Tile, plane_tiles, smoothing_rad
from pose_node.evaluation.sources.bop import BopFolder
from pose_node.evaluation.sources.scans import Scans
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.sensor import PRESETS

# Set -> its kind of sensor, and the side of a tile in radians: what finds room between the objects.
SETS = {
    "ycbv": ("structured_light", 0.08),
    "pcl_milk": ("structured_light", 0.08),
    "redkitchen": ("structured_light", 0.08),
    "ycb_realsense": ("active_stereo", 0.12),
    "apc_boxes": ("active_stereo", 0.12),
    "graspnet_tof": ("time_of_flight", 0.05),
    "wrs_zivid": ("industrial_structured_light", 0.05),
}
SCANS = {"stanford_bunny": "laser"}
MOST_FRAMES = 10
BEGIN, END = "<!-- measured: begin (python -m benchmarks.sensors) -->", "<!-- measured: end -->"
PAGE = results.ROOT / "docs" / "sensors.md"
_RADIUS_M = 0.003


def figures_of_tiles(tiles: Sequence[Tile]) -> dict[str, float]:
    """The measured figures of one set's tiles."""
    slow = [tile.offset_m / tile.range_m for tile in tiles]
    return {
        "tiles": len(tiles),
        "range_m": float(np.median([tile.range_m for tile in tiles])),
        "sigma_mm": 1e3 * float(np.median([tile.sigma_m for tile in tiles])),
        "smoothing_mrad": 1e3 * smoothing_rad(tiles),
        "slow_rel": 1.4826 * float(np.median(np.abs(slow))),
    }


def quadric_sigma_m(cloud: Cloud) -> Array:
    """Standard deviations [Q] in metres about quadrics through the neighbours of 300 points of a bare cloud."""
    points = cloud.points_m
    tree = cKDTree(points)
    out = []
    for row in np.random.default_rng(0).choice(len(points), 300, replace=False):
        near = points[tree.query_ball_point(points[row], _RADIUS_M)]
        if len(near) < 24:
            continue
        x = near - near.mean(axis=0)
        x = x @ np.linalg.svd(x, full_matrices=False)[2].T
        u, v, w = x.T / _RADIUS_M
        A = np.stack([np.ones(len(u)), u, v, u * u, u * v, v * v], axis=1)
        off = w - A @ np.linalg.lstsq(A, w, rcond=None)[0]
        out.append(_RADIUS_M * np.sqrt(off @ off / (len(u) - 6)))
    return np.array(out)


def measure() -> dict[str, float]:
    """All figures."""
    out: dict[str, float] = {}
    for name, (preset, side_rad) in SETS.items():
        source = BopFolder(data.data_folder() / name, "none")
        every = max(len(source) // MOST_FRAMES, 1)
        clouds = [f.cloud for number, f in enumerate(source.frames()) if f.cloud is not None and number % every == 0]
        found = figures_of_tiles([tile for cloud in clouds for tile in plane_tiles(cloud, side_rad)])
        out |= _beside(name, preset, found)
    for name, preset in SCANS.items():
        clouds = [f.cloud for f in Scans(data.data_folder() / name).frames() if f.cloud is not None]
        sigma_m = np.concatenate([quadric_sigma_m(cloud) for cloud in clouds])
        range_m = [np.linalg.norm(c.points_m.mean(axis=0) - c.viewpoint_m) for c in clouds]
        found = {
            "tiles": len(sigma_m),
            "range_m": float(np.median(range_m)),
            "sigma_mm": 1e3 * float(np.median(sigma_m)),
        }
        out |= _beside(name, preset, found)
    return out


def _beside(name: str, preset: str, found: dict[str, float]) -> dict[str, float]:
    sensor = PRESETS[preset]
    stated = {
        "sigma_mm": 1e3 * sensor.sigma_m(found["range_m"]),
        "smoothing_mrad": 1e3 * sensor.smoothing_rad,
        "slow_rel": sensor.bias_rel,
    }
    return {f"{name}_{k}": v for k, v in found.items()} | {
        f"{name}_preset_{k}": float(v) for k, v in stated.items() if k in found
    }


def lines(figures: dict[str, float]) -> list[str]:
    """The table of docs/sensors.md."""
    rows = []
    for name, preset in [*((name, preset) for name, (preset, _) in SETS.items()), *SCANS.items()]:
        row = [f"{name}", f"`{preset}`", f"{figures[f'{name}_tiles']:.0f}", f"{figures[f'{name}_range_m']:.2f}"]
        for key, digits in (("sigma_mm", 2), ("smoothing_mrad", 1), ("slow_rel", 4)):
            for where in ("", "preset_"):
                value = figures.get(f"{name}_{where}{key}")
                row.append("-" if value is None else f"{value:.{digits}f}")
        rows.append(row)
    header = (
        "set",
        "preset",
        "tiles",
        "range, m",
        "noise, mm",
        "preset's",
        "window, mrad",
        "preset's",
        "slow error",
        "bias",
    )
    return table.lines(header, rows)


def write_page(figures: dict[str, float]) -> None:
    """Replace the table between the page's markers."""
    before, rest = PAGE.read_text().split(BEGIN)
    results.write_text(PAGE, "\n".join([f"{before}{BEGIN}", *lines(figures), f"{END}{rest.split(END)[1]}"]))


def main() -> None:
    figures = measure()
    results.write_result("sensors", "python -m benchmarks.sensors", figures)
    write_page(figures)
    print("\n".join(lines(figures)))


if __name__ == "__main__":
    main()
