"""What a recording tells without ground truth: whether poses of things that stand still agree with each other.

Sightings of one object are joined to instances over time, in the fixed frame where the camera's motion was recorded, else
in the camera's. Poses that are equal up to the object's symmetry are one pose.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pose_node.arrays import Array
from pose_node.evaluation.figures.intervals import MIN_CLUSTERS, mean_interval, resampling_units
from pose_node.evaluation.records import FrameRecord, SightingRecord
from pose_node.evaluation.run_folder import RunWriter
from pose_node.geometry import se3
from pose_node.geometry.symmetry import nearest_symmetric
from pose_node.objects.card import ObjectCard

FLIP_RAD = np.radians(30.0)  # turns of a thing that stands still do not happen: more than this is another answer
_REACH = 0.5  # of the diameter: a sighting farther from where an instance was is another instance
CONSISTENCY = {
    "found": "share of frames with an estimate of the object",
    "score": "mean score of the estimates",
    "spread_mm": "mean distance of an instance's centre from its middle in the fixed frame, millimetres",
    "spread_deg": "mean turn of an instance from its mean orientation in the fixed frame, degrees",
    "jitter_mm": "mean way of an instance's centre from one sighting to the next, millimetres",
    "jitter_deg": "mean turn of an instance from one sighting to the next, flips left out, degrees",
    "flips": "share of steps from one sighting to the next that turn by more than 30 degrees",
    "lost": "share of sightings that the next frame does not have",
    "found_again": "share of losses after which the instance came back",
    "time_s": "mean seconds a frame",
}


@dataclass(eq=False)
class Instance:
    """One thing over the frames of a scene. poses: T_fixed_object [4, 4] (T_camera_object where ``fixed`` is False), each the
    one nearest to the pose before among those equal to it; frames: the scene's frame numbers; last: of the scene."""

    scene: str
    object_name: str
    fixed: bool
    last: int
    frames: list[int] = field(default_factory=list)
    poses: list[Array] = field(default_factory=list)


def sightings(frames: Sequence[FrameRecord], cards: Mapping[str, ObjectCard]) -> list[SightingRecord]:
    """Every estimate of ``cards`` as a sighting of an instance, with what it adds to the figures."""
    records: dict[str, list[FrameRecord]] = {}
    for frame in frames:
        records.setdefault(frame.scene, []).append(frame)
    numbers: dict[tuple[str, str], int] = {}
    seen = []
    for one in instances(frames, cards):
        number = numbers[one.scene, one.object_name] = numbers.get((one.scene, one.object_name), -1) + 1
        for place, values in zip(one.frames, _values(one, cards[one.object_name])):
            seen.append(SightingRecord(one.scene, records[one.scene][place].frame, one.object_name, number, values))
    return seen


def summarise_consistency(
    writer: RunWriter, frames: Sequence[FrameRecord], cards: Mapping[str, ObjectCard], seed: int = 0
) -> dict[str, Any]:
    """Write the sightings of a run without labels; its summary, see ``consistency_summary``."""
    seen = sightings(frames, cards)
    for sighting in seen:
        writer.sighting(sighting)
    return consistency_summary(frames, seen, list(cards), seed)


def consistency_summary(
    frames: Sequence[FrameRecord], seen: Sequence[SightingRecord], names: Sequence[str], seed: int = 0
) -> dict[str, Any]:
    """The summary of a run without labels over the objects ``names``, laid out as that of one with labels ("labels" is 0
    everywhere). ``seen`` are the ``sightings`` of its frames.

    Beside ``CONSISTENCY``: stage_NAME_s, mean seconds of each stage, and rejected_CODE, refusals a frame. Intervals are drawn
    over instances, or over scenes where a figure is one of frames; over tenths of the recording where there are fewer than
    three of them, and None where that leaves fewer than three, too.
    """
    scenes = list(dict.fromkeys(frame.scene for frame in frames))

    def entry(scene: str | None = None, name: str | None = None) -> dict[str, Any]:
        of_scene = [f for f in frames if scene in (None, f.scene)]
        mine = [s for s in seen if scene in (None, s.scene) and name in (None, s.object_name)]
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
    """What a figure is, for a reader; raises KeyError for another."""
    if key.startswith("stage_"):
        return f"mean seconds a frame of the stage {key.removeprefix('stage_').removesuffix('_s')}"
    if key.startswith("rejected_"):
        return f"refusals a frame for the reason {key.removeprefix('rejected_')}"
    return CONSISTENCY[key]


