"""The sensor that a recording of a flat surface shows, and its settings as YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pose_node.errors import InputError
from pose_node.evaluation.figures.plane_noise import PlaneNoise, fit_sensor, plane_tiles
from pose_node.evaluation.runs.set_run import holds_set
from pose_node.evaluation.sources.bags import BagFrames
from pose_node.evaluation.sources.bop import BopFolder
from pose_node.evaluation.sources.recordings import is_recording
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.sensor import PRESETS

_MOST_FRAMES = 200  # evenly spaced in the recording; more add nothing


def measure_sensor(
    source: Path, topics: Mapping[str, str] | None = None, depth_scale_mm: float | None = None
) -> PlaneNoise:
    """Fit the sensor to the frames of a bag or a BOP folder; topics, depth_scale_mm: of a bag, as of ``BagFrames``.

    Raises InputError, in one sentence, for a source that cannot be read, has point clouds only, shows no plane, or a plane at
    one range only.
    """
    if not source.exists():
        raise InputError(f"{source}: found nothing there, expected a bag or a folder in BOP's layout.")
    bag = source.is_file() or (is_recording(source) and not holds_set(source))
    frames, images = [], 0
    for cloud in _of_bag(source, topics, depth_scale_mm) if bag else _of_set(source):
        images += len(cloud.shape) == 2
        frames.append(plane_tiles(cloud))
    if frames and not images:
        raise InputError(f"{source}: found point clouds without rows of pixels, expected depth images.")
    return fit_sensor(frames, str(source))


def as_yaml(found: PlaneNoise, source: str) -> str:
    """The stage ``sensor`` of the settings, to paste into a file like ``config/pose.yaml``.

    A plane shows no error of scale, so the bias is not below the most similar preset's.
    """
    sensor, preset = found.sensor, PRESETS[found.preset]
    seen = f"{found.frames} frames of {source}, {found.low_m:.2f} to {found.high_m:.2f} m"
    least = f"slow distortion {sensor.bias_rel:.4f}; at least the preset's, as a plane shows no error of scale"
    return (
        f"sensor:  # measured in {seen}\n"
        f"  preset: {found.preset}  # the most similar\n"
        f"  noise_m: {sensor.noise_m:.6f}\n"
        f"  noise_per_m2: {sensor.noise_per_m2:.6f}\n"
        f"  smoothing_rad: {sensor.smoothing_rad:.5f}\n"
        f"  bias_rel: {max(sensor.bias_rel, preset.bias_rel):.5f}  # {least}\n"
    )


def _of_bag(source: Path, topics: Mapping[str, str] | None, depth_scale_mm: float | None) -> Iterator[Cloud]:
    frames = BagFrames(source, topics=topics, depth_scale_mm=depth_scale_mm)
    every = max(len(frames) // _MOST_FRAMES, 1)
    for number, raw in enumerate(frames.raw()):
        cloud = raw.convert().cloud if number % every == 0 else None
        if cloud is not None:
            yield cloud


def _of_set(source: Path) -> Iterator[Cloud]:
    folder = BopFolder(source, "none")
    every = max(len(folder) // _MOST_FRAMES, 1)
    for number, frame in enumerate(folder.frames()):
        if frame.cloud is not None and number % every == 0:
            yield frame.cloud
