"""Gauss-Newton steps of a batch of poses, in the object frame, along the directions that the residuals determine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pose_node.arrays import Array
from pose_node.geometry.se3 import exp_so3, transform
from pose_node.objects.card import ObjectCard
from pose_node.pose.covariance import observable_directions
from pose_node.pose.residuals import Residuals

_DAMPING = 3e-3  # share of the mean curvature: keeps directions that the points do not fix from drifting
_MAX_STEP = 0.3  # diameters and radians; farther off the linearisation does not hold
# Errors of the normals in radians: directions whose curvature the first would explain get no step, those whose curvature
# exceeds what the second would explain get the whole one.
_SPURIOUS_RAD = (0.04, 0.06)

_Solver = Callable[[Array, Array, Array, Array, Array], Array]


class GaussNewton:
    """Steps of poses of one object. Each takes T [B, 4, 4] and gives the new poses and the steps [B, 6].

    Steps are (x, y, z, rx, ry, rz) in diameters and radians, about the points' own centre.
    """

    def __init__(self, card: ObjectCard) -> None:
        self._card = card

    def damped(self, T: Array, fit: Residuals) -> tuple[Array, Array]:
        """A step -(A + d I)^-1 b: cheap, and short where the points determine little."""
        return self._step(T, fit, self._solve_damped, 1.0)

    def observable(self, T: Array, fit: Residuals, gain: float = 1.0) -> tuple[Array, Array]:
        """``gain`` times the step -A^-1 b, without what lies along directions that are not observable.

        Along those the residuals carry no information: steps would wander, and end elsewhere each time.
        """
        return self._step(T, fit, self._solve_observable, gain)

    def _step(self, T: Array, fit: Residuals, solve: _Solver, gain: float) -> tuple[Array, Array]:
        """Points move to Exp(w) (x - c) + c + v; turning about the points' own centre c decouples the two parts of the step."""
        scale = self._card.diameter_m
        total = np.maximum(fit.weight.sum(axis=1), 1e-12)
        centre = np.einsum("bn,bni->bi", fit.weight, fit.x) / total[:, None]
        # One coordinate after the other, [B, 3, N]: numpy is fast on long rows, not on many of three.
        lever = np.ascontiguousarray(np.swapaxes(fit.x - centre[:, None], -1, -2)) / scale
        J = np.empty((len(T), 6, lever.shape[-1]))
        J[:, :3] = np.swapaxes(fit.gradient, -1, -2)
        for i, (j, k) in enumerate(((1, 2), (2, 0), (0, 1))):
            J[:, 3 + i] = lever[:, j] * J[:, k] - lever[:, k] * J[:, j]
        residual = fit.residual / scale
        if J.shape[-1] > 2 * fit.points:
            _eliminate_swell(np.swapaxes(J, -1, -2), residual, fit)
        weighted: Array = J * fit.weight[:, None]
        A: Array = weighted @ np.swapaxes(J, -1, -2)
        b = (weighted @ residual[..., None])[..., 0]
        step = solve(A, b, lever, fit.weight, centre)
        length = np.abs(step).max(axis=1, keepdims=True)
        step = step * np.minimum(gain, _MAX_STEP / np.maximum(length, 1e-12))
        E = exp_so3(step[:, 3:])
        R = T[:, :3, :3] @ np.swapaxes(E, -1, -2)
        shift = np.einsum("bij,bj->bi", E, centre) - centre - step[:, :3] * scale
        return transform(R, T[:, :3, 3] + np.einsum("bij,bj->bi", R, shift)), step

    def _solve_damped(self, A: Array, b: Array, lever: Array, weight: Array, centre: Array) -> Array:
        damping = _DAMPING * np.trace(A, axis1=-2, axis2=-1) / 6.0 + 1e-12
        return -np.linalg.solve(A + damping[:, None, None] * np.eye(6), b[..., None])[..., 0]

    def _solve_observable(self, A: Array, b: Array, lever: Array, weight: Array, centre: Array) -> Array:
        r2 = (lever * weight[:, None]) @ np.swapaxes(lever, -1, -2)
        for axis in self._card.symmetry.axes:
            shift = np.cross(axis.direction, (centre - axis.origin_m) / self._card.diameter_m)
            turn = np.concatenate([shift, np.broadcast_to(axis.direction, shift.shape)], axis=1)
            turn = turn / np.linalg.norm(turn, axis=1, keepdims=True)
            across = np.eye(6) - turn[:, :, None] * turn[:, None]
            A, b = across @ A @ across, np.einsum("bij,bj->bi", across, b)
        value, vector, share = observable_directions(A, weight.sum(axis=1), np.asarray(r2, float), _SPURIOUS_RAD)
        gain = share / np.maximum(value, 1e-12)
        return -np.einsum("bij,bj->bi", vector, gain * np.einsum("bji,bj->bi", vector, b))


def _eliminate_swell(J: Array, residual: Array, fit: Residuals) -> None:
    """Eliminate the edges' common offset from J [B, N, 6] and residual [B, N], in place.

    This is the Schur complement, row by row: centring the rows by this share of their weighted mean gives the normal
    equations that remain when the offset, with its prior, has been solved for.
    """
    edges = np.s_[:, 2 * fit.points :]
    weight = fit.weight[edges]
    total = weight.sum(axis=1, keepdims=True)
    share = (1.0 - np.sqrt(fit.swell / (total + fit.swell))) / np.maximum(total, 1e-12)
    J[edges] -= np.einsum("bn,bni->bi", share * weight, J[edges])[:, None]
    residual[edges] -= (share * weight * residual[edges]).sum(axis=1, keepdims=True)
