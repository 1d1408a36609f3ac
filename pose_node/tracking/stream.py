"""One camera's frames in order: tracks are followed, and detections in the background start tracks and correct them.

A detection takes as long as many frames, so its result is used only by the first frame that is ``track.detect_lag_s`` after
the frame on which it was begun. This delay is fixed, so the same frames give the same tracks whether detections run in this
process or in another. While nothing is tracked, every frame is detected at once, because no track has to wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from pose_node.arrays import Array, Indices
from pose_node.config import PipelineConfig
from pose_node.errors import InputError
from pose_node.geometry import se3
from pose_node.measurement.checks import checked_masks, checked_names, checked_stamp, checked_transform
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.sensor import Sensor
from pose_node.pose.likelihood import Likelihood
from pose_node.pose.refine import Refiner
from pose_node.timing import CLOCK_SET_NS, timed
from pose_node.tracking.follow import Follower
from pose_node.tracking.observation import Camera
from pose_node.tracking.tracker import Expected, Tracker
from pose_node.types import Estimate, Masks, Rejected, Result, Step, Track

Detect = Callable[[Cloud, Masks | None, Collection[str] | None], Result]


class Detector(Protocol):
    """Runs detections in the background, at most one at a time."""

    def begin(self, cloud: Cloud, masks: Masks | None, objects: Collection[str] | None) -> None:
        """Begin a detection of these objects, or of all; a result that was not taken is dropped."""

    def take(self) -> Result | None:
        """The result of the detection begun last, or None while it is not ready."""

    def retune(self, config: PipelineConfig) -> None:
        """Use these settings for detections begun from now on."""


class InlineDetector:
    """Detects in the caller's thread: ``begin`` returns when the detection is done."""

    def __init__(self, detect: Detect) -> None:
        self._detect = detect
        self._result: Result | None = None

    def begin(self, cloud: Cloud, masks: Masks | None, objects: Collection[str] | None) -> None:
        self._result = self._detect(cloud, masks, objects)

    def take(self) -> Result | None:
        return self._result

    def retune(self, config: PipelineConfig) -> None:
        """Nothing to do: ``detect`` already uses the caller's settings."""


@dataclass(frozen=True, slots=True, eq=False)
class _Pending:
    """A detection that was begun: its frame's camera, when its result is due, and ``Tracker.visible`` of its frame."""

    camera: Camera
    due_ns: int
    visible: Mapping[int, float]


