"""All settings of the chain: one frozen dataclass per stage, each default stated once, unknown keys refused.

The node declares its ROS parameters from these classes, and the command line reads YAML into them. ``config/pose.yaml``
has the same names, defaults and sentences; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

from pose_node.errors import ConfigError

C = TypeVar("C")


def bounded(default: float, low: float, high: float, doc: str, live: bool = False) -> Any:
    """A number with its inclusive range and a sentence for users. live: read with each frame (``Pipeline.retune``)."""
    return field(default=default, metadata={"range": (low, high), "doc": doc, "live": live})


def choice(default: str, options: tuple[str, ...], doc: str, live: bool = False) -> Any:
    """A text with its allowed values. live: as in ``bounded``."""
    return field(default=default, metadata={"options": options, "doc": doc, "live": live})


def plain(default: Any, doc: str) -> Any:
    """A field without limits: any value of its type is valid."""
    return field(default=default, metadata={"doc": doc})


def _in_order(config: Any, stage: str, low: str, high: str, strictly: bool = False) -> None:
    """Raise ConfigError unless the first setting is at most (strictly: below) the second."""
    least, most = getattr(config, low), getattr(config, high)
    if least > most or (strictly and least == most):
        expected = "less than" if strictly else "at most"
        raise ConfigError(
            f"{stage}.{low}: found {least:g} with {stage}.{high} {most:g}, expected {low} to be {expected} {high}."
        )


@dataclass(frozen=True, slots=True)
class SensorConfig:
    """The depth camera: a preset, and what was measured of it (pose_node measure-sensor). -1: the preset's value."""

    preset: str = choice(
        "structured_light",
        ("structured_light", "active_stereo", "time_of_flight", "laser", "industrial_structured_light"),
        "kind of depth camera, which states the values below",
    )
    noise_m: float = bounded(
        -1.0, -1.0, 0.1, "standard deviation of a reading along its ray at zero range; -1: the preset's"
    )
    noise_per_m2: float = bounded(
        -1.0, -1.0, 0.1, "growth of noise_m with the square of the range, 1/m; -1: the preset's"
    )
    smoothing_rad: float = bounded(
        -1.0,
        -1.0,
        0.05,
        "standard deviation of the window over which the camera smooths depth; 0: none; -1: the preset's",
    )
    bias_rel: float = bounded(
        -1.0, -1.0, 0.1, "standard deviation of the error of whole regions, as a share of the range; -1: the preset's"
    )


@dataclass(frozen=True, slots=True)
class SegmentConfig:
    """Where objects may be in a frame without masks and boxes."""

    near_m: float = bounded(0.1, 0.0, 100.0, "points nearer to the viewpoint are ignored", live=True)
    far_m: float = bounded(3.0, 0.0, 100.0, "points farther from the viewpoint are ignored", live=True)
    max_pairs: int = bounded(
        48, 1, 1000, "at most this many pairs of candidate and object are shown to the network, best size match first"
    )

    def __post_init__(self) -> None:
        _in_order(self, "segment", "near_m", "far_m", strictly=True)


@dataclass(frozen=True, slots=True)
class InferConfig:
    """How the network runs."""

    provider: str = choice("auto", ("auto", "cpu", "cuda", "tensorrt"), "ONNX Runtime execution provider")
    require_gpu: bool = plain(False, "refuse to start rather than run on the CPU")
    threads: int = bounded(1, 1, 256, "threads of ONNX Runtime; results are byte-equal for a fixed number")
    min_points: int = bounded(60, 10, 100000, "a segment with fewer points is rejected")
    min_voters: float = bounded(
        0.4, 0.0, 1.0, "without masks and boxes, share of a segment's points that must vote for the object"
    )
    max_prospects: int = bounded(
        10, 1, 1000, "without masks and boxes, at most this many pairs of segment and object get hypotheses"
    )
    max_hypotheses: int = bounded(
        16, 1, 1000, "at most this many hypotheses per segment and object, not counting the card's confusions"
    )


