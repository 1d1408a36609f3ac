"""Each track of a run over its frames: observed time, losses, spread, and stated uncertainty."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pose_node.arrays import Array
from pose_node.evaluation.figures.median_pose import twists_from_median
from pose_node.evaluation.figures.sightings import FLIP_RAD
from pose_node.evaluation.records import FrameRecord, TrackRecord
from pose_node.geometry import se3

STATES = ("tentative", "confirmed", "lost")
SPREAD_PERCENTILE = 95.0
_UNITS = np.array([1000.0] * 3 + [np.degrees(1.0)] * 3)  # from metres and radians to millimetres and degrees


@dataclass(frozen=True, eq=False)
class TrackPath:
    """One track over the N frames in which it exists.

    name: object and number, with the scene if there are several. seconds: [N] since the scene's first frame; until: [N] the
    time of the next frame, with or without the track.
    """

    name: str
    seconds: Array
    until: Array
    records: tuple[TrackRecord, ...]

    @cached_property
    def states(self) -> np.ndarray:
        """[N] of ``STATES``."""
        return np.array([record.state for record in self.records])

    @property
    def confirmed(self) -> np.ndarray:
        """[N] booleans."""
        return self.states == "confirmed"

    @property
    def seen_s(self) -> tuple[float, float]:
        """Seconds of the first and the last frame in which it was observed; NaN if never."""
        observed = [s for s, record in zip(self.seconds, self.records) if record.seen]
        return (float(observed[0]), float(observed[-1])) if observed else (float("nan"), float("nan"))

    @property
    def losses(self) -> np.ndarray:
        """Indices [K] of the frames in which it became lost."""
        lost = self.states == "lost"
        return np.flatnonzero(lost & ~np.append(False, lost[:-1]))

    @property
    def returns(self) -> np.ndarray:
        """Indices [K] of the frames in which it was found again."""
        lost = self.states == "lost"
        return np.flatnonzero(~lost & np.append(False, lost[:-1]))

    @property
    def notes(self) -> list[tuple[float, str]]:
        """(seconds, note) of the frames with a note, in order."""
        return [(float(s), record.note) for s, record in zip(self.seconds, self.records) if record.note]

    @cached_property
    def deviation(self) -> Array:
        """[N, 6] millimetres and degrees along the fixed frame's axes from the median of the confirmed poses, or of all if
        none is confirmed. Poses equal by symmetry: the track has the one nearest to its pose before."""
        poses = np.stack([record.T_fixed_object for record in self.records])
        return _UNITS * twists_from_median(poses, poses[self.confirmed] if self.confirmed.any() else None)

    @cached_property
    def sigma(self) -> Array:
        """[N, 6] stated standard deviations in millimetres and degrees along the fixed frame's axes."""
        variances = np.stack([np.diagonal(record.covariance) for record in self.records])
        return _UNITS * np.sqrt(np.maximum(variances, 0.0))

    @property
    def flips(self) -> int:
        """How often it rotated by more than ``FLIP_RAD`` between consecutive confirmed frames, also across a loss."""
        R = np.stack([record.T_fixed_object[:3, :3] for record in self.records])[self.confirmed]
        return int((se3.angle(np.swapaxes(R[:-1], -1, -2) @ R[1:]) > FLIP_RAD).sum())

    def farthest(self) -> tuple[float, float]:
        """The largest deviation of a confirmed pose from the median, millimetres and degrees; NaN with fewer than two."""
        deviation = self.deviation[self.confirmed]
        if len(deviation) < 2:
            return float("nan"), float("nan")
        return float(np.linalg.norm(deviation[:, :3], axis=1).max()), float(
            np.linalg.norm(deviation[:, 3:], axis=1).max()
        )

    def spread(self) -> tuple[float, float]:
        """95th percentile of the deviation of confirmed poses from the median, millimetres and degrees; NaN with fewer than
        two."""
        deviation = self.deviation[self.confirmed]
        if len(deviation) < 2:
            return float("nan"), float("nan")
        distance, angle = np.linalg.norm(deviation[:, :3], axis=1), np.linalg.norm(deviation[:, 3:], axis=1)
        return float(np.percentile(distance, SPREAD_PERCENTILE)), float(np.percentile(angle, SPREAD_PERCENTILE))

    def stated(self) -> tuple[Array, Array]:
        """Stated standard deviations in the most and least certain direction, each [2], of the position in millimetres and of
        the rotation in degrees: medians over the confirmed frames, NaN without any."""
        if not self.confirmed.any():
            return np.full(2, np.nan), np.full(2, np.nan)
        covariances = np.stack([record.covariance for record in self.records])[self.confirmed]
        blocks = (covariances[:, :3, :3], covariances[:, 3:, 3:])
        distance, angle = (np.median(np.sqrt(np.maximum(np.linalg.eigvalsh(b), 0.0)), axis=0)[[0, 2]] for b in blocks)
        return _UNITS[0] * distance, _UNITS[3] * angle


def track_paths(frames: Sequence[FrameRecord]) -> list[TrackPath]:
    """The tracks of all frames, by scene, in the order of their first frames; none in a run without tracks."""
    scenes: dict[str, list[FrameRecord]] = defaultdict(list)
    for frame in frames:
        scenes[frame.scene].append(frame)
    paths = []
    for scene, mine in scenes.items():
        stamps = np.array([frame.stamp_ns for frame in mine])
        seconds = (stamps - stamps.min()) * 1e-9
        # The last frame lasts as long as the median one, so that charts show it.
        until = np.append(seconds[1:], seconds[-1] + (np.median(np.diff(seconds)) if len(seconds) > 1 else 1.0))
        found: dict[int, list[tuple[int, TrackRecord]]] = defaultdict(list)
        for number, frame in enumerate(mine):
            for track in frame.tracks:
                found[track.track_id].append((number, track))
        for track_id, appearances in sorted(found.items()):
            rows, records = zip(*appearances)
            name = f"{records[0].object_name} {track_id}" + (f", {scene}" if len(scenes) > 1 else "")
            paths.append(TrackPath(name, seconds[[*rows]], until[[*rows]], records))
    return paths


def most_confirmed(paths: Sequence[TrackPath], most: int) -> list[TrackPath]:
    """The ``most`` tracks with the most confirmed frames, in the order of ``paths``."""
    ranked = sorted(range(len(paths)), key=lambda i: -int(paths[i].confirmed.sum()))
    return [paths[i] for i in sorted(ranked[:most])]