class Stream:
    """Tracks objects through the frames of one camera.

    detect: the stateless estimate of one frame. detector: where detections run while tracks are followed; by default in the
    caller's thread.
    """

    def __init__(
        self,
        refiners: Mapping[str, Refiner],
        likelihoods: Mapping[str, Likelihood],
        config: PipelineConfig,
        detect: Detect,
        detector: Detector | None = None,
    ) -> None:
        self._config = config
        self._detect = detect
        self._cards = {name: refiner.card for name, refiner in refiners.items()}
        self.detector: Detector = detector or InlineDetector(detect)
        self.tracker = Tracker(self._cards, config.track, Sensor.from_config(config.sensor))
        self._follower = Follower(refiners, likelihoods, config)
        self._objects: frozenset[str] | None = None
        self._pending: _Pending | None = None
        self._next_ns: int | None = None
        self._last_ns: int | None = None

    def retune(self, config: PipelineConfig) -> None:
        """Use other settings from the next frame on, of those that config.py calls live; the tracks stay."""
        self._config = self._follower.config = config
        self.tracker.config = config.track
        self.detector.retune(config)

    def reset(self) -> None:
        """Forget the tracks and the last stamp."""
        self.tracker.reset()
        self._pending = self._next_ns = self._last_ns = None

    def take_over(self, other: Stream, names: Collection[str]) -> None:
        """Continue ``other`` with its next frame, with its tracks of these objects, whose cards both share.

        A detection begins with the next frame; one that runs for ``other`` is dropped. All objects are searched for.
        """
        self.tracker.take_over(other.tracker, names)
        self._last_ns = other._last_ns

    def search_for(self, objects: Collection[str] | None) -> None:
        """Search for these objects alone from the next frame on, or for all with None; tracks of others are forgotten.

        Raises InputError for an unknown object.
        """
        checked_names(objects or (), self._cards)
        self._objects = None if objects is None else frozenset(objects)
        if self._objects is not None:
            self.tracker.keep(self._objects)

    def request_detection(self) -> None:
        """Begin a detection with the next frame, or as soon as the running one is done."""
        self._next_ns = None

    def step(self, cloud: Cloud, T_fixed_camera: Array, masks: Masks | None = None) -> Step:
        """The next frame, taken from T_fixed_camera [4, 4].

        A stamp that jumps back by more than ``timing.CLOCK_SET_NS`` means that the clock was set: all tracks are forgotten.
        Raises InputError, before anything changes, for invalid input, and with code out_of_order for a stamp not after the last.
        """
        T_fixed_camera = checked_transform(T_fixed_camera, "T_fixed_camera")
        masks = checked_masks(masks, cloud, self._cards)
        now_ns = checked_stamp(cloud.stamp_ns)
        self._check_order(now_ns)
        camera = Camera(T_fixed_camera, cloud.viewpoint_m, now_ns)
        if self.tracker.following and self._period_ns:
            result = self._follow_frame(cloud, camera, masks)
        else:
            result = self._detect_frame(cloud, camera, masks)
        result = replace(result, rejected=(*result.rejected, *self.tracker.dropped))
        return Step(result, self.tracker.tracks(now_ns), T_fixed_camera)

    def _check_order(self, now_ns: int) -> None:
        """Check and store a frame's stamp: InputError when it is slightly late, a reset when the clock was set back."""
        if self._last_ns is not None and now_ns <= self._last_ns:
            if self._last_ns - now_ns <= CLOCK_SET_NS:
                late_s = (self._last_ns - now_ns) * 1e-9
                raise InputError(
                    f"stamp: found one {late_s:.3f} s before the last, expected a later one.", "out_of_order"
                )
            self.reset()
        self._last_ns = now_ns

    def _detect_frame(self, cloud: Cloud, camera: Camera, masks: Masks | None) -> Result:
        """Detect the frame itself; a detection that still runs for an older one is of no more use."""
        self._pending = None
        result = self._detect(cloud, masks, self._objects)
        self.tracker.expected(camera)
        self.tracker.detected(result.estimates, camera, camera.stamp_ns)
        self._next_ns = camera.stamp_ns + self._period_ns
        return result

    def _follow_frame(self, cloud: Cloud, camera: Camera, masks: Masks | None) -> Result:
        """Follow the tracks, use the result of a detection that is due, and begin the next one when it is time."""
        clock: dict[str, float] = {}
        with timed("follow", clock):
            result = self._follow(cloud, camera, masks, clock)
        late = self._take_due(camera.stamp_ns)
        if late is not None:
            result = replace(result, rejected=(*result.rejected, *late.rejected))
        if self._pending is None and (self._next_ns is None or camera.stamp_ns >= self._next_ns):
            with timed("detect", clock):
                self.detector.begin(cloud, masks, self._objects)
            due_ns = camera.stamp_ns + int(self._config.track.detect_lag_s * 1e9)
            self._pending = _Pending(camera, due_ns, self.tracker.visible())
            self._next_ns = camera.stamp_ns + self._period_ns
        return result

    def _follow(self, cloud: Cloud, camera: Camera, masks: Masks | None, clock: dict[str, float]) -> Result:
        moving = self._config.track.motion == "moving"
        outcomes: dict[int, Estimate | Rejected] = {}
        for expected in self.tracker.expected(camera):
            mask = _nearest_mask(expected, cloud, masks)
            outcomes[expected.track_id] = self._follower.follow(
                expected.object_name, cloud, expected.T_camera_object, expected.covariance, moving, mask
            )
        self.tracker.followed(outcomes, camera)
        estimates = tuple(o for o in outcomes.values() if isinstance(o, Estimate))
        rejected = tuple(o for o in outcomes.values() if isinstance(o, Rejected))
        return Result(tuple(sorted(estimates, key=lambda e: -e.score)), rejected, stage_s=clock)

    def _take_due(self, now_ns: int) -> Result | None:
        """Update the tracks with the running detection when it is due and ready; its result, or None."""
        pending = self._pending
        if pending is None or now_ns < pending.due_ns:
            return None
        late = self.detector.take()
        if late is None:
            return None
        estimates = [e for e in late.estimates if self._objects is None or e.object_name in self._objects]
        # A detection that failed, which has no stages, is no evidence against the tracks that it did not find.
        visible = pending.visible if late.stage_s else {}
        self.tracker.detected(estimates, pending.camera, now_ns, visible)
        self._pending = None
        if self._next_ns is not None:  # no detection was requested meanwhile
            self._next_ns = now_ns + self._period_ns
        return late

    @property
    def _period_ns(self) -> int:
        return int(self._config.track.detect_period_s * 1e9)


def visible_tracks(tracks: Sequence[Track], T_fixed_camera: Array) -> tuple[tuple[Track, Estimate], ...]:
    """The tracks that were seen in a frame taken from T_fixed_camera [4, 4], best first.

    Each with its estimate, in which pose, covariance and alternatives are the track's, in the camera's frame.
    """
    T_camera_fixed = se3.invert(T_fixed_camera)
    found = []
    for track in tracks:
        if track.estimate is not None:
            seen = replace(
                track.estimate,
                T_camera_object=T_camera_fixed @ track.T_fixed_object,
                score=track.score,
                covariance=se3.rotate_covariance(T_camera_fixed[:3, :3], track.covariance),
                alternatives=tuple((T_camera_fixed @ T, weight) for T, weight in track.alternatives),
            )
            found.append((track, seen))
    return tuple(sorted(found, key=lambda pair: -pair[1].score))


def _nearest_mask(expected: Expected, cloud: Cloud, masks: Masks | None) -> Indices | None:
    """Rows of the cloud under the mask nearest to the expected track; None where the object has no mask."""
    offered = (masks or {}).get(expected.object_name, ())
    best: Indices | None = None
    least = np.inf
    for mask in offered:
        rows = np.flatnonzero(mask.ravel()[cloud.source_index])
        if len(rows):
            off = cloud.points_m[rows].mean(axis=0) - expected.T_camera_object[:3, 3]
            if off @ off < least:
                best, least = rows, float(off @ off)
    return best
