"""The estimates of a run without labels, joined to instances over time by position.

In the fixed frame where the camera's motion was recorded, else in the camera's. Poses that are equal up to the object's
symmetry count as one pose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pose_node.arrays import Array
from pose_node.evaluation.records import FrameRecord, SightingRecord
from pose_node.geometry import se3
from pose_node.geometry.symmetry import nearest_symmetric
from pose_node.objects.card import ObjectCard

FLIP_RAD = np.radians(30.0)  # a larger rotation between two frames is another answer, not a motion
_SAME_INSTANCE_REL = 0.5  # of the diameter: the largest distance between two sightings of an instance


@dataclass(eq=False)
class Instance:
    """One object instance over the frames of a scene.

    poses: T_fixed_object [4, 4] (T_camera_object where ``fixed`` is False), of poses equal by symmetry the one nearest to the
    pose before; frames: their frame numbers in the scene; last: the scene's last frame number.
    """

    scene: str
    object_name: str
    fixed: bool
    last: int
    frames: list[int] = field(default_factory=list)
    poses: list[Array] = field(default_factory=list)


def sightings(frames: Sequence[FrameRecord], cards: Mapping[str, ObjectCard]) -> list[SightingRecord]:
    """Every estimate of ``cards`` as a sighting of an instance, with its contribution to the figures."""
    records: dict[str, list[FrameRecord]] = {}
    for frame in frames:
        records.setdefault(frame.scene, []).append(frame)
    numbers: dict[tuple[str, str], int] = {}
    found = []
    for one in instances(frames, cards):
        number = numbers[one.scene, one.object_name] = numbers.get((one.scene, one.object_name), -1) + 1
        for frame, values in zip(one.frames, _values(one, cards[one.object_name])):
            found.append(SightingRecord(one.scene, records[one.scene][frame].frame, one.object_name, number, values))
    return found


def instances(frames: Sequence[FrameRecord], cards: Mapping[str, ObjectCard]) -> list[Instance]:
    """Assign the estimates of ``cards`` to instances, the nearest pairs first, up to half a diameter apart."""
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
    """The instance of each pose, each instance at most once; None for a new one."""
    centre = card.centre_m[None]
    centres = [se3.apply(T, centre)[0] for T in poses]
    pairs = sorted(
        (float(np.linalg.norm(position - se3.apply(instance.poses[-1], centre)[0])), i, j)
        for i, position in enumerate(centres)
        for j, instance in enumerate(known)
    )
    chosen: dict[int, int] = {}
    for apart_m, i, j in pairs:
        if apart_m <= _SAME_INSTANCE_REL * card.diameter_m and i not in chosen and j not in chosen.values():
            chosen[i] = j
    return [known[chosen[i]] if i in chosen else None for i in range(len(poses))]


def _values(one: Instance, card: ObjectCard) -> list[dict[str, float]]:
    """The contribution of each sighting of an instance to the figures. A step counts with its second sighting."""
    poses = np.stack(one.poses)
    centres = se3.apply(poses, card.centre_m[None])[:, 0]
    steps_mm = 1000.0 * np.linalg.norm(np.diff(centres, axis=0), axis=1)
    angles = se3.angle(np.swapaxes(poses[:-1, :3, :3], -1, -2) @ poses[1:, :3, :3])
    values: list[dict[str, float]] = [{} for _ in poses]
    for into, step_mm, angle in zip(values[1:], steps_mm, angles):
        into.update(jitter_mm=float(step_mm), flips=float(angle > FLIP_RAD))
        if angle <= FLIP_RAD:
            into["jitter_deg"] = float(np.degrees(angle))
    if one.fixed and len(poses) > 1:
        distances = 1000.0 * np.linalg.norm(centres - np.median(centres, axis=0), axis=1)
        angles = np.degrees(se3.angle(se3.mean_so3(poses[:, :3, :3]).T @ poses[:, :3, :3]))
        for into, distance, angle in zip(values, distances, angles):
            into.update(spread_mm=float(distance), spread_deg=float(angle))
    for into, frame, after in zip(values, one.frames, [*one.frames[1:], None]):
        if frame == one.last:
            continue
        lost = after is None or after > frame + 1
        into["lost"] = float(lost)
        if lost:
            into["found_again"] = float(after is not None)
    return values
