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
_FINE_DAMPING = 1e-5
_STEP_REL = 1e-8  # converged: steps below this, in diameters and radians
_FACING = 0.3  # cosine below which a point does not belong to a piece of surface


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """One linearisation: residuals [N] in metres, gradients [N, 3], weights [N], points in the object frame [N, 3]."""

    residual: Array
    gradient: Array
    weight: Array
    x: Array


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
        T = hypothesis.T_camera_object
        reach_m = self.config.inlier_distance_rel * self.card.diameter_m
        converged, iteration = False, 0
        for iteration in range(1, self.config.max_iterations + 1):
            fit = self._linearise(T, points, normals, reach_m)
            stepped, step = self._step(
                T[None], fit.x[None], fit.residual[None], fit.gradient[None], fit.weight[None], _FINE_DAMPING
            )
            T = stepped[0]
            if np.abs(step).max() < _STEP_REL:
                converged = True
                break
        T = T.copy()
        T[:3, :3] = project_so3(T[:3, :3])
        fit = self._linearise(T, points, normals, reach_m)
        inlier = fit.weight > 0.0
        rms_m = float(np.sqrt(np.average(fit.residual**2, weights=fit.weight))) if inlier.any() else reach_m
        sigma_m = max(noise_sigma(view.range_m), rms_m)
        information, covariance = pose_covariance(
            T, fit.x, fit.gradient, fit.weight, sigma_m, view.count, view.range_m, self.card
        )
        return Refined(hypothesis, T, information, covariance, float(inlier.mean()), rms_m, iteration, converged)

    def _linearise(self, T: Array, points: Array, normals: Array, reach_m: float) -> _Fit:
        x = (points - T[:3, 3]) @ T[:3, :3]
        turned = normals @ T[:3, :3]
        residual, gradient, distance2 = self.lookup.surface(x, turned)
        facing = np.einsum("ni,ni->n", turned, gradient)
        near = np.square(np.maximum(1.0 - np.square(residual / reach_m), 0.0))
        on = np.square(np.maximum(1.0 - distance2 / (2.0 * reach_m) ** 2, 0.0))
        return _Fit(residual, gradient, near * on * np.maximum(facing - _FACING, 0.0), x)

    def _step(
        self, T: Array, x: Array, residual: Array, gradient: Array, weight: Array, damping: float
    ) -> tuple[Array, Array]:
        """One damped Gauss-Newton step of T [B, 4, 4]; also the steps [B, 6] in diameters and radians.

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
        A = A + (damping * np.trace(A, axis1=-2, axis2=-1) / 6.0 + 1e-12)[:, None, None] * np.eye(6)
        step = -np.linalg.solve(A, b[..., None])[..., 0]
        # A step as long as this is a guess: the linearisation does not hold so far.
        length = np.abs(step).max(axis=1, keepdims=True)
        step = step * np.minimum(1.0, 0.3 / np.maximum(length, 1e-12))
        E = exp_so3(step[:, 3:])
        R = T[:, :3, :3] @ np.swapaxes(E, -1, -2)
        shift = np.einsum("bij,bj->bi", E, centre) - centre - step[:, :3] * scale
        moved = T.copy()
        moved[:, :3, :3] = R
        moved[:, :3, 3] = T[:, :3, 3] + np.einsum("bij,bj->bi", R, shift)
        return moved, step


def _every(length: int, count: int) -> Indices:
    return np.linspace(0, length - 1, min(count, length)).round().astype(np.intp)
