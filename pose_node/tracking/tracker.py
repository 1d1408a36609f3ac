"""Objects over time in the fixed frame: identities, states, and the reason when one is lost.

A track is confirmed when it is likely to be of its object (``existence``), and dropped when it is unlikely. Its pose is the
leading one of its ``modes``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pose_node.arrays import Array
from pose_node.config import TrackConfig
from pose_node.geometry import se3
from pose_node.measurement.sensor import DEFAULT, Sensor
from pose_node.objects.card import ObjectCard
from pose_node.tracking import association, existence
from pose_node.tracking.modes import Modes
from pose_node.tracking.observation import Camera
from pose_node.types import Estimate, Rejected, Track, TrackState, track_name

_RETRY_NS = 100_000_000  # least time between two searches for a lost track


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """Where a track's object should be in a frame: T_camera_object [4, 4], covariance [6, 6] in the camera's axes."""

    track_id: int
    object_name: str
    T_camera_object: Array
    covariance: Array


@dataclass(slots=True, eq=False)
class _Record:
    """What the tracker keeps of one track; fields as in ``types.Track``, and:

    unseen_from_ns: not being seen counts from here on: when it was seen last, or was first searched for.
    detected:       T_camera_object [4, 4] of the last detection.
    hits:           frames in which it was seen.
    support:        log-odds from later detections, see ``existence``.
    searched_ns:    when it was last searched for while lost.
    """

    track_id: int
    object_name: str
    modes: Modes
    seen_ns: int
    unseen_from_ns: int
    score: float
    detected: Array
    hits: int = 1
    support: float = 0.0
    state: TrackState = "tentative"
    estimate: Estimate | None = None
    reason: str = ""
    note: str = ""
    searched_ns: int = 0

    def seen(self, estimate: Estimate, camera: Camera, now_ns: int) -> None:
        """``camera`` saw it in its frame, now or earlier; a frame older than the last one that saw it changes nothing."""
        if camera.stamp_ns > self.seen_ns:
            self.hits += 1
            self.score, self.seen_ns, self.unseen_from_ns = estimate.score, camera.stamp_ns, now_ns
            if self.state == "lost":
                self.state, self.note = "confirmed", "found again"
            self.reason = ""
        if camera.stamp_ns == now_ns:
            self.estimate = estimate

    def as_track(self, stamp_ns: int) -> Track:
        """The track at a stamp."""
        T, covariance = self.modes.lead.predict(stamp_ns)
        return Track(
            self.track_id,
            self.object_name,
            self.state,
            T,
            covariance,
            self.modes.lead.velocity,
            self.score,
            self.seen_ns,
            self.estimate,
            self.modes.alternatives(stamp_ns),
            self.reason,
            self.note,
        )


class Tracker:
    """Tracks of all objects of ``cards``. A track_id is never used twice, not even after ``reset``.

    For each frame: ``expected``, then ``followed`` or ``detected`` or both, then ``tracks``.
    """

    def __init__(self, cards: Mapping[str, ObjectCard], config: TrackConfig, sensor: Sensor = DEFAULT) -> None:
        self._cards, self.config, self._sensor = cards, config, sensor
        self._records: list[_Record] = []
        self._next_id = 1
        self.dropped: list[Rejected] = []  # tracks that this frame dropped, with the reason

    def reset(self) -> None:
        """Forget all tracks."""
        self._records = []

    def keep(self, names: Collection[str]) -> None:
        """Forget the tracks of all other objects."""
        self._records = [record for record in self._records if record.object_name in names]

    def take_over(self, other: Tracker, names: Collection[str]) -> None:
        """Continue the tracks of ``other`` of these objects, whose cards both share, and its count of identities."""
        self._records = [record for record in other._records if record.object_name in names]
        self._next_id = other._next_id

    @property
    def following(self) -> bool:
        """Whether there is a track that is not lost."""
        return any(record.state != "lost" for record in self._records)

    def expected(self, camera: Camera) -> list[Expected]:
        """Begin a frame: the predicted pose of each track to follow in it; lost ones are searched for every 0.1 s at most."""
        T_camera_fixed = se3.invert(camera.T_fixed_camera)
        found = []
        self.dropped = []
        for record in self._records:
            record.estimate, record.note = None, ""
            if record.state == "lost":
                if camera.stamp_ns - record.searched_ns < _RETRY_NS:
                    continue
                record.searched_ns = camera.stamp_ns
            T, covariance = record.modes.lead.predict(camera.stamp_ns)
            covariance = se3.rotate_covariance(T_camera_fixed[:3, :3], covariance)
            found.append(Expected(record.track_id, record.object_name, T_camera_fixed @ T, covariance))
        return found

    def followed(self, outcomes: Mapping[int, Estimate | Rejected], camera: Camera) -> None:
        """Update with the outcomes of following in this frame, by ``track_id``."""
        for record in self._records:
            outcome = outcomes.get(record.track_id)
            if isinstance(outcome, Rejected):
                record.reason = f"{outcome.code}: {outcome.reason}"
            elif outcome is not None:
                agrees, note = record.modes.follow(outcome, camera)
                if agrees:
                    record.seen(outcome, camera, camera.stamp_ns)
                else:
                    record.reason = "jumped: one measurement is far beyond the covariances; the track moves only when a second agrees."
                record.note = note or record.note
        self._update_states(camera.stamp_ns)

    def visible(self) -> dict[int, float]:
        """{track_id: unoccluded share of the object, in [0, 1]} of the tracks that this frame shows."""
        return {r.track_id: 1.0 - r.estimate.evidence.occluded for r in self._records if r.estimate is not None}

    def detected(
        self, estimates: Sequence[Estimate], camera: Camera, now_ns: int, visible: Mapping[int, float] | None = None
    ) -> None:
        """Update with a detection's estimates of the frame that ``camera`` took, at ``now_ns`` or before.

        Tracks that start from an earlier frame are searched for from the next frame on, and are not counted as unseen before
        ``now_ns``. visible: what ``visible`` returned in that frame; tracks in it that the detection did not find lose support.
        """
        missed = dict(visible or {})
        for name in dict.fromkeys(estimate.object_name for estimate in estimates):
            mine = [e for e in estimates if e.object_name == name]
            records = [r for r in self._records if r.object_name == name]
            pairs = association.assign(
                [(camera.T_fixed_camera @ e.T_camera_object, e.covariance) for e in mine],
                [r.modes.lead.predict(camera.stamp_ns) for r in records],
                self._cards[name],
            )
            for i, estimate in enumerate(mine):
                if i in pairs:
                    record = records[pairs[i]]
                    note = record.modes.detect(estimate, camera)
                    record.seen(estimate, camera, now_ns)
                    record.note = note or record.note
                    # The same pose to the byte is the same measurement, of a recording in a loop: no further evidence.
                    if not np.array_equal(estimate.T_camera_object, record.detected):
                        record.support = existence.after_hit(record.support)
                    record.detected = estimate.T_camera_object
                    missed.pop(record.track_id, None)
                else:
                    self._records.append(self._start(estimate, camera, now_ns))
        for record in self._records:
            if record.track_id in missed:
                record.support = existence.after_miss(record.support, missed[record.track_id])
        self._merge(camera.stamp_ns)
        self._update_states(now_ns)

    def tracks(self, stamp_ns: int) -> tuple[Track, ...]:
        """All tracks at a stamp, the oldest first."""
        return tuple(record.as_track(stamp_ns) for record in self._records)

    def _start(self, estimate: Estimate, camera: Camera, now_ns: int) -> _Record:
        """A new track from a detection."""
        name, T = estimate.object_name, estimate.T_camera_object
        modes = Modes(estimate, camera, self._cards[name], self.config, self._sensor)
        record = _Record(self._next_id, name, modes, camera.stamp_ns, now_ns, estimate.score, T)
        if (
            estimate.segment.source != "cluster"
        ):  # a mask or box is evidence by itself: whoever made it found the object
            record.support = existence.after_hit(0.0)
        if camera.stamp_ns == now_ns:
            record.estimate = estimate
        self._next_id += 1
        return record

    def _merge(self, stamp_ns: int) -> None:
        """Of two tracks of one object at one place, keep the older."""
        kept: list[_Record] = []
        for record in self._records:
            T = record.modes.lead.predict(stamp_ns)[0]
            if not any(
                other.object_name == record.object_name
                and association.at_one_place(other.modes.lead.predict(stamp_ns)[0], T, self._cards[record.object_name])
                for other in kept
            ):
                kept.append(record)
        self._records = kept

    def _update_states(self, now_ns: int) -> None:
        """Mark tracks that were not seen for ``lost_after_s`` as lost, forget those lost for long, and weigh the others."""
        kept = []
        for record in self._records:
            unseen_s = (now_ns - record.unseen_from_ns) * 1e-9
            if record.state == "tentative" and unseen_s > self.config.lost_after_s:
                continue
            if unseen_s > self.config.lost_after_s and record.state != "lost":
                record.state, record.searched_ns = "lost", now_ns
                record.reason = record.reason or "not_seen: no frame showed it."
            if record.state == "lost" and unseen_s > self.config.forget_after_s:
                continue
            kept.append(record)
        self._records = [record for record in kept if record.state == "lost" or self._likely(record)]

    def _likely(self, record: _Record) -> bool:
        """Confirm a likely track, make a doubtful one tentative; False, with an entry in ``dropped``, for an unlikely one."""
        odds = existence.log_odds(record.score) + record.support
        if odds < -existence.LIKELY:
            name = track_name(record.object_name, record.track_id)
            likelihood = f"found a likelihood of {1.0 / (1.0 + np.exp(-odds)):.0%}, expected at least 25 %"
            reason = f"{name}: {likelihood} (detections do not find it again)."
            self.dropped.append(Rejected("unlikely_track", reason, record.object_name))
            return False
        if odds < 0.0:
            record.state = "tentative"
        elif odds >= existence.LIKELY and record.hits >= self.config.confirm:
            record.state = "confirmed"
        return True
