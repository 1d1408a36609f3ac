"""Differences between two runs over the same recording, by label and by frame, with their intervals.

A difficult placement is difficult for both runs, so paired differences vary much less than the figures themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pose_node.errors import InputError
from pose_node.evaluation.figures.consistency import CONSISTENCY
from pose_node.evaluation.figures.curves import errors, placement
from pose_node.evaluation.figures.intervals import mean_interval, resampling_units, statistic_interval
from pose_node.evaluation.figures.summarise import label_values
from pose_node.evaluation.records import FrameRecord, LabelRecord, SightingRecord
from pose_node.evaluation.run_folder import Run

_SAME_POSE = 1e-6  # metres and direction cosines: tolerance between the poses of a label in two files


@dataclass(frozen=True)
class Difference:
    """One figure of two runs over the ``pairs`` that they share: ``b - a`` lies in [``low``, ``high``], NaN without an interval."""

    a: float
    b: float
    low: float
    high: float
    pairs: int


@dataclass(frozen=True, eq=False)
class Pairs:
    """The common labels and frames of two runs, in equal order, and the number of the others."""

    labels_a: tuple[LabelRecord, ...]
    labels_b: tuple[LabelRecord, ...]
    frames_a: tuple[FrameRecord, ...]
    frames_b: tuple[FrameRecord, ...]
    labels_left_out: int
    frames_left_out: int


def pair(a: Run, b: Run) -> Pairs:
    """Pair the labels and frames of two runs.

    Raises InputError when only one has labels, when they have no common frame or label, when a common label has two poses, or
    when errors were computed with different models.
    """
    if bool(a.labels) != bool(b.labels):
        with_labels = a.folder if a.labels else b.folder
        raise InputError(
            f"compare: found labels in {with_labels} only, expected both runs with labels or both without."
        )
    if a.labels and a.info.reference != b.info.reference:
        raise InputError(
            f"compare: found errors by the models of the {a.info.reference} and of the {b.info.reference}, expected the same for both."
        )
    frames = _shared([(f.scene, f.frame) for f in a.frames], [(f.scene, f.frame) for f in b.frames])
    labels = _shared([_key(x) for x in a.labels], [_key(x) for x in b.labels])
    if not frames or (a.labels and not labels):
        raise InputError(
            f"compare: found no {'label' if frames else 'frame'} that {a.folder} and {b.folder} share, "
            "expected two runs over one recording."
        )
    labels_a, labels_b = (tuple(run.labels[pair[side]] for pair in labels) for side, run in enumerate((a, b)))
    for x, y in zip(labels_a, labels_b):
        if not np.allclose(x.T_camera_object, y.T_camera_object, rtol=0.0, atol=_SAME_POSE):
            raise InputError(
                f"compare: found two poses for the label {' '.join(map(str, _key(x)))}, expected the same ground truth in both runs."
            )
    return Pairs(
        labels_a,
        labels_b,
        tuple(a.frames[i] for i, _ in frames),
        tuple(b.frames[j] for _, j in frames),
        len(a.labels) + len(b.labels) - 2 * len(labels),
        len(a.frames) + len(b.frames) - 2 * len(frames),
    )


def label_differences(a: Run, b: Run, pairs: Pairs, object_name: str | None = None) -> dict[str, Difference]:
    """Every figure of labels, of one object or of all; medians over the labels with an estimate in both runs."""
    both = [(x, y) for x, y in zip(pairs.labels_a, pairs.labels_b) if object_name in (None, x.object_name)]
    if not both:
        return {}
    mine_a, mine_b = [x for x, _ in both], [y for _, y in both]
    placements = [placement(x) for x in mine_a]
    values_a, values_b = label_values(a.info, mine_a), label_values(b.info, mine_b)
    found = {k: mean_difference(values_a[k], values_b[k], placements) for k in values_a if k in values_b}
    for key in ("rotation_deg", "translation_mm"):
        values = np.stack([errors(mine_a, key), errors(mine_b, key)], axis=1)
        known = np.isfinite(values).all(axis=1)
        if known.any():
            clusters = [p for p, k in zip(placements, known) if k]
            found[key] = _statistic_difference(values[known], clusters, np.median)
    # As in the summary: BOP's names are only for the set's own models and symmetries.
    return found if a.info.reference == "set" else {f"own_{key}": difference for key, difference in found.items()}


def frame_differences(pairs: Pairs) -> dict[str, Difference]:
    """Mean seconds of each stage (``stage_NAME_s``) and of the whole call (``time_s``), and refusals per frame (``rejected_CODE``)."""
    clusters = resampling_units([frame.scene for frame in pairs.frames_a])
    frames = (*pairs.frames_a, *pairs.frames_b)
    stages = list(dict.fromkeys(stage for frame in frames for stage in frame.stage_s))
    codes = sorted({code for frame in frames for code in frame.rejected})

    def each(of: Callable[[FrameRecord], float]) -> Difference:
        return mean_difference([of(f) for f in pairs.frames_a], [of(f) for f in pairs.frames_b], clusters)

    return {
        **{f"stage_{s}_s": each(lambda f, s=s: f.stage_s.get(s, 0.0)) for s in stages},
        "time_s": each(lambda f: f.time_s),
        **{f"rejected_{c}": each(lambda f, c=c: float(f.rejected.get(c, 0))) for c in codes},
    }


def consistency_differences(a: Run, b: Run, pairs: Pairs, object_name: str) -> dict[str, Difference]:
    """Without labels: the share of frames with the object, its best score where both runs have it, and the figures of
    sightings (spread, jitter and so on) over the frames where both runs have them."""
    clusters = resampling_units([frame.scene for frame in pairs.frames_a])
    best = np.array([[_best(f, object_name), _best(g, object_name)] for f, g in zip(pairs.frames_a, pairs.frames_b)])
    found = np.isfinite(best)
    both = found.all(axis=1)
    differences = {"found": mean_difference(found[:, 0], found[:, 1], clusters)}
    if both.any():
        common = [w for w, k in zip(clusters, both) if k]
        differences["score"] = mean_difference(best[both, 0], best[both, 1], common)
    of_a, of_b = (_by_frame(run.sightings, object_name) for run in (a, b))
    for key in CONSISTENCY:
        values = np.array([[of.get((f.scene, f.frame, key), np.nan) for of in (of_a, of_b)] for f in pairs.frames_a])
        known = np.isfinite(values).all(axis=1)
        if known.any():
            common = [w for w, k in zip(clusters, known) if k]
            differences[key] = mean_difference(values[known, 0], values[known, 1], common)
    return differences


def mean_difference(
    a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray, clusters: Sequence[Hashable]
) -> Difference:
    """Means of paired values [N] and the interval of their difference."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    low, high = mean_interval(b - a, clusters)
    return Difference(float(a.mean()), float(b.mean()), float(low), float(high), len(a))


