"""Many measurements of one pose as one: what a static object's looks agree on, or where a moving one is going.

Errors of a pose seen twice from the same place are alike: the same noise of surface, mesh and border. So looks at a static
object are gathered by the side that it was seen from; looks from one side sharpen only the part of the error that is new in
each of them, and the sides are weighed against each other by their covariances. What is wrong with camera and mesh
(``error_model.shared_covariance``) no look mends, so it is added to whatever they agree on; the error of the camera's depth
(``error_model.depth_bias``) is one for all looks, too, but lies along each one's line of sight. All is computed on SE(3) in the
house's decoupled coordinates (``se3.retract``); a motion of the fixed frame moves the result with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_node.arrays import Array
from pose_node.config import TrackConfig
from pose_node.geometry import se3
from pose_node.pose.error_model import add_bias

_SIDE_COS = np.cos(np.deg2rad(10.0))  # looks from nearer directions than this are of one side
_MOST_SIDES = 32
_CERTAIN = 0.8  # of the floor is surely in each look: their ranges, and so their floors, differ a little
_SETTLED = 1e-6  # metres and radians
_STEPS = 3  # of Gauss-Newton over the sides, which agree within a few degrees
_START_M_S, _START_RAD_S = 0.3, 1.0  # standard deviation of the velocity of an object of which one look is known


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One measured pose: T_fixed_object [4, 4], covariance [6, 6] in the fixed frame's axes, and from where it was seen.

    towards: [3] unit vector from the object to the viewpoint, in the object frame. floor: [6, 6] and bias: [3] metres (its
    outer product with itself), in the fixed frame's axes, are the parts of the covariance that all looks have in common.
    """

    T_fixed_object: Array
    covariance: Array
    floor: Array
    bias: Array
    towards: Array
    stamp_ns: int


@dataclass(slots=True, eq=False)
class _Side:
    """What looks from one side say: their mean pose, the covariance of its part that is new in each look, and a whole look's."""

    T: Array
    own: Array
    whole: Array
    bias: Array
    towards: Array
    stamp_ns: int


class StaticPose:
    """The pose of an object that stands still, from looks at it."""

    def __init__(self, look: Look, config: TrackConfig) -> None:
        self._config = config
        self._sides: list[_Side] = []
        self.T_fixed_object, self.covariance = look.T_fixed_object, look.covariance
        self.add(look)

    def at(self, stamp_ns: int) -> tuple[Array, Array]:
        """T_fixed_object [4, 4] and covariance [6, 6] at a stamp."""
        return self.T_fixed_object, self.covariance

    @property
    def velocity(self) -> Array:
        """[6] metres and radians a second, in the fixed frame: it stands still."""
        return np.zeros(6)

    def add(self, look: Look) -> None:
        """Take one more look; the nearest of symmetric poses must have been chosen."""
        whole = look.covariance - _CERTAIN * add_bias(look.floor, look.bias)
        new = (1.0 - self._config.common) * whole
        side = next((s for s in self._sides if s.towards @ look.towards > _SIDE_COS), None)
        if side is None:
            self._sides.append(_Side(look.T_fixed_object, new, whole, look.bias, look.towards, look.stamp_ns))
        else:
            gain = side.own @ np.linalg.inv(side.own + new)
            side.T = se3.retract(side.T, gain @ se3.local(side.T, look.T_fixed_object))
            share = max(1.0 / self._config.memory, 1e-9)
            own = side.own - gain @ side.own
            # Fading memory: what was learnt long ago counts as no more than ``memory`` looks.
            side.own = _symmetric(own / (1.0 - share) if share < 1.0 else new)
            side.whole = _symmetric(np.linalg.inv(0.5 * (np.linalg.inv(side.whole) + np.linalg.inv(whole))))
            side.bias, side.stamp_ns = look.bias, look.stamp_ns
        keep_ns = int(self._config.memory_s * 1e9)
        self._sides = [s for s in self._sides if look.stamp_ns - s.stamp_ns <= keep_ns]
        self._sides = sorted(self._sides, key=lambda s: -s.stamp_ns)[:_MOST_SIDES]
        self._weigh(look.floor)

    def _weigh(self, floor: Array) -> None:
        """The pose on which the sides agree best, and how well it is known."""
        seen = np.stack([s.T for s in self._sides])
        precisions = np.linalg.inv(np.stack([s.own + self._config.common * s.whole for s in self._sides]))
        total = precisions.sum(axis=0)
        T = self.T_fixed_object
        for _ in range(_STEPS):
            pull = np.einsum("nij,nj->i", precisions, se3.local(T, seen))
            step = np.linalg.solve(total, pull)
            T = se3.retract(T, step)
            if np.abs(step).max() < _SETTLED:
                break
        self.T_fixed_object = se3.transform(se3.project_so3(T[:3, :3]), T[:3, 3])
        # Each side errs by its own bias times one number, and moves the result by its share of the weight.
        bias = np.linalg.solve(
            total, np.einsum("nij,nj->i", precisions[:, :, :3], np.stack([s.bias for s in self._sides]))
        )
        self.covariance = _symmetric(np.linalg.inv(total)) + _CERTAIN * add_bias(floor, bias)


