"""All settings of the chain: one frozen dataclass per stage, one home per default, unknown keys refused.

The node declares its ROS parameters from these classes, the command line reads YAML into them; neither states a
default of its own. ``config/pose.yaml`` documents each field (a test holds the two together).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

from pose_node.errors import ConfigError

C = TypeVar("C")


def bounded(default: float, low: float, high: float, doc: str, live: bool = False) -> Any:
    """A number field with its inclusive range and a sentence for users. live: read anew with each frame (``Pipeline.retune``)."""
    return field(default=default, metadata={"range": (low, high), "doc": doc, "live": live})


def choice(default: str, options: tuple[str, ...], doc: str, live: bool = False) -> Any:
    """A text field with its allowed values. live: as of ``bounded``."""
    return field(default=default, metadata={"options": options, "doc": doc, "live": live})


def plain(default: Any, doc: str) -> Any:
    """A field that any value of its type suits."""
    return field(default=default, metadata={"doc": doc})


def _in_order(config: Any, stage: str, low: str, high: str, strictly: bool = False) -> None:
    """Raise ConfigError where a setting exceeds the one that bounds it: each by itself is within its range."""
    least, most = getattr(config, low), getattr(config, high)
    if least > most or (strictly and least == most):
        expected = "less than" if strictly else "at most"
        raise ConfigError(
            f"{stage}.{low}: found {least:g} with {stage}.{high} {most:g}, expected {low} to be {expected} {high}."
        )


@dataclass(frozen=True, slots=True)
class SegmentConfig:
    """Where to look when nobody says where."""

    near_m: float = bounded(0.1, 0.0, 100.0, "points nearer to the viewpoint are ignored", live=True)
    far_m: float = bounded(3.0, 0.0, 100.0, "points farther from the viewpoint are ignored", live=True)
    remove_plane: bool = plain(True, "leave out supports: connected pieces of a plane, wider than any object")
    plane_distance_m: float = bounded(0.008, 0.0, 1.0, "points this near to the plane belong to it (grows with noise)")
    plane_min_share: float = bounded(0.15, 0.0, 1.0, "a plane with a smaller share of the points is not a support")
    cluster_gap_m: float = bounded(0.012, 0.0, 1.0, "points farther apart than this start another piece of surface")
    max_pairs: int = bounded(
        48, 1, 1000, "at most this many pairs of a candidate and an object are looked at, likeliest size first"
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
        0.5, 0.0, 1.0, "share of a segment's points that must vote for the object where nobody says where it is"
    )
    max_prospects: int = bounded(
        10, 1, 1000, "at most this many pairs of segment and object are worked out where nobody says where to look"
    )
    max_hypotheses: int = bounded(48, 1, 1000, "at most this many hypotheses a segment and object, before confusions")


@dataclass(frozen=True, slots=True)
class RefineConfig:
    """Point-to-plane ICP against the model's surface."""

    coarse_points: int = bounded(256, 20, 100000, "measured points used while there are many hypotheses")
    coarse_iterations: int = bounded(8, 1, 100, "iterations while there are many hypotheses")
    points: int = bounded(800, 50, 100000, "measured points used by the last refinement")
    max_iterations: int = bounded(40, 1, 1000, "iterations of the last refinement")
    inlier_distance_rel: float = bounded(0.05, 0.001, 0.5, "final correspondence distance, share of the diameter")
    smoothing_rad: float = bounded(
        0.0029,
        0.0,
        0.05,
        "standard deviation of the window that a camera's matching smooths depth over, seen in tracks; 0: none",
    )


