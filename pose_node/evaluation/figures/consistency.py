"""The summary of a run without ground truth: whether the poses of static objects are consistent over time."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from pose_node.evaluation.figures.figure import mean_figure
from pose_node.evaluation.figures.intervals import MIN_CLUSTERS, resampling_units
from pose_node.evaluation.figures.sightings import sightings
from pose_node.evaluation.records import FrameRecord, SightingRecord
from pose_node.evaluation.run_folder import RunWriter
from pose_node.objects.card import ObjectCard

CONSISTENCY = {
    "found": "share of frames with an estimate of the object",
    "score": "mean score of the estimates",
    "spread_mm": "mean distance of an instance's centre from its median in the fixed frame, millimetres",
    "spread_deg": "mean angle of an instance from its mean orientation in the fixed frame, degrees",
    "jitter_mm": "mean distance between an instance's centres in consecutive sightings, millimetres",
    "jitter_deg": "mean rotation between consecutive sightings, without flips, degrees",
    "flips": "share of consecutive sightings with a rotation of more than 30 degrees",
    "lost": "share of sightings that are missing in the next frame",
    "found_again": "share of losses after which the instance was found again",
    "time_s": "mean seconds per frame",
}


def summarise_consistency(
    writer: RunWriter, frames: Sequence[FrameRecord], cards: Mapping[str, ObjectCard], seed: int = 0
) -> dict[str, Any]:
    """Write the sightings of a run without labels; returns its summary, see ``consistency_summary``."""
    found = sightings(frames, cards)
    for sighting in found:
        writer.sighting(sighting)
    return consistency_summary(frames, found, list(cards), seed)


def consistency_summary(
    frames: Sequence[FrameRecord], found: Sequence[SightingRecord], names: Sequence[str], seed: int = 0
) -> dict[str, Any]:
    """The summary of a run without labels over the objects ``names``, in the layout of one with labels ("labels" is 0).
    ``found`` are the ``sightings`` of its frames.

    Beside ``CONSISTENCY``: stage_NAME_s, mean seconds of each stage, and rejected_CODE, refusals per frame. Clusters of the
    intervals are instances, or scenes for figures of frames, or tenths of the recording with fewer than three of these.
    """
    scenes = list(dict.fromkeys(frame.scene for frame in frames))

    def entry(scene: str | None = None, name: str | None = None) -> dict[str, Any]:
        of_scene = [f for f in frames if scene in (None, f.scene)]
        mine = [s for s in found if scene in (None, s.scene) and name in (None, s.object_name)]
        where = dict(zip(((f.scene, f.frame) for f in of_scene), resampling_units([f.scene for f in of_scene])))
        figures = {
            **_of_frames(of_scene, [name] if name else list(names), where, seed),
            **_of_sightings(mine, where, seed),
        }
        if name is None:
            figures.update(_of_calls(of_scene, list(where.values()), seed))
        return {"labels": 0, "figures": {key: value for key, value in figures.items() if value is not None}}

    return {
        "all": entry(),
        "objects": {name: entry(name=name) for name in names},
        "scenes": {scene: entry(scene=scene) for scene in scenes},
    }


def consistency_meaning(key: str) -> str:
    """A figure's definition in words; raises KeyError for an unknown figure."""
    if key.startswith("stage_"):
        return f"mean seconds per frame of the stage {key.removeprefix('stage_').removesuffix('_s')}"
    if key.startswith("rejected_"):
        return f"refusals per frame with the code {key.removeprefix('rejected_')}"
    return CONSISTENCY[key]


def _of_sightings(found: Sequence[SightingRecord], where: Mapping[Any, Hashable], seed: int) -> dict[str, Any]:
    figures = {}
    for key in CONSISTENCY:
        mine = [s for s in found if key in s.values]
        clusters: list[Hashable] = [(s.scene, s.object_name, s.instance) for s in mine]
        if len(set(clusters)) < MIN_CLUSTERS:
            clusters = [where[s.scene, s.frame] for s in mine]
        figures[key] = _mean([s.values[key] for s in mine], clusters, seed)
    return {key: figure for key, figure in figures.items() if figure is not None}


def _of_frames(
    frames: Sequence[FrameRecord], names: Sequence[str], where: Mapping[Any, Hashable], seed: int
) -> dict[str, Any]:
    found = [(f, float(any(e.object_name == name for e in f.estimates))) for f in frames for name in names]
    scores = [(f, e.score) for f in frames for e in f.estimates if e.object_name in names]
    return {
        key: _mean([value for _, value in values], [where[f.scene, f.frame] for f, _ in values], seed)
        for key, values in (("found", found), ("score", scores))
    }


def _of_calls(frames: Sequence[FrameRecord], where: Sequence[Hashable], seed: int) -> dict[str, Any]:
    """Times and refusals of frames."""
    stages = list(dict.fromkeys(stage for frame in frames for stage in frame.stage_s))
    codes = sorted({code for frame in frames for code in frame.rejected})

    def each(of: Callable[[FrameRecord], float]) -> Any:
        return _mean([of(frame) for frame in frames], where, seed)

    figures = {"time_s": each(lambda f: f.time_s)}
    figures.update({f"stage_{s}_s": each(lambda f, s=s: f.stage_s.get(s, 0.0)) for s in stages})
    figures.update({f"rejected_{c}": each(lambda f, c=c: float(f.rejected.get(c, 0))) for c in codes})
    return figures


def _mean(values: Sequence[float], clusters: Sequence[Hashable], seed: int) -> dict[str, float | None] | None:
    return mean_figure(np.array(values, float), clusters, seed) if len(values) else None