class MovingPose:
    """The pose and velocity of an object that moves: a Kalman filter whose velocity wanders.

    State: pose error and velocity [12] in the fixed frame; white noise of acceleration drives it.
    """

    def __init__(self, look: Look, config: TrackConfig) -> None:
        self._config = config
        self.T_fixed_object, self._stamp_ns = look.T_fixed_object, look.stamp_ns
        self.velocity = np.zeros(6)
        self._P = np.zeros((12, 12))
        self._P[:6, :6] = look.covariance
        self._P[6:, 6:] = np.diag([_START_M_S**2] * 3 + [_START_RAD_S**2] * 3)

    @property
    def covariance(self) -> Array:
        """[6, 6] of the pose at the last look."""
        return self._P[:6, :6]

    def at(self, stamp_ns: int) -> tuple[Array, Array]:
        """T_fixed_object [4, 4] and covariance [6, 6] at a stamp; one before the last look gives the last look's."""
        seconds = max(stamp_ns - self._stamp_ns, 0) * 1e-9
        return se3.retract(self.T_fixed_object, seconds * self.velocity), self._spread(seconds)[:6, :6]

    def add(self, look: Look) -> None:
        """Take one more look. One that is older than the last is carried forward along the motion."""
        seconds = (look.stamp_ns - self._stamp_ns) * 1e-9
        measured = look.T_fixed_object
        if seconds < 0.0:
            measured = se3.retract(measured, -seconds * self.velocity)
        T, P = se3.retract(self.T_fixed_object, max(seconds, 0.0) * self.velocity), self._spread(max(seconds, 0.0))
        gain = P[:, :6] @ np.linalg.inv(P[:6, :6] + look.covariance)
        step = gain @ se3.local(T, measured)
        T = se3.retract(T, step[:6])
        self.T_fixed_object = se3.transform(se3.project_so3(T[:3, :3]), T[:3, 3])
        self.velocity = self.velocity + step[6:]
        self._P = _symmetric(P - gain @ P[:6])
        self._stamp_ns = max(look.stamp_ns, self._stamp_ns)

    def _spread(self, seconds: float) -> Array:
        """Covariance [12, 12] after ``seconds`` more."""
        F = np.eye(12)
        F[:6, 6:] = seconds * np.eye(6)
        q = np.diag([self._config.acceleration_m_s2**2] * 3 + [self._config.turning_rad_s2**2] * 3)
        Q = np.block([[q * seconds**3 / 3.0, q * seconds**2 / 2.0], [q * seconds**2 / 2.0, q * seconds]])
        return _symmetric(F @ self._P @ F.T + Q)


def _symmetric(C: Array) -> Array:
    return (C + C.T) / 2.0
