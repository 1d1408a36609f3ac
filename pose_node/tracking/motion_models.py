"""Motion models of tracks, which fuse many observations of one pose: of a static object, and of a moving one.

Errors of a pose observed twice from the same direction are correlated: both have the same errors of surface, mesh and border.
So observations of a static object are grouped by viewing direction. Within a group, only the independent part of the error
averages out; the groups are then weighted by their covariances. Errors that all observations share (``pose.error_model``) do
not average out: ``shared_covariance`` is added to the result, and ``depth_bias``, which lies along the line of sight, cancels
as far as the directions differ.

All is computed on SE(3) in decoupled coordinates (``se3.retract``); a motion of the fixed frame moves the result with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_node.arrays import Array
from pose_node.config import TrackConfig
from pose_node.geometry import se3
from pose_node.pose.error_model import add_bias
from pose_node.tracking.observation import Observation

_GROUP_COS = np.cos(np.deg2rad(10.0))  # observations from directions nearer than this are one group
_MAX_GROUPS = 32
_COMMON_SHARE = 0.8  # of the shared covariance is in every observation: it grows with range, so the nearest have less
_CONVERGED = 1e-6  # metres and radians
_STEPS = 3  # of Gauss-Newton over the groups, which agree within a few degrees
_START_S = 0.3  # the velocity's standard deviation after the first observation is what so long an acceleration makes


@dataclass(slots=True, eq=False)
class _Group:
    """Observations from one viewing direction.

    T: [4, 4] their mean pose. independent: [6, 6] covariance of the mean's independent error. single: [6, 6] covariance of a
    single observation without the shared errors. bias, towards, stamp_ns: of the last observation, the first, the last.
    """

    T: Array
    independent: Array
    single: Array
    bias: Array
    towards: Array
    stamp_ns: int


class StaticPose:
    """The pose of an object that stands still, from observations of it. ``covariance`` is [6, 6] in the fixed frame's axes."""

    def __init__(self, observation: Observation, config: TrackConfig) -> None:
        self._config = config
        self._groups: list[_Group] = []
        self.T_fixed_object, self.covariance = observation.T_fixed_object, observation.covariance
        self.update(observation)

    def predict(self, stamp_ns: int) -> tuple[Array, Array]:
        """T_fixed_object [4, 4] and covariance [6, 6] at a stamp: the same at all."""
        return self.T_fixed_object, self.covariance

    @property
    def velocity(self) -> Array:
        """[6] zeros, m/s and rad/s in the fixed frame."""
        return np.zeros(6)

    def update(self, observation: Observation) -> None:
        """Fuse one more observation; of symmetric poses, the caller has chosen the nearest."""
        single = observation.covariance - _COMMON_SHARE * add_bias(observation.shared, observation.bias)
        new = (1.0 - self._config.common) * single
        group = next((g for g in self._groups if g.towards @ observation.towards > _GROUP_COS), None)
        if group is None:
            o = observation
            self._groups.append(_Group(o.T_fixed_object, new, single, o.bias, o.towards, o.stamp_ns))
        else:
            gain = group.independent @ np.linalg.inv(group.independent + new)
            group.T = se3.retract(group.T, gain @ se3.local(group.T, observation.T_fixed_object))
            share = max(1.0 / self._config.memory, 1e-9)
            independent = group.independent - gain @ group.independent
            # Fading memory: old observations count as no more than ``memory`` of them.
            group.independent = _symmetric(independent / (1.0 - share) if share < 1.0 else new)
            group.single = _symmetric(np.linalg.inv(0.5 * (np.linalg.inv(group.single) + np.linalg.inv(single))))
            group.bias, group.stamp_ns = observation.bias, observation.stamp_ns
        keep_ns = int(self._config.memory_s * 1e9)
        self._groups = [g for g in self._groups if observation.stamp_ns - g.stamp_ns <= keep_ns]
        self._groups = sorted(self._groups, key=lambda g: -g.stamp_ns)[:_MAX_GROUPS]
        self._fuse(observation.shared)

    def _fuse(self, shared: Array) -> None:
        """Set the pose that agrees best with all groups, weighted by their precisions, and its covariance."""
        poses = np.stack([g.T for g in self._groups])
        precisions = np.linalg.inv(np.stack([g.independent + self._config.common * g.single for g in self._groups]))
        total = precisions.sum(axis=0)
        T = self.T_fixed_object
        for _ in range(_STEPS):
            pull = np.einsum("nij,nj->i", precisions, se3.local(T, poses))
            step = np.linalg.solve(total, pull)
            T = se3.retract(T, step)
            if np.abs(step).max() < _CONVERGED:
                break
        self.T_fixed_object = se3.transform(se3.project_so3(T[:3, :3]), T[:3, 3])
        # The depth error is one number for all groups; each moves the result by its own bias and its share of the weight.
        bias = np.linalg.solve(
            total, np.einsum("nij,nj->i", precisions[:, :, :3], np.stack([g.bias for g in self._groups]))
        )
        self.covariance = _symmetric(np.linalg.inv(total)) + _COMMON_SHARE * add_bias(shared, bias)