def instances(frames: Sequence[FrameRecord], cards: Mapping[str, ObjectCard]) -> list[Instance]:
    """Join the sightings of ``cards`` to instances: the nearest pairs first, no farther than half a diameter."""
    scenes: dict[str, list[FrameRecord]] = {}
    for frame in frames:
        scenes.setdefault(frame.scene, []).append(frame)
    found = []
    for scene, records in scenes.items():
        fixed = all(frame.T_fixed_camera is not None for frame in records)
        for name, card in cards.items():
            mine: list[Instance] = []
            for number, frame in enumerate(records):
                T = frame.T_fixed_camera if fixed else np.eye(4)
                poses = [T @ e.T_camera_object for e in frame.estimates if e.object_name == name]
                for pose, instance in zip(poses, _nearest(poses, mine, card)):
                    if instance is None:
                        instance = Instance(scene, name, fixed, len(records) - 1)
                        mine.append(instance)
                    before = instance.poses[-1] if instance.poses else pose
                    instance.poses.append(nearest_symmetric(before, pose, card.symmetry))
                    instance.frames.append(number)
            found += mine
    return found


def _nearest(poses: Sequence[Array], known: Sequence[Instance], card: ObjectCard) -> list[Instance | None]:
    """For each pose the instance that it continues, each instance at most once; None for a new one."""
    centre = card.centre_m[None]
    places = [se3.apply(T, centre)[0] for T in poses]
    pairs = sorted(
        (float(np.linalg.norm(place - se3.apply(instance.poses[-1], centre)[0])), i, j)
        for i, place in enumerate(places)
        for j, instance in enumerate(known)
    )
    chosen: dict[int, int] = {}
    for apart_m, i, j in pairs:
        if apart_m <= _REACH * card.diameter_m and i not in chosen and j not in chosen.values():
            chosen[i] = j
    return [known[chosen[i]] if i in chosen else None for i in range(len(poses))]


def _values(one: Instance, card: ObjectCard) -> list[dict[str, float]]:
    """What each sighting of an instance adds to the figures. A step belongs to the sighting that it ends with."""
    poses = np.stack(one.poses)
    centres = se3.apply(poses, card.centre_m[None])[:, 0]
    ways = 1000.0 * np.linalg.norm(np.diff(centres, axis=0), axis=1)
    turns = se3.angle(np.swapaxes(poses[:-1, :3, :3], -1, -2) @ poses[1:, :3, :3])
    values: list[dict[str, float]] = [{} for _ in poses]
    for into, way, turn in zip(values[1:], ways, turns):
        into.update(jitter_mm=float(way), flips=float(turn > FLIP_RAD))
        if turn <= FLIP_RAD:
            into["jitter_deg"] = float(np.degrees(turn))
    if one.fixed and len(poses) > 1:
        apart = 1000.0 * np.linalg.norm(centres - np.median(centres, axis=0), axis=1)
        turned = np.degrees(se3.angle(se3.mean_so3(poses[:, :3, :3]).T @ poses[:, :3, :3]))
        for into, way, turn in zip(values, apart, turned):
            into.update(spread_mm=float(way), spread_deg=float(turn))
    for into, frame, after in zip(values, one.frames, [*one.frames[1:], None]):
        if frame == one.last:
            continue
        lost = after is None or after > frame + 1
        into["lost"] = float(lost)
        if lost:
            into["found_again"] = float(after is not None)
    return values


def _of_sightings(seen: Sequence[SightingRecord], where: Mapping[Any, Hashable], seed: int) -> dict[str, Any]:
    figures = {}
    for key in CONSISTENCY:
        mine = [s for s in seen if key in s.values]
        things: list[Hashable] = [(s.scene, s.object_name, s.instance) for s in mine]
        if len(set(things)) < MIN_CLUSTERS:
            things = [where[s.scene, s.frame] for s in mine]
        figures[key] = _mean([s.values[key] for s in mine], things, seed)
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
    """What a whole frame took, and what it refused."""
    stages = list(dict.fromkeys(stage for frame in frames for stage in frame.stage_s))
    codes = sorted({code for frame in frames for code in frame.rejected})

    def each(of: Callable[[FrameRecord], float]) -> Any:
        return _mean([of(frame) for frame in frames], where, seed)

    figures = {"time_s": each(lambda f: f.time_s)}
    figures.update({f"stage_{s}_s": each(lambda f, s=s: f.stage_s.get(s, 0.0)) for s in stages})
    figures.update({f"rejected_{c}": each(lambda f, c=c: float(f.rejected.get(c, 0))) for c in codes})
    return figures


def _mean(values: Sequence[float], clusters: Sequence[Hashable], seed: int) -> dict[str, float | None] | None:
    if not len(values):
        return None
    low, high = (float(bound) for bound in mean_interval(values, clusters, seed))
    known = np.isfinite(low) and np.isfinite(high)
    return {"value": float(np.mean(values)), "low": low if known else None, "high": high if known else None}