@dataclass(frozen=True, slots=True)
class RefineConfig:
    """Point-to-plane ICP against the model's surface."""

    coarse_points: int = bounded(256, 20, 100000, "measured points used by the coarse refinement of all hypotheses")
    coarse_iterations: int = bounded(8, 1, 100, "iterations of the coarse refinement")
    points: int = bounded(800, 50, 100000, "measured points used by the final refinement")
    max_iterations: int = bounded(40, 1, 1000, "at most this many iterations of the final refinement")
    inlier_distance_rel: float = bounded(
        0.05, 0.001, 0.5, "final correspondence distance, as a share of the object's diameter"
    )


@dataclass(frozen=True, slots=True)
class JudgeConfig:
    """Which hypotheses become estimates."""

    shortlist: int = bounded(8, 1, 100, "hypotheses per segment and object that get the final refinement")
    blind_rotations: int = bounded(
        64, 0, 4096, "orientations tried in a mask or box that the network's hypotheses fit badly; 0: none"
    )
    blind_below: float = bounded(
        0.75, 0.0, 1.0, "the network's hypotheses fit badly when the best coarse score is below this"
    )
    tolerance_m: float = bounded(0.005, 0.0, 0.1, "model and measurement agree within this distance, at zero range")
    tolerance_per_m2: float = bounded(0.004, 0.0, 0.1, "growth of tolerance_m with the square of the range, 1/m")
    min_score: float = bounded(0.5, 0.0, 1.0, "estimates below this score are rejected", live=True)
    min_explained: float = bounded(
        0.3, 0.0, 1.0, "share of the visible model surface that the measurement must confirm"
    )
    alternatives_margin: float = bounded(
        0.05, 0.0, 1.0, "orientations whose score is this close to the best are kept as alternatives"
    )
    belief: float = bounded(
        0.06, 0.0, 1.0, "score penalty per nat by which the matches support a hypothesis less than the best supported"
    )
    max_instances: int = bounded(10, 1, 1000, "at most this many estimates per object", live=True)


