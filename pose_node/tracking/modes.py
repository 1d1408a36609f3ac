"""The orientations that one track may have: weighted modes, each with a pose of its own.

An object at one place may have several orientations, and one observation cannot always distinguish them. An observation that
agrees with a mode refines it (``motion_models``). One that agrees with none becomes a new mode of little weight, which leads only
after further observations agree with it: a single wrong estimate does not pull a track away, and a handle that comes into
view turns it. Following searches for the leading mode alone, so only a detection is strong evidence against it.

(Several modes: Alspach and Sorenson, "Nonlinear Bayesian estimation using Gaussian sum approximations", 1972.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pose_node.arrays import Array
from pose_node.config import TrackConfig
from pose_node.geometry import se3
from pose_node.measurement.sensor import Sensor
from pose_node.objects.card import ObjectCard
from pose_node.tracking.existence import CONFIRMS_RIGHT
from pose_node.tracking.motion_models import MovingPose, StaticPose
from pose_node.tracking.observation import Camera, Observation, observe
from pose_node.types import Estimate

_GATE = 22.5  # squared Mahalanobis distance that one in a thousand right observations exceeds (6 degrees of freedom)
_MAX_MODES = 4
_MIN_WEIGHT = 0.02
_NEW_WEIGHT = 0.1  # of a mode with a single observation: one more does not yet make it lead
_UNSEEN_BY_FOLLOWING = 0.5  # probability that following does not report a right mode, which starts from the mode: what misled it once may do so again
_UNDECIDED = 3.0  # alternatives whose weights differ by less than this factor are equally likely
_NOTED_RAD = np.deg2rad(20.0)


@dataclass(slots=True, eq=False)
class _Mode:
    """pose: fused from the observations of this mode. weight: in [0, 1]. observed_ns: stamp of the last observation."""

    pose: StaticPose | MovingPose
    weight: float
    observed_ns: int


class Modes:
    """The modes of one track, the heaviest first; their weights add up to one. ``card`` is its object's."""

    def __init__(
        self, estimate: Estimate, camera: Camera, card: ObjectCard, config: TrackConfig, sensor: Sensor
    ) -> None:
        self._card, self._config, self._sensor = card, config, sensor
        modes = [
            self._new(observe(estimate, T, camera, card, sensor), weight) for T, weight in _weighted_poses(estimate)
        ]
        self._modes = sorted(modes, key=lambda m: -m.weight)[:_MAX_MODES]

    @property
    def lead(self) -> StaticPose | MovingPose:
        """The pose of the heaviest mode."""
        return self._modes[0].pose

    def alternatives(self, stamp_ns: int) -> tuple[tuple[Array, float], ...]:
        """((T_fixed_object [4, 4], weight), ...) of the other modes at a stamp."""
        return tuple((mode.pose.predict(stamp_ns)[0], mode.weight) for mode in self._modes[1:])

    def follow(self, estimate: Estimate, camera: Camera) -> tuple[bool, str]:
        """Update with an estimate that following made from the leading mode.

        Returns whether it agrees with the mode that leads now, and a note on a sudden change (see ``_note``).
        """
        lead = self._modes[0]
        near = lead.pose.predict(camera.stamp_ns)[0]
        observation = observe(estimate, estimate.T_camera_object, camera, self._card, self._sensor, near)
        before = lead.pose.T_fixed_object
        agrees = self._distance2(lead, observation) < _GATE
        if agrees:
            self._update(lead, observation)
        else:
            others = [m for m in self._modes[1:] if self._distance2(m, observation) < _GATE]
            self._contradict([(observation, 1.0)], others, _UNSEEN_BY_FOLLOWING)
        return agrees or self._modes[0] is not lead, self._note(before, lead)

    def detect(self, estimate: Estimate, camera: Camera) -> str:
        """Update with a detection at the track's place: it raises or lowers the weight of every mode. Returns a note."""
        lead, before = self._modes[0], self._modes[0].pose.T_fixed_object
        found = _weighted_poses(estimate)
        most = max(weight for _, weight in found)
        # Likelihood of each pose of the estimate; weights that differ little count as equal.
        belief = [1.0 if weight * _UNDECIDED >= most else weight / most for _, weight in found]
        supported: list[_Mode] = []
        left = set(range(len(found)))
        for mode in self._modes:
            near = mode.pose.predict(camera.stamp_ns)[0]
            observations = [observe(estimate, T, camera, self._card, self._sensor, near) for T, _ in found]
            distance2 = [self._distance2(mode, observation) for observation in observations]
            inside = [i for i, d in enumerate(distance2) if d < _GATE]
            if inside:
                best = max(inside, key=lambda i: (belief[i], -distance2[i]))
                mode.weight *= max(belief[best], 1.0 - CONFIRMS_RIGHT)
                self._update(mode, observations[best])
                supported.append(mode)
                left -= set(inside)
        fresh = [
            (observe(estimate, found[i][0], camera, self._card, self._sensor, before), belief[i]) for i in sorted(left)
        ]
        if lead in supported or not fresh:
            self._rank()
        self._contradict(fresh, supported, 1.0 - CONFIRMS_RIGHT)
        return self._note(before, lead)

    def _new(self, observation: Observation, weight: float) -> _Mode:
        """A mode with one observation, static or moving as ``track.motion`` says."""
        kind = StaticPose if self._config.motion == "static" else MovingPose
        return _Mode(kind(observation, self._config), weight, observation.stamp_ns)

    def _update(self, mode: _Mode, observation: Observation) -> None:
        """Fuse an observation into a mode, at most one from each frame."""
        if observation.stamp_ns != mode.observed_ns:
            mode.pose.update(observation)
            mode.observed_ns = max(observation.stamp_ns, mode.observed_ns)

    def _distance2(self, mode: _Mode, observation: Observation) -> float:
        """Squared Mahalanobis distance of an observation from a mode."""
        T, covariance = mode.pose.predict(observation.stamp_ns)
        off = se3.local(T, observation.T_fixed_object)
        return float(off @ np.linalg.solve(covariance + observation.covariance, off))

    def _contradict(
        self, fresh: Sequence[tuple[Observation, float]], supported: Sequence[_Mode], unseen: float
    ) -> None:
        """Modes that are not ``supported`` lose weight; ``fresh`` observations, with their beliefs, become modes."""
        for mode in self._modes:
            if mode not in supported:
                mode.weight *= unseen
        total = sum(mode.weight for mode in self._modes)
        for observation, belief in fresh:
            # Relative to the modes before this frame: it is one observation, however many poses it offers.
            share = _NEW_WEIGHT / (1.0 - _NEW_WEIGHT) * belief
            self._modes.append(self._new(observation, share * max(total, unseen)))
        self._rank()

    def _rank(self) -> None:
        """Heaviest first (at a tie the older), the lightest dropped, weights that add up to one."""
        self._modes.sort(key=lambda mode: -mode.weight)
        total = sum(mode.weight for mode in self._modes)
        kept = [m for m in self._modes if m.weight >= _MIN_WEIGHT * total][:_MAX_MODES]
        total = sum(mode.weight for mode in kept)
        for mode in kept:
            mode.weight /= total
        self._modes = kept

    def _note(self, before: Array, lead: _Mode) -> str:
        """A sentence when the track turned or moved by more than noise since ``before`` [4, 4], led by ``lead``; else empty."""
        after = self._modes[0].pose.T_fixed_object
        turned = float(se3.angle(before[:3, :3].T @ after[:3, :3]))
        if self._modes[0] is lead and turned <= _NOTED_RAD:
            return ""
        moved_m = np.linalg.norm((after - before)[:3] @ np.append(self._card.centre_m, 1.0))
        return f"turned by {np.degrees(turned):.0f} degrees and moved by {1000 * moved_m:.0f} mm"


def _weighted_poses(estimate: Estimate) -> list[tuple[Array, float]]:
    """The estimate's leading pose and its alternatives [4, 4], with weights that add up to one."""
    rest = sum(weight for _, weight in estimate.alternatives)
    return [(estimate.T_camera_object, max(1.0 - rest, 1e-3)), *estimate.alternatives]
