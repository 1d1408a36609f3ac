"""Point-to-plane ICP of hypotheses against the model's surface: many at once and roughly, or one to rounding.

All steps are computed in the object frame, from invariant subsets of points: a rigid motion of points and viewpoint
moves the result with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pose_node.card import ObjectCard
from pose_node.config import RefineConfig
from pose_node.covariance import noise_sigma, pose_covariance
from pose_node.lookup import Lookup
from pose_node.scene import Scene, View
from pose_node.se3 import exp_so3, project_so3
from pose_node.types import Array, Hypothesis, Indices, Refined

_COARSE_DAMPING = 3e-3  # share of the mean curvature: keeps directions that the points do not fix from drifting
_STEP_REL = 1e-7  # converged: steps below this, in diameters and radians
_NEAR_REL = 1e-3  # near enough to look at the residuals' spread
_REACH_SIGMAS = 4.5
_LEAST_REACH_M = 0.0025
_FREE_RAD = (0.04, 0.06)  # curvature that normals erring by so much would fake: none below, all of it above
_FACING = 0.3  # cosine below which a point does not belong to a piece of surface


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """One linearisation: residuals [N] in metres, gradients [N, 3], weights [N], points in the object frame [N, 3], nearest samples [N]."""

    residual: Array
    gradient: Array
    weight: Array
    x: Array
    near: Indices


class Refiner:
    """Refines hypotheses of one object."""

    def __init__(self, card: ObjectCard, config: RefineConfig, lookup: Lookup | None = None) -> None:
        self.card, self.config = card, config
        self.lookup = lookup or Lookup(card.surface, card.diameter_m)

    def coarse(self, hypotheses: Sequence[Hypothesis], scene: Scene) -> list[Hypothesis]:
        """All hypotheses, moved a few steps towards the nearest fit. Those of one segment are worked on together."""
        T = np.stack([h.T_camera_object for h in hypotheses]) if hypotheses else np.zeros((0, 4, 4))
        segments = {id(h.segment): h.segment for h in hypotheses}
        out = T.copy()
        for key, segment in segments.items():
            rows = np.array([i for i, h in enumerate(hypotheses) if id(h.segment) == key])
            out[rows] = self.coarse_poses(T[rows], scene.view(segment))
        return [replace(h, T_camera_object=t) for h, t in zip(hypotheses, out)]

    def coarse_poses(self, T: Array, view: View, iterations: int | None = None, first_rel: float = 0.15) -> Array:
        """Batched ICP of T [B, 4, 4] with the table alone; the correspondence distance shrinks from ``first_rel`` diameters."""
        iterations = iterations or self.config.coarse_iterations
        pick = _every(len(view.points_m), self.config.coarse_points)
        points, normals = view.points_m[pick], view.normals[pick]
        last_rel = max(self.config.inlier_distance_rel, 2.0 * self.lookup.table_error_m / self.card.diameter_m)
        reach = self.card.diameter_m * np.geomspace(max(first_rel, last_rel), last_rel, iterations)
        for reach_m in reach:
            x = (points - T[:, None, :3, 3]) @ T[:, :3, :3]
            turned = normals @ T[:, :3, :3]
            near = self.lookup.nearest(x, turned)
            gradient = self.lookup.normals[near]
            offset = x - self.lookup.points_m[near]
            residual = np.einsum("bni,bni->bn", offset, gradient)
            distance2 = np.einsum("bni,bni->bn", offset, offset)
            facing = np.einsum("bni,bni->bn", turned, gradient)
            weight = np.square(np.maximum(1.0 - distance2 / (reach_m * reach_m), 0.0)) * np.maximum(facing - _FACING, 0.0)
            T = self._step(T, x, residual, gradient, weight, _COARSE_DAMPING)[0]
        return T

    def fine(self, hypothesis: Hypothesis, scene: Scene) -> Refined:
        """One hypothesis to convergence: the fixed point does not depend on where nearby it started."""
        view = scene.view(hypothesis.segment)
        pick = _every(len(view.points_m), self.config.points)
        points, normals = view.points_m[pick], view.normals[pick]
        reach_m = self.config.inlier_distance_rel * self.card.diameter_m
        T, fit, first, _ = self._descend(
            hypothesis.T_camera_object, points[::2], normals[::2], reach_m, _NEAR_REL, self.config.max_iterations // 3
        )
        reach_m = self._noise_reach(fit, reach_m)
        T, fit, second, converged = self._descend(
            T, points, normals, reach_m, _STEP_REL, self.config.max_iterations - first
        )
        T = T.copy()
        T[:3, :3] = project_so3(T[:3, :3])
        inlier = fit.weight > 0.0
        rms_m = float(np.sqrt(np.average(fit.residual**2, weights=fit.weight))) if inlier.any() else reach_m
        sigma_m = max(noise_sigma(view.range_m), rms_m)
        information, covariance = pose_covariance(
            T, fit.x, fit.gradient, fit.weight, sigma_m, view.count, view.range_m, self.card
        )
        return Refined(hypothesis, T, information, covariance, float(inlier.mean()), rms_m, first + second, converged)

    def _descend(
        self, T: Array, points: Array, normals: Array, reach_m: float, step_rel: float, most: int
    ) -> tuple[Array, _Fit, int, bool]:
        """Steps until they are shorter than ``step_rel``: pose, last linearisation, steps made, converged."""
        fit = self._linearise(T, points, normals, reach_m)
        gain, last = 1.0, np.zeros(6)
        for iteration in range(1, most + 1):
            moved, (step,) = self._step(
                T[None], fit.x[None], fit.residual[None], fit.gradient[None], fit.weight[None], None, gain
            )
            # A step back means a jump in the correspondences between here and there: close in on it.
            gain, last = (0.5 * gain if step @ last < 0.0 else gain), step
            T = moved[0]
            fit = self._linearise(T, points, normals, reach_m, fit.near)
            if np.abs(step).max() < step_rel:
                return T, fit, iteration, True
        return T, fit, most, False

    def _noise_reach(self, fit: _Fit, reach_m: float) -> float:
        """Correspondence distance that suits the residuals' own spread: what lies farther off is not this surface."""
        near = np.abs(fit.residual[fit.weight > 0.0])
        if len(near) == 0:
            return reach_m
        return float(np.clip(_REACH_SIGMAS * 1.4826 * np.median(near), min(_LEAST_REACH_M, reach_m), reach_m))

    def _linearise(
        self, T: Array, points: Array, normals: Array, reach_m: float, near: Indices | None = None
    ) -> _Fit:
        x = (points - T[:3, 3]) @ T[:3, :3]
        turned = normals @ T[:3, :3]
        residual, gradient, distance2, near = self.lookup.surface(x, turned, near)
        facing = np.einsum("ni,ni->n", turned, gradient)
        close = np.square(np.maximum(1.0 - np.square(residual / reach_m), 0.0))
        on = np.square(np.maximum(1.0 - distance2 / (2.0 * reach_m) ** 2, 0.0))
        return _Fit(residual, gradient, close * on * np.maximum(facing - _FACING, 0.0), x, near)

    def _step(
        self, T: Array, x: Array, residual: Array, gradient: Array, weight: Array, damping: float | None, gain: float = 1.0
    ) -> tuple[Array, Array]:
        """One Gauss-Newton step of T [B, 4, 4], damped or (without ``damping``) blind to directions that only noise fixes.

        Also returns the steps [B, 6] in diameters and radians.

        x, gradient [B, N, 3], residual and weight [B, N], all in the object frame, where the points move to
        Exp(w) (x - c) + c + v; turning about the points' own centre c decouples the two.
        """
        scale = self.card.diameter_m
        total = np.maximum(weight.sum(axis=1), 1e-12)
        centre = np.einsum("bn,bni->bi", weight, x) / total[:, None]
        lever = (x - centre[:, None]) / scale
        J = np.concatenate([gradient, np.cross(lever, gradient)], axis=-1)
        weighted = J * weight[..., None]
        A = np.swapaxes(weighted, -1, -2) @ J
        b = np.einsum("bni,bn->bi", weighted, residual / scale)
        if damping is None:
            step = np.stack([self._trusted_step(A[i], b[i], lever[i], weight[i], centre[i]) for i in range(len(A))])
        else:
            A = A + (damping * np.trace(A, axis1=-2, axis2=-1) / 6.0 + 1e-12)[:, None, None] * np.eye(6)
            step = -np.linalg.solve(A, b[..., None])[..., 0]
        # A step as long as this is a guess: the linearisation does not hold so far.
        length = np.abs(step).max(axis=1, keepdims=True)
        step = step * np.minimum(gain, 0.3 / np.maximum(length, 1e-12))
        E = exp_so3(step[:, 3:])
        R = T[:, :3, :3] @ np.swapaxes(E, -1, -2)
        shift = np.einsum("bij,bj->bi", E, centre) - centre - step[:, :3] * scale
        moved = T.copy()
        moved[:, :3, :3] = R
        moved[:, :3, 3] = T[:, :3, 3] + np.einsum("bij,bj->bi", R, shift)
        return moved, step


    def _trusted_step(self, A: Array, b: Array, lever: Array, weight: Array, centre: Array) -> Array:
        """-A^-1 b [6] along the directions whose curvature is more than what erring normals would fake.

        About the axis of a bowl, or of a mug whose handle is hidden, the residuals know nothing: steps there would only
        wander, and end elsewhere each time.
        """
        r2 = np.einsum("n,ni,nj->ij", weight, lever, lever)
        fake = np.eye(6) * (weight.sum() + 1e-12)
        fake[3:, 3:] = np.trace(r2) * np.eye(3) - r2 + 1e-12 * np.eye(3)
        for axis in self.card.symmetry.axes:
            shift = np.cross(axis.direction, (centre - axis.origin_m) / self.card.diameter_m)
            turn = np.concatenate([shift, axis.direction])
            across = np.eye(6) - np.outer(turn, turn) / (turn @ turn)
            A, b = across @ A @ across, across @ b
        root = np.linalg.inv(np.linalg.cholesky(fake))
        value, vector = np.linalg.eigh(root @ A @ root.T)
        vector = root.T @ vector
        low, high = np.square(_FREE_RAD)
        share = np.clip((value - low) / (high - low), 0.0, 1.0)
        gain = share * share * (3.0 - 2.0 * share) / np.maximum(value, low)
        return -vector @ (gain * (vector.T @ b))


def _every(length: int, count: int) -> Indices:
    return np.linspace(0, length - 1, min(count, length)).round().astype(np.intp)