def _statistic_difference(
    values: np.ndarray, clusters: Sequence[Hashable], statistic: Callable[[np.ndarray], float]
) -> Difference:
    low, high = statistic_interval(values, clusters, lambda v: float(statistic(v[:, 1]) - statistic(v[:, 0])))
    return Difference(float(statistic(values[:, 0])), float(statistic(values[:, 1])), low, high, len(values))


def _by_frame(sightings: Sequence[SightingRecord], object_name: str) -> Mapping[tuple[str, str, str], float]:
    """{(scene, frame, figure): mean over the object's instances in the frame}."""
    values: dict[tuple[str, str, str], list[float]] = {}
    for one in sightings:
        if one.object_name == object_name:
            for key, value in one.values.items():
                values.setdefault((one.scene, one.frame, key), []).append(value)
    return {where: float(np.mean(each)) for where, each in values.items()}


def _best(frame: FrameRecord, object_name: str) -> float:
    return max((e.score for e in frame.estimates if e.object_name == object_name), default=float("nan"))


def _shared(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[tuple[int, int]]:
    """(index in a, index in b) of the common elements, in the order of a."""
    index = {key: j for j, key in enumerate(b)}
    return [(i, index[key]) for i, key in enumerate(a) if key in index]


def _key(label: LabelRecord) -> tuple[str, str, str, int]:
    return (label.scene, label.frame, label.object_name, label.instance)