@dataclass(frozen=True, slots=True)
class TrackConfig:
    """Tracking from frame to frame in the fixed frame."""

    enabled: bool = plain(True, "track objects over time; false: each frame is estimated by itself")
    motion: str = choice("static", ("static", "moving"), "whether objects stand still in the fixed frame or move")
    detect_period_s: float = bounded(
        1.0,
        0.0,
        3600.0,
        "pause between a detection's result and the next detection, which may start and correct tracks; 0: every frame",
        live=True,
    )
    detect_lag_s: float = bounded(
        0.5,
        0.0,
        60.0,
        "the result of a detection is used by the first frame that is this much later than the detection's own",
    )
    detect_beside: bool = plain(
        True,
        "the node detects in a second process while it tracks; false: frames wait for detections, and memory is saved",
    )
    confirm: int = bounded(2, 1, 100, "a track is confirmed after it was seen in this many frames, at the earliest")
    lost_after_s: float = bounded(0.5, 0.0, 3600.0, "a track that was not seen for this long is lost", live=True)
    forget_after_s: float = bounded(60.0, 0.0, 86400.0, "a lost track keeps its identity for this long", live=True)
    min_score_share: float = bounded(
        0.7, 0.0, 1.0, "share of judge.min_score that a tracked object must reach to count as seen"
    )
    memory: float = bounded(100.0, 1.0, 10000.0, "views from one side count as at most this many")
    memory_s: float = bounded(30.0, 0.0, 86400.0, "a side that was not seen for this long is forgotten")
    common: float = bounded(0.3, 0.0, 0.99, "share of a pose's variance that all views from one side have in common")
    acceleration_m_s2: float = bounded(1.0, 0.0, 1000.0, "acceleration noise of moving objects")
    turning_rad_s2: float = bounded(3.0, 0.0, 1000.0, "angular acceleration noise of moving objects")

    def __post_init__(self) -> None:
        _in_order(self, "track", "lost_after_s", "forget_after_s")


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """One field per stage."""

    sensor: SensorConfig = field(default_factory=SensorConfig)
    segment: SegmentConfig = field(default_factory=SegmentConfig)
    infer: InferConfig = field(default_factory=InferConfig)
    refine: RefineConfig = field(default_factory=RefineConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    track: TrackConfig = field(default_factory=TrackConfig)


_SENSOR = "sensor.preset and the other settings of sensor state how far readings may be off"
# Settings of earlier versions, and what replaces them.
REPLACED = {
    "judge.centre_rel": "how well a pose agrees with the matches follows from the matches alone",
    "segment.plane_distance_m": _SENSOR,
    "segment.cluster_gap_m": _SENSOR,
    "segment.remove_plane": "supports, planes that are wider than any object, are always removed",
    "segment.plane_min_share": "every plane that is wider than any object is a support",
    "track.gate": "a measurement belongs to a track unless one in a thousand right ones is as far off by the covariances",
    "refine.smoothing_rad": "sensor.smoothing_rad is the same",
}


def from_mapping(cls: type[C], values: Mapping[str, Any], where: str = "config") -> C:
    """Build a config dataclass from nested mappings; unknown keys, wrong types and values out of range raise ConfigError."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: found {type(values).__name__}, expected a mapping of settings.")
    hints = get_type_hints(cls)
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    kept: dict[str, Any] = {}
    for key, value in values.items():
        if (replaced := REPLACED.get(f"{where.rpartition('.')[2]}.{key}")) is not None:
            raise ConfigError(f"{where}: {key!r} is no longer a setting: {replaced}.")
        if key not in known:
            hint = did_you_mean(str(key), _dotted_names(cls))
            raise ConfigError(f"{where}: unknown key {key!r}{hint}; expected one of {', '.join(known)}.")
        name = f"{where}.{key}"
        kept[key] = (
            from_mapping(hints[key], value, name)
            if is_dataclass(hints[key])
            else checked_value(value, hints[key], known[key].metadata, name)
        )
    return cls(**kept)


def did_you_mean(name: str, known: Collection[str]) -> str:
    """A hint at the known dotted name that is most like an unknown one; empty where none is."""
    by_leaf = {each.rpartition(".")[2]: each for each in known}
    leaf = name.rpartition(".")[2]
    near = [by_leaf[leaf]] if leaf in by_leaf else get_close_matches(name, known, n=1)
    near = near or [by_leaf[each] for each in get_close_matches(leaf, by_leaf, n=1)]
    return f" (did you mean {near[0]!r}?)" if near else ""


def _dotted_names(cls: Any) -> list[str]:
    hints = get_type_hints(cls)
    stages = [f.name for f in fields(cls) if is_dataclass(hints[f.name])]
    inner = [f"{stage}.{name}" for stage in stages for name in _dotted_names(hints[stage])]
    return [f.name for f in fields(cls)] + inner


def checked_value(value: Any, kind: type, metadata: Mapping[str, Any], name: str) -> Any:
    """``value`` as ``kind``, within the field's range or options, or ConfigError."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ConfigError(f"{name}: found {value!r}, expected {kind.__name__}.")
    if "range" in metadata:
        low, high = metadata["range"]
        if not low <= value <= high:
            raise ConfigError(f"{name}: found {value!r}, expected a number from {low:g} to {high:g}.")
    if "options" in metadata and value not in metadata["options"]:
        raise ConfigError(f"{name}: found {value!r}, expected one of {', '.join(metadata['options'])}.")
    return value


def load(path: str | Path | None) -> PipelineConfig:
    """Read the pipeline's settings from YAML: the stages alone, or a ROS 2 parameter file (``<node>: ros__parameters:``).

    Of a ROS 2 parameter file the first node's stages are read, and its other parameters ignored.

    Raises ConfigError when the file is missing, is not YAML, or holds unknown settings.
    """
    if path is None:
        return PipelineConfig()
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}), expected a YAML file of settings.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not YAML ({str(error).splitlines()[0]}).") from error
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path}: found {type(values).__name__}, expected a mapping of settings.")
    stages = {f.name for f in fields(PipelineConfig)}
    for section in values.values():
        if isinstance(section, Mapping) and "ros__parameters" in section:
            values = {k: v for k, v in section["ros__parameters"].items() if k in stages}
            break
    return from_mapping(PipelineConfig, values, str(path))
