"""Frame -> answer, by the pipeline. Runs on the worker's thread and touches nothing of ROS."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pose_node.config import SegmentConfig
from pose_node.measurement.cloud import Cloud
from pose_node.messages import convert
from pose_node.messages.pairing import NO_LABELS, NO_POINTS, Frame
from pose_node.messages.tf_buffer import TfBuffer
from pose_node.ros.detector_process import DetectorProcess
from pose_node.ros.loading import LoadedObjects
from pose_node.ros.parameters import Settings
from pose_node.types import Estimate, Rejected, Result, Track, detection_id

_RANGE_SAMPLE = 1000  # points of a cloud that its median range is taken from


@dataclass(frozen=True, eq=False)
class Answer:
    """What the node publishes about one frame.

    seen:      estimates, best first, every number finite, each with its track; without tracking the track is None.
    tracks:    all tracks after this frame, seen or not; None where the frame was not tracked.
    started_s: time.monotonic() when the work on the frame began.
    """

    seen: Sequence[tuple[Estimate, Track | None]]
    rejected: Sequence[Rejected]
    tracks: Sequence[Track] | None
    stage_s: Mapping[str, float]
    started_s: float

    @property
    def estimates(self) -> list[Estimate]:
        """All of them, tentative tracks' too."""
        return [estimate for estimate, _ in self.seen]

    @property
    def ids(self) -> list[str]:
        """The id of each estimate in ``~/detections``; empty without tracking."""
        return [detection_id(track.name, track.state) for _, track in self.seen if track is not None]

    @property
    def confirmed(self) -> list[Estimate]:
        """The estimates that a robot may act on: with tracking those of confirmed tracks, as one frame may be wrong."""
        return [estimate for estimate, track in self.seen if track is None or track.state == "confirmed"]


class FrameEstimator:
    """The pipeline from one activation of the node to its deactivation.

    active_objects: names of those that are searched for. detection_requested, reset_requested: set by services, and
    cleared by the worker's thread with the next tracked frame, as that thread alone may touch the tracks.
    """

    def __init__(self, loaded: LoadedObjects, tf: TfBuffer | None, detector: DetectorProcess | None) -> None:
        self._loaded, self._tf, self._detector = loaded, tf, detector
        self._is_first = True
        self.active_objects = frozenset(loaded.pipeline.cards)
        self.detection_requested, self.reset_requested = threading.Event(), threading.Event()

    def use(self, loaded: LoadedObjects, detector: DetectorProcess | None) -> None:
        """Estimate these objects from the next frame on; new ones are searched for. Not while ``answer`` runs."""
        names, before = frozenset(loaded.pipeline.cards), frozenset(self._loaded.pipeline.cards)
        self.active_objects = (self.active_objects & names) | (names - before)
        self._loaded, self._detector = loaded, detector

    def answer(self, frame: Frame, settings: Settings) -> Answer:
        """Estimate the objects in a frame. Raises InputError for messages that are invalid and for a pose that /tf lacks."""
        started_s = time.monotonic()
        if self._is_first:
            self._loaded.pipeline.reset()
            self._is_first = False
        T_cloud_viewpoint = None
        if self._tf is not None and settings.node.viewpoint_frame and frame.is_point_cloud:
            frame_id, stamp_ns = str(frame.message.header.frame_id), convert.stamp_ns(frame.message)
            T_cloud_viewpoint = self._tf.lookup(frame_id, settings.node.viewpoint_frame, stamp_ns)
        cloud = frame.cloud(settings.node.rectified, T_cloud_viewpoint=T_cloud_viewpoint)
        convert_s = time.monotonic() - started_s
        result, found, tracks = self._estimate(frame, cloud, settings)
        seen = [(estimate, track) for estimate, track in found if is_finite(estimate)]
        rejected = [*result.rejected, *(_not_finite(e.object_name) for e, _ in found if not is_finite(e))]
        if not seen:
            rejected += _out_of_range(cloud, settings.pipeline.segment)
        return Answer(seen, rejected, tracks, {"convert": convert_s, **result.stage_s}, started_s)

    def _estimate(
        self, frame: Frame, cloud: Cloud, settings: Settings
    ) -> tuple[Result, Sequence[tuple[Estimate, Track | None]], Sequence[Track] | None]:
        """The pipeline's result, its estimates with their tracks, and all tracks, as ``Answer`` has them."""
        pipeline = self._loaded.pipeline
        pipeline.retune(settings.pipeline)
        if not len(cloud):
            return Result((), (NO_POINTS,)), (), None
        masks = frame.masks(cloud, self._loaded.labels, tuple(pipeline.cards), settings.node.viewpoint_frame)
        if masks is not None and not masks:
            return Result((), (NO_LABELS,)), (), None
        if self._tf is None or not settings.tracks:
            result = pipeline.estimate(cloud, masks=masks, objects=self.active_objects)
            return result, [(estimate, None) for estimate in result.estimates], None
        # Imported late, as the pipeline is.
        from pose_node.tracking.stream import visible_tracks

        T_fixed_camera = self._tf.lookup(settings.node.fixed_frame, cloud.frame_id, cloud.stamp_ns)
        if self.reset_requested.is_set():
            self.reset_requested.clear()
            pipeline.reset()
        if self.detection_requested.is_set():
            self.detection_requested.clear()
            pipeline.stream.request_detection()
        pipeline.stream.search_for(self.active_objects)
        step = pipeline.step(cloud, T_fixed_camera, masks)
        if self._detector is not None and "follow" not in step.result.stage_s:
            self._detector.measured(sum(step.result.stage_s.values()))
        return step.result, [(e, track) for track, e in visible_tracks(step.tracks, T_fixed_camera)], step.tracks


def is_finite(estimate: Estimate) -> bool:
    """Whether every number of an estimate is finite: others are never published."""
    return bool(np.isfinite(estimate.T_camera_object).all() and np.isfinite(estimate.covariance).all())


def _not_finite(name: str) -> Rejected:
    return Rejected("not_finite", f"{name}: found a pose with NaN or infinity, expected finite numbers.", name)


def _out_of_range(cloud: Cloud, config: SegmentConfig) -> list[Rejected]:
    """A refusal where no point lies in the range in which objects are searched: most likely the unit is wrong."""
    if not len(cloud):
        return []
    range_m = np.linalg.norm(cloud.points_m[:: 1 + len(cloud) // _RANGE_SAMPLE] - cloud.viewpoint_m, axis=1)
    if ((range_m >= config.near_m) & (range_m <= config.far_m)).any():
        return []
    sentence = (
        f"measurement: found a median range of {np.median(range_m):.3g} m, expected points between segment.near_m "
        f"{config.near_m:g} m and segment.far_m {config.far_m:g} m (is its unit right?)."
    )
    return [Rejected("out_of_reach", sentence)]