@dataclass(frozen=True, slots=True)
class JudgeConfig:
    """Which hypotheses live."""

    shortlist: int = bounded(8, 1, 100, "hypotheses a segment and object that get the last refinement")
    blind_rotations: int = bounded(
        64, 0, 4096, "orientations tried in a mask or box that the network's hypotheses explain badly (0: none)"
    )
    blind_below: float = bounded(0.75, 0.0, 1.0, "a best coarse score below this is badly explained")
    tolerance_m: float = bounded(0.005, 0.0, 0.1, "model and measurement agree within this at zero range")
    tolerance_per_m2: float = bounded(0.004, 0.0, 0.1, "growth of the tolerance with the square of the range, 1/m")
    min_score: float = bounded(0.5, 0.0, 1.0, "estimates below this score are rejected", live=True)
    min_explained: float = bounded(0.3, 0.0, 1.0, "share of the visible model surface that must be confirmed")
    alternatives_margin: float = bounded(
        0.05, 0.0, 1.0, "orientations this near to the best score stay as alternatives"
    )
    belief: float = bounded(
        0.06, 0.0, 1.0, "score that a hypothesis loses for each nat that the network believes it less"
    )
    centre_rel: float = bounded(
        0.15,
        0.01,
        10.0,
        "the score falls to 61 % where the network has the centre this share of the diameter elsewhere",
    )
    max_instances: int = bounded(10, 1, 1000, "at most this many estimates an object", live=True)


@dataclass(frozen=True, slots=True)
class TrackConfig:
    """Objects followed from frame to frame in the fixed frame."""

    enabled: bool = plain(True, "follow objects over time; off: every frame stands alone")
    motion: str = choice("static", ("static", "moving"), "do the objects stand still in the fixed frame, or move?")
    detect_period_s: float = bounded(
        1.0,
        0.0,
        3600.0,
        "from one detection's answer to the next detection, which may start and overrule tracks; 0: every frame",
        live=True,
    )
    detect_lag_s: float = bounded(
        0.5, 0.0, 60.0, "a detection beside running tracks is taken in by the first frame this much later"
    )
    detect_beside: bool = plain(
        True,
        "the node detects in a process of its own, so that following goes on; off: frames wait, and memory is saved",
    )
    confirm: int = bounded(2, 1, 100, "a track is confirmed at the earliest when it has been seen in so many frames")
    lost_after_s: float = bounded(0.5, 0.0, 3600.0, "a track that was not seen for so long is lost", live=True)
    forget_after_s: float = bounded(60.0, 0.0, 86400.0, "a lost track keeps its identity for so long", live=True)
    gate: float = bounded(
        22.5, 1.0, 1000.0, "squared Mahalanobis distance beyond which a measurement is not of the track (6 dof)"
    )
    min_score_share: float = bounded(
        0.7, 0.0, 1.0, "a followed object may score so much of judge.min_score before it counts as not seen"
    )
    memory: float = bounded(100.0, 1.0, 10000.0, "looks from one side count as at most so many")
    memory_s: float = bounded(30.0, 0.0, 86400.0, "a side that was not seen for so long is forgotten")
    common: float = bounded(
        0.3, 0.0, 0.99, "share of a pose's variance that looks from one side have in common, however many they are"
    )
    acceleration_m_s2: float = bounded(1.0, 0.0, 1000.0, "of moving objects: how much their velocity wanders")
    turning_rad_s2: float = bounded(3.0, 0.0, 1000.0, "of moving objects: how much their turning wanders")

    def __post_init__(self) -> None:
        _in_order(self, "track", "lost_after_s", "forget_after_s")


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """One field per stage."""

    segment: SegmentConfig = field(default_factory=SegmentConfig)
    infer: InferConfig = field(default_factory=InferConfig)
    refine: RefineConfig = field(default_factory=RefineConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    track: TrackConfig = field(default_factory=TrackConfig)


def from_mapping(cls: type[C], values: Mapping[str, Any], where: str = "config") -> C:
    """Build a config dataclass from nested mappings; unknown keys, wrong types and values out of range raise ConfigError."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: found {type(values).__name__}, expected a mapping of settings.")
    hints = get_type_hints(cls)
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    kept: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            meant = f" (did you mean {near[0]!r}?)" if near else ""
            raise ConfigError(f"{where}: unknown key {key!r}{meant}; expected one of {', '.join(known)}.")
        name = f"{where}.{key}"
        kept[key] = (
            from_mapping(hints[key], value, name)
            if is_dataclass(hints[key])
            else checked_value(value, hints[key], known[key].metadata, name)
        )
    return cls(**kept)


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
    """Read the pipeline's settings from YAML: either the bare stages, or a ROS 2 parameter file, whose node sections
    (``<node>: ros__parameters:``) are searched for the stages; the node's own parameters in it are left to the node.

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