class MovingPose:
    """The pose and velocity of a moving object: a Kalman filter with a constant-velocity model.

    State: pose error and velocity [12] in the fixed frame; white noise of acceleration drives it. (Bar-Shalom, Li and
    Kirubarajan, "Estimation with applications to tracking and navigation", 2001, section 6.2.)
    """

    def __init__(self, observation: Observation, config: TrackConfig) -> None:
        self._config = config
        self.T_fixed_object, self._stamp_ns = observation.T_fixed_object, observation.stamp_ns
        self.velocity = np.zeros(6)
        self._P = np.zeros((12, 12))
        self._P[:6, :6] = observation.covariance
        start = _START_S * np.array([config.acceleration_m_s2] * 3 + [config.turning_rad_s2] * 3)
        self._P[6:, 6:] = np.diag(start**2)

    @property
    def covariance(self) -> Array:
        """[6, 6] of the pose at the last observation, in the fixed frame's axes."""
        return self._P[:6, :6]

    def predict(self, stamp_ns: int) -> tuple[Array, Array]:
        """T_fixed_object [4, 4] and covariance [6, 6] at a stamp; before the last observation, those of the last."""
        seconds = max(stamp_ns - self._stamp_ns, 0) * 1e-9
        T = se3.retract(self.T_fixed_object, seconds * self.velocity)
        return T, self._predicted_covariance(seconds)[:6, :6]

    def update(self, observation: Observation) -> None:
        """Fuse one more observation. One that is older than the last is first moved along the velocity to the last's time."""
        seconds = (observation.stamp_ns - self._stamp_ns) * 1e-9
        measured = observation.T_fixed_object
        if seconds < 0.0:
            measured = se3.retract(measured, -seconds * self.velocity)
        T = se3.retract(self.T_fixed_object, max(seconds, 0.0) * self.velocity)
        P = self._predicted_covariance(max(seconds, 0.0))
        gain = P[:, :6] @ np.linalg.inv(P[:6, :6] + observation.covariance)
        step = gain @ se3.local(T, measured)
        T = se3.retract(T, step[:6])
        self.T_fixed_object = se3.transform(se3.project_so3(T[:3, :3]), T[:3, 3])
        self.velocity = self.velocity + step[6:]
        self._P = _symmetric(P - gain @ P[:6])
        self._stamp_ns = max(observation.stamp_ns, self._stamp_ns)

    def _predicted_covariance(self, seconds: float) -> Array:
        """Covariance [12, 12] of the state ``seconds`` after the last observation."""
        F = np.eye(12)
        F[:6, 6:] = seconds * np.eye(6)
        q = np.diag([self._config.acceleration_m_s2**2] * 3 + [self._config.turning_rad_s2**2] * 3)
        Q = np.block([[q * seconds**3 / 3.0, q * seconds**2 / 2.0], [q * seconds**2 / 2.0, q * seconds]])
        return _symmetric(F @ self._P @ F.T + Q)


def _symmetric(C: Array) -> Array:
    """``C`` without the asymmetry of rounding."""
    return (C + C.T) / 2.0
