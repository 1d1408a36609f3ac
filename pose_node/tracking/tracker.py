"""Objects over time in the fixed frame: identity, one steady pose, and a word when one is lost.

A track keeps several modes, because one place may hold an object in several orientations and one look cannot always tell
which. A look that agrees with a mode sharpens it (``fusion``); a look that agrees with none becomes a mode of its own with
little weight, and takes over only when further looks agree with it: one wrong estimate does not drag a track, and a handle
that comes into view turns it. What follows a track looks for its leading mode alone, so only a detection speaks against it.

A track is confirmed when it is likely of the object at all (``existence``), and goes when it is unlikely.
(Data association: Kuhn's assignment within a gate. Several modes: Alspach and Sorenson, "Nonlinear Bayesian estimation using
Gaussian sum approximations", 1972.)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from pose_node.arrays import Array
from pose_node.config import TrackConfig
from pose_node.geometry import se3
from pose_node.geometry.symmetry import nearest_symmetric
from pose_node.objects.card import ObjectCard
from pose_node.pose.error_model import depth_bias, shared_covariance
from pose_node.tracking import existence
from pose_node.tracking.fusion import Look, MovingPose, StaticPose
from pose_node.types import Estimate, Rejected, Track, TrackState, track_name

_PLACE_REL = 0.25  # of the diameter: estimates whose centres are nearer than this are of one instance
_SIGMAS = 3.0  # of both positions, by which that is wider
_MOST_MODES = 4
_LEAST_WEIGHT = 0.02
_NEW_WEIGHT = 0.1  # of a mode that one look alone has shown: a second one alone does not make it lead
_CONTRARY_DETECTION = 0.15  # how likely a detection shows none of what a right mode says
_CONTRARY_LOOK = 0.5  # the same for a look that started from the mode: what led it away once may do so again
_UNDECIDED = 3.0  # alternatives whose weights differ by less than this factor are alike
_TELLING_RAD = np.deg2rad(20.0)
_RETRY_NS = 100_000_000  # a lost track is looked for so often


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """Where a track's object should be in a frame: T_camera_object [4, 4], covariance [6, 6] in the camera's axes."""

    track_id: int
    object_name: str
    T_camera_object: Array
    covariance: Array


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """Where a frame was taken: T_fixed_camera [4, 4], viewpoint_m [3] in the camera's frame, and when."""

    T_fixed_camera: Array
    viewpoint_m: Array
    stamp_ns: int


@dataclass(slots=True, eq=False)
class _Mode:
    pose: StaticPose | MovingPose
    weight: float
    looked_ns: int


@dataclass(slots=True, eq=False)
class _Record:
    track_id: int
    object_name: str
    modes: list[_Mode]
    seen_ns: int
    since_ns: int  # not being seen counts from here on: when it was seen last, or began to be looked for
    score: float
    detected: Array  # T_camera_object of the last detection
    hits: int = 1
    support: float = 0.0  # of later detections, see ``existence``
    state: TrackState = "tentative"
    estimate: Estimate | None = None
    reason: str = ""
    note: str = ""
    tried_ns: int = 0


