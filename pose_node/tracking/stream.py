"""One camera's frames in order: what is tracked is followed, and detections beside it start tracks and overrule them.

A detection takes many frames' time. So it is begun on one frame, and taken in by the first frame that is
``track.detect_lag_s`` later: wherever it runs meanwhile, the same frames give the same tracks. While nothing is tracked
there is nothing to hold up, and the detection is the frame's own answer.
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
from pose_node.pose.likelihood import Likelihood
from pose_node.pose.refine import Refiner
from pose_node.timing import CLOCK_SET_NS, timed
from pose_node.tracking.follow import Follower
from pose_node.tracking.tracker import Camera, Expected, Tracker
from pose_node.types import Estimate, Masks, Rejected, Result, Step, Track

Detect = Callable[[Cloud, Masks | None, Collection[str] | None], Result]


class Detections(Protocol):
    """Where detections run: at most one at a time."""

    def begin(self, cloud: Cloud, masks: Masks | None, objects: Collection[str] | None) -> None:
        """Begin one, of these objects or all; the one before it has been taken or is dropped."""

    def take(self) -> Result | None:
        """The result of the one begun last, or None while it is not ready."""

    def retune(self, config: PipelineConfig) -> None:
        """Let those begun from now on hold to these settings."""


class Inline:
    """Detections that are done at once, where the caller stands."""

    def __init__(self, detect: Detect) -> None:
        self._detect = detect
        self._result: Result | None = None

    def begin(self, cloud: Cloud, masks: Masks | None, objects: Collection[str] | None) -> None:
        self._result = self._detect(cloud, masks, objects)

    def take(self) -> Result | None:
        return self._result

    def retune(self, config: PipelineConfig) -> None:
        """Nothing to do: ``detect`` has its settings from where it stands."""


@dataclass(frozen=True, slots=True, eq=False)
class _Pending:
    camera: Camera
    due_ns: int
    visible: Mapping[int, float]  # tracks that its frame showed


class Stream:
    """Follows objects through the frames of one camera. ``detect`` is the stateless estimate of one frame."""

    def __init__(
        self,
        refiners: Mapping[str, Refiner],
        likelihoods: Mapping[str, Likelihood],
        config: PipelineConfig,
        detect: Detect,
        detections: Detections | None = None,
    ) -> None:
        self._config = config
        self._detect = detect
        self._cards = {name: refiner.card for name, refiner in refiners.items()}
        self.detections: Detections = detections or Inline(detect)
        self.tracker = Tracker(self._cards, config.track)
        self._follower = Follower(refiners, likelihoods, config)
        self._objects: frozenset[str] | None = None
        self._pending: _Pending | None = None
        self._next_ns: int | None = None
        self._last_ns: int | None = None

    def retune(self, config: PipelineConfig) -> None:
        """Other settings from the next frame on, of those that config.py calls live; the tracks stay."""
        self._config = self._follower.config = config
        self.tracker.config = config.track
        self.detections.retune(config)

    def reset(self) -> None:
        """Forget the tracks and the clock."""
        self.tracker.reset()
        self._pending = self._next_ns = self._last_ns = None

    def look_for(self, objects: Collection[str] | None) -> None:
        """From the next frame on look for these objects alone, or for all; tracks of others are forgotten.

        Raises InputError for an unknown object.
        """
        checked_names(objects or (), self._cards)
        self._objects = None if objects is None else frozenset(objects)
        if self._objects is not None:
            self.tracker.keep(self._objects)

    def detect_soon(self) -> None:
        """Let the next frame be detected, whenever the last one was."""
        self._next_ns = None

    def step(self, cloud: Cloud, T_fixed_camera: Array, masks: Masks | None = None) -> Step:
        """One frame, taken from T_fixed_camera [4, 4]. Raises InputError for what is invalid, before anything changes.

        A stamp that jumps back begins anew: tracks of another time are no tracks. One that is a little late is refused with
        InputError, code out_of_order.
        """
        T_fixed_camera = checked_transform(T_fixed_camera, "T_fixed_camera")
        masks = checked_masks(masks, cloud, self._cards)
        now_ns = checked_stamp(cloud.stamp_ns)
        if self._last_ns is not None and now_ns <= self._last_ns:
            if self._last_ns - now_ns <= CLOCK_SET_NS:
                late_s = (self._last_ns - now_ns) * 1e-9
                raise InputError(
                    f"stamp: found one {late_s:.3f} s before the last, expected a later one.", "out_of_order"
                )
            self.reset()
        self._last_ns = now_ns
        camera = Camera(T_fixed_camera, cloud.viewpoint_m, now_ns)
        clock: dict[str, float] = {}
        result = Result((), (), stage_s=clock)
        period_ns = int(self._config.track.detect_period_s * 1e9)
        if self.tracker.following and period_ns:
            with timed("follow", clock):
                result = self._follow(cloud, camera, masks, clock)
            if self._pending is not None and now_ns >= self._pending.due_ns:
                late = self.detections.take()
                if late is not None:
                    of_interest = [e for e in late.estimates if self._objects is None or e.object_name in self._objects]
                    # One that could not be made says nothing of what it did not find.
                    visible = self._pending.visible if late.stage_s else {}
                    self.tracker.detected(of_interest, self._pending.camera, now_ns, visible)
                    result = replace(result, rejected=(*result.rejected, *late.rejected))
                    self._pending = None
                    if self._next_ns is not None:  # nobody asked for one meanwhile
                        self._next_ns = now_ns + period_ns
            if self._pending is None and (self._next_ns is None or now_ns >= self._next_ns):
                with timed("detect", clock):
                    self.detections.begin(cloud, masks, self._objects)
                due_ns = now_ns + int(self._config.track.detect_lag_s * 1e9)
                self._pending = _Pending(camera, due_ns, self.tracker.visible())
                self._next_ns = now_ns + period_ns
        else:
            self._pending = None  # what it would say of an older frame, this one says now
            result = self._detect(cloud, masks, self._objects)
            self.tracker.expected(camera)
            self.tracker.detected(result.estimates, camera, now_ns)
            self._next_ns = now_ns + period_ns
        result = replace(result, rejected=(*result.rejected, *self.tracker.dropped))
        return Step(result, self.tracker.tracks(now_ns), camera.T_fixed_camera)

    def _follow(self, cloud: Cloud, camera: Camera, masks: Masks | None, clock: dict[str, float]) -> Result:
        moving = self._config.track.motion == "moving"
        outcomes: dict[int, Estimate | Rejected] = {}
        for expected in self.tracker.expected(camera):
            mask = _mask_of(expected, cloud, masks)
            outcomes[expected.track_id] = self._follower.follow(
                expected.object_name, cloud, expected.T_camera_object, expected.covariance, moving, mask
            )
        self.tracker.followed(outcomes, camera)
        estimates = tuple(o for o in outcomes.values() if isinstance(o, Estimate))
        rejected = tuple(o for o in outcomes.values() if isinstance(o, Rejected))
        return Result(tuple(sorted(estimates, key=lambda e: -e.score)), rejected, stage_s=clock)


def shown(tracks: Sequence[Track], T_fixed_camera: Array) -> tuple[tuple[Track, Estimate], ...]:
    """The tracks that this frame shows, best first, each with its pose as an estimate in the camera's frame."""
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


def _mask_of(expected: Expected, cloud: Cloud, masks: Masks | None) -> Indices | None:
    """Rows of the cloud under the mask nearest to where the track is expected; None where the object has no mask."""
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