class Tracker:
    """Tracks of all objects of ``cards``. Identities are never used twice, not even after ``reset``."""

    def __init__(self, cards: Mapping[str, ObjectCard], config: TrackConfig) -> None:
        self._cards, self.config = cards, config
        self._records: list[_Record] = []
        self._next_id = 1
        self.dropped: list[Rejected] = []  # in this frame, and why

    def reset(self) -> None:
        """Forget all tracks."""
        self._records = []

    def keep(self, names: Collection[str]) -> None:
        """Forget the tracks of all other objects."""
        self._records = [record for record in self._records if record.object_name in names]

    @property
    def following(self) -> bool:
        """Whether there is a track that is not lost."""
        return any(record.state != "lost" for record in self._records)

    def expected(self, camera: Camera) -> list[Expected]:
        """Where to look in this frame: for each track, its leading mode; for lost ones now and then."""
        T_camera_fixed = se3.invert(camera.T_fixed_camera)
        found = []
        self.dropped = []
        for record in self._records:
            record.estimate, record.note = None, ""
            if record.state == "lost":
                if camera.stamp_ns - record.tried_ns < _RETRY_NS:
                    continue
                record.tried_ns = camera.stamp_ns
            T, covariance = record.modes[0].pose.at(camera.stamp_ns)
            found.append(
                Expected(
                    record.track_id,
                    record.object_name,
                    T_camera_fixed @ T,
                    se3.rotate_covariance(T_camera_fixed[:3, :3], covariance),
                )
            )
        return found

    def followed(self, outcomes: Mapping[int, Estimate | Rejected], camera: Camera) -> None:
        """Take what following the tracks by ``track_id`` gave in this frame."""
        for record in self._records:
            outcome = outcomes.get(record.track_id)
            if isinstance(outcome, Rejected):
                record.reason = f"{outcome.code}: {outcome.reason}"
            elif outcome is not None:
                self._look(record, outcome, camera)
        self._settle(camera.stamp_ns)

    def visible(self) -> dict[int, float]:
        """{track_id: share of the object that nothing hides} of the tracks that this frame shows."""
        return {r.track_id: 1.0 - r.estimate.evidence.occluded for r in self._records if r.estimate is not None}

    def detected(
        self, estimates: Sequence[Estimate], camera: Camera, now_ns: int, visible: Mapping[int, float] | None = None
    ) -> None:
        """Take a detection's estimates of a frame that was taken by ``camera``, at ``now_ns`` or before.

        What it says holds at the time of its frame. Where that is past, its objects were not seen in this frame yet: they are
        looked for from the next one on, and only from now on can they be missed. visible: what ``visible`` said of that frame;
        the detection speaks against those of these tracks that it did not find.
        """
        unconfirmed = dict(visible or {})
        for name in dict.fromkeys(estimate.object_name for estimate in estimates):
            mine = [e for e in estimates if e.object_name == name]
            records = [r for r in self._records if r.object_name == name]
            pairs = self._assign(records, mine, camera)
            for i, estimate in enumerate(mine):
                if i in pairs:
                    record = records[pairs[i]]
                    self._vote(record, estimate, camera, now_ns)
                    if not np.array_equal(estimate.T_camera_object, record.detected):  # else the same measurement again
                        record.support = existence.found(record.support)
                    record.detected = estimate.T_camera_object
                    unconfirmed.pop(record.track_id, None)
                else:
                    self._records.append(self._start(estimate, camera, now_ns))
        for record in self._records:
            if record.track_id in unconfirmed:
                record.support = existence.missed(record.support, unconfirmed[record.track_id])
        self._merge(camera.stamp_ns)
        self._settle(now_ns)

    def tracks(self, stamp_ns: int) -> tuple[Track, ...]:
        """All tracks as they stand at a stamp, the oldest first."""
        out = []
        for record in self._records:
            lead = record.modes[0].pose
            T, covariance = lead.at(stamp_ns)
            out.append(
                Track(
                    record.track_id,
                    record.object_name,
                    record.state,
                    T,
                    covariance,
                    lead.velocity,
                    record.score,
                    record.seen_ns,
                    record.estimate,
                    tuple((mode.pose.at(stamp_ns)[0], mode.weight) for mode in record.modes[1:]),
                    record.reason,
                    record.note,
                )
            )
        return tuple(out)

    # One track -------------------------------------------------------------------------------------------------------

    def _start(self, estimate: Estimate, camera: Camera, now_ns: int) -> _Record:
        modes = []
        for T, weight in _modes(estimate):
            modes.append(self._mode(self._as_look(estimate, T, camera, None), weight))
        modes = sorted(modes, key=lambda m: -m.weight)[:_MOST_MODES]
        T = estimate.T_camera_object
        record = _Record(self._next_id, estimate.object_name, modes, camera.stamp_ns, now_ns, estimate.score, T)
        if estimate.segment.source != "cluster":  # whose mask or box it is has found the object, too
            record.support = existence.found(0.0)
        if camera.stamp_ns == now_ns:
            record.estimate = estimate
        self._next_id += 1
        return record

    def _mode(self, look: Look, weight: float) -> _Mode:
        """A mode that one look has shown, of the kind that ``track.motion`` says."""
        kind = StaticPose if self.config.motion == "static" else MovingPose
        return _Mode(kind(look, self.config), weight, look.stamp_ns)

    def _as_look(self, estimate: Estimate, T_camera_object: Array, camera: Camera, near: Array | None) -> Look:
        """A pose of an estimate as a look in the fixed frame, in the symmetric form nearest to ``near`` [4, 4]."""
        card = self._cards[estimate.object_name]
        T = camera.T_fixed_camera @ T_camera_object
        if near is not None:
            T = nearest_symmetric(near, T, card.symmetry)
        covariance = se3.rotate_covariance(camera.T_fixed_camera[:3, :3], estimate.covariance)
        viewpoint_m = camera.T_fixed_camera[:3, :3] @ camera.viewpoint_m + camera.T_fixed_camera[:3, 3]
        away_m = T[:3, :3] @ card.centre_m + T[:3, 3] - viewpoint_m
        range_m = float(np.linalg.norm(away_m))
        towards = -T[:3, :3].T @ away_m / range_m
        return Look(T, covariance, shared_covariance(range_m), depth_bias(away_m), towards, camera.stamp_ns)

    def _distance2(self, mode: _Mode, look: Look) -> float:
        """Squared Mahalanobis distance of a look from a mode."""
        T, covariance = mode.pose.at(look.stamp_ns)
        off = se3.local(T, look.T_fixed_object)
        return float(off @ np.linalg.solve(covariance + look.covariance, off))

    def _look(self, record: _Record, estimate: Estimate, camera: Camera) -> None:
        """What following found: it sharpens the leading mode, or speaks against it when it ended elsewhere."""
        lead = record.modes[0]
        look = self._as_look(estimate, estimate.T_camera_object, camera, lead.pose.at(camera.stamp_ns)[0])
        before = lead.pose.T_fixed_object
        if self._distance2(lead, look) < self.config.gate:
            self._add(lead, look)
            self._seen(record, estimate, camera, camera.stamp_ns)
        else:
            others = [m for m in record.modes[1:] if self._distance2(m, look) < self.config.gate]
            self._contradict(record, [(look, 1.0)], others, _CONTRARY_LOOK)
            if record.modes[0] is lead:
                record.reason = "jumped: the measurement went elsewhere once, which a track does not follow at once."
            else:
                self._seen(record, estimate, camera, camera.stamp_ns)
        self._tell(record, before, lead)

    def _vote(self, record: _Record, estimate: Estimate, camera: Camera, now_ns: int) -> None:
        """What a detection found at a track's place: every mode gains or loses by it."""
        lead, before = record.modes[0], record.modes[0].pose.T_fixed_object
        found = _modes(estimate)
        most = max(weight for _, weight in found)
        # How well a mode of the estimate is believed: what differs little does not differ at all.
        belief = [1.0 if weight * _UNDECIDED >= most else weight / most for _, weight in found]
        supported: list[_Mode] = []
        left = set(range(len(found)))
        for mode in record.modes:
            near = mode.pose.at(camera.stamp_ns)[0]
            looks = [self._as_look(estimate, T, camera, near) for T, _ in found]
            distance2 = [self._distance2(mode, look) for look in looks]
            inside = [i for i, d in enumerate(distance2) if d < self.config.gate]
            if inside:
                best = max(inside, key=lambda i: (belief[i], -distance2[i]))
                mode.weight *= max(belief[best], _CONTRARY_DETECTION)
                self._add(mode, looks[best])
                supported.append(mode)
                left -= set(inside)
        fresh = [(self._as_look(estimate, found[i][0], camera, before), belief[i]) for i in sorted(left)]
        if lead in supported or not fresh:
            self._rank(record)
        self._contradict(record, fresh, supported, _CONTRARY_DETECTION)
        self._seen(record, estimate, camera, now_ns)
        self._tell(record, before, lead)

    def _add(self, mode: _Mode, look: Look) -> None:
        """A frame gives a mode one look, however many ways it was looked at."""
        if look.stamp_ns != mode.looked_ns:
            mode.pose.add(look)
            mode.looked_ns = max(look.stamp_ns, mode.looked_ns)

    def _contradict(
        self, record: _Record, fresh: Sequence[tuple[Look, float]], supported: Sequence[_Mode], unlikely: float
    ) -> None:
        """Modes that were not ``supported`` lose weight; ``fresh`` looks that no mode accounts for become modes."""
        for mode in record.modes:
            if mode not in supported:
                mode.weight *= unlikely
        total = sum(mode.weight for mode in record.modes)
        for look, belief in fresh:
            # Against what the modes weighed before this look: it is one look, whatever it says of them.
            share = _NEW_WEIGHT / (1.0 - _NEW_WEIGHT) * belief
            record.modes.append(self._mode(look, share * max(total, unlikely)))
        self._rank(record)

    def _rank(self, record: _Record) -> None:
        """Weights that add up to one, the heaviest first; at a tie the older stays ahead."""
        record.modes.sort(key=lambda mode: -mode.weight)
        total = sum(mode.weight for mode in record.modes)
        kept = [m for m in record.modes if m.weight >= _LEAST_WEIGHT * total][:_MOST_MODES]
        total = sum(mode.weight for mode in kept)
        for mode in kept:
            mode.weight /= total
        record.modes = kept

    def _seen(self, record: _Record, estimate: Estimate, camera: Camera, now_ns: int) -> None:
        """It was there when ``camera`` took its frame, which says something new only if it was not seen since."""
        if camera.stamp_ns > record.seen_ns:
            record.hits += 1
            record.score, record.seen_ns, record.since_ns = estimate.score, camera.stamp_ns, now_ns
            if record.state == "lost":
                record.state, record.note = "confirmed", "found again"
            record.reason = ""
        if camera.stamp_ns == now_ns:
            record.estimate = estimate

    def _tell(self, record: _Record, before: Array, lead: _Mode) -> None:
        """Say when a track turned or moved by more than it could have by noise."""
        after = record.modes[0].pose.T_fixed_object
        turned = float(se3.angle(before[:3, :3].T @ after[:3, :3]))
        if record.modes[0] is not lead or turned > _TELLING_RAD:
            card = self._cards[record.object_name]
            moved_m = np.linalg.norm((after - before)[:3] @ np.append(card.centre_m, 1.0))
            record.note = f"turned by {np.degrees(turned):.0f} degrees and moved by {1000 * moved_m:.0f} mm"

    # All tracks ------------------------------------------------------------------------------------------------------

    def _assign(self, records: Sequence[_Record], estimates: Sequence[Estimate], camera: Camera) -> dict[int, int]:
        """Which estimate is of which track, {row of estimates: row of records}: those that stand at one place."""
        if not records or not estimates:
            return {}
        card = self._cards[estimates[0].object_name]
        centre = np.append(card.centre_m, 1.0)
        cost = np.full((len(estimates), len(records)), np.inf)
        for j, record in enumerate(records):
            T, P = record.modes[0].pose.at(camera.stamp_ns)
            for i, estimate in enumerate(estimates):
                off_m = np.linalg.norm(((camera.T_fixed_camera @ estimate.T_camera_object) - T)[:3] @ centre)
                spread_m = np.sqrt((np.trace(P[:3, :3]) + np.trace(estimate.covariance[:3, :3])) / 3.0)
                if off_m < max(_PLACE_REL * card.diameter_m, _SIGMAS * spread_m):
                    cost[i, j] = off_m
        beyond = 1e3  # metres: what may not be paired costs more than all that may
        rows, columns = linear_sum_assignment(np.where(np.isinf(cost), beyond, cost))
        return {int(i): int(j) for i, j in zip(rows, columns) if np.isfinite(cost[i, j])}

    def _merge(self, stamp_ns: int) -> None:
        """Of two tracks of one object at one place the older stays."""
        kept: list[_Record] = []
        for record in self._records:
            card = self._cards[record.object_name]
            centre = np.append(card.centre_m, 1.0)
            place = record.modes[0].pose.at(stamp_ns)[0][:3] @ centre
            near = _PLACE_REL * card.diameter_m
            if not any(
                other.object_name == record.object_name
                and np.linalg.norm(other.modes[0].pose.at(stamp_ns)[0][:3] @ centre - place) < near
                for other in kept
            ):
                kept.append(record)
        self._records = kept

    def _settle(self, stamp_ns: int) -> None:
        """Lose what was not seen for a while, forget what was lost for long, and weigh what is left."""
        kept = []
        for record in self._records:
            unseen_s = (stamp_ns - record.since_ns) * 1e-9
            if record.state == "tentative" and unseen_s > self.config.lost_after_s:
                continue
            if unseen_s > self.config.lost_after_s and record.state != "lost":
                record.state, record.tried_ns = "lost", stamp_ns
                record.reason = record.reason or "not_seen: no frame showed it."
            if record.state == "lost" and unseen_s > self.config.forget_after_s:
                continue
            kept.append(record)
        self._records = [record for record in kept if record.state == "lost" or self._weighed(record)]

    def _weighed(self, record: _Record) -> bool:
        """Confirm what is likely, doubt what no longer is, and drop what is unlikely: whether the track stays."""
        odds = existence.log_odds(record.score) + record.support
        if odds < -existence.LIKELY:
            name = track_name(record.object_name, record.track_id)
            sentence = f"{name}: found a likelihood of {1.0 / (1.0 + np.exp(-odds)):.0%}, expected at least 25 %"
            self.dropped.append(
                Rejected("unlikely_track", f"{sentence} (detections do not find it again).", record.object_name)
            )
            return False
        if odds < 0.0:
            record.state = "tentative"
        elif odds >= existence.LIKELY and record.hits >= self.config.confirm:
            record.state = "confirmed"
        return True


def _modes(estimate: Estimate) -> list[tuple[Array, float]]:
    """The estimate's leading pose and its alternatives, with weights that add up to one."""
    rest = sum(weight for _, weight in estimate.alternatives)
    return [(estimate.T_camera_object, max(1.0 - rest, 1e-3)), *estimate.alternatives]
