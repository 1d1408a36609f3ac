"""Whether a pose of any object shows the surface that is really there: what a depth camera cannot tell from the truth is right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pose_node.arrays import Array
from pose_node.geometry.se3 import apply, exp_so3, invert, transform
from pose_node.objects.surface import Surface

RIGHT_REL = 0.1  # of the diameter: the farthest that a right pose may move any point of the surface
_MEAN_M, _MEAN_REL = 0.0015, 0.015  # two surfaces are one for a depth camera when they deviate by less on average ...
_P99_M, _P99_REL = 0.006, 0.06  # ... and by less at the 99th percentile
_FAR_REL = 0.08  # surfaces that deviate by more on average are not fitted to each other
_SAMPLES, _STEPS, _SURFACE = 256, 6, 2048


class Truth:
    """The true object's surface, to compare poses with. diameter_m: its diameter."""

    def __init__(self, surface: Surface, diameter_m: float) -> None:
        self.points, self.normals, self.diameter_m = surface.points_m[:_SURFACE], surface.normals[:_SURFACE], diameter_m
        self._tree = cKDTree(self.points)
        self._spacing_m = float(np.median(self._tree.query(self.points[:256], k=2)[0][:, 1]))

    def right(self, T: Array, T_true: Array, surface: Surface) -> NDArray[np.bool_]:
        """Which of the poses T [B, 4, 4] of an object with this ``surface`` are right where the true one is at T_true [4, 4].

        The object need not be the true one: its surface must coincide with the true surface at a pose within ``RIGHT_REL`` of T.
        So every symmetry counts, also one that only depth cannot resolve.
        """
        D = invert(T_true) @ T  # T_true_object
        x = surface.points_m[:_SAMPLES]
        S = self._fitted(D, x)
        moved = np.linalg.norm(apply(S, x) - apply(D, x), axis=-1).max(axis=1)
        found = moved < RIGHT_REL * self.diameter_m
        for i in np.flatnonzero(found):
            back = cKDTree(apply(S[i], surface.points_m[:_SURFACE]))
            there = self._deviation(apply(S[i], x))
            here = np.maximum(back.query(self.points[:_SAMPLES])[0] - 1.5 * self._spacing_m, 0.0)
            for deviation in (there, here):
                mean, p99 = deviation.mean(), np.percentile(deviation, 99)
                found[i] &= mean < min(_MEAN_M, _MEAN_REL * self.diameter_m)
                found[i] &= p99 < min(_P99_M, _P99_REL * self.diameter_m)
        return found

    def _deviation(self, points: Array) -> Array:
        """Distance [..., N] of points [..., N, 3] from the true surface."""
        distance, near = self._tree.query(points)
        across = np.abs(np.einsum("...i,...i->...", points - self.points[near], self.normals[near]))
        return np.maximum(across, distance - 1.5 * self._spacing_m)

    def _fitted(self, D: Array, x: Array) -> Array:
        """D [B, 4, 4] moved so that the samples x [N, 3] lie on the true surface (point-to-plane ICP); far ones stay."""
        S = D.copy()
        near_enough = self._deviation(apply(D, x)).mean(axis=-1) < _FAR_REL * self.diameter_m
        rows = np.flatnonzero(near_enough)
        for _ in range(_STEPS if len(rows) else 0):
            p = apply(S[rows], x)
            near = self._tree.query(p)[1]
            n = self.normals[near]
            residual = np.einsum("bni,bni->bn", p - self.points[near], n)
            centre = p.mean(axis=1, keepdims=True)
            J = np.concatenate([n, np.cross((p - centre) / self.diameter_m, n)], axis=-1)
            H = np.einsum("bni,bnj->bij", J, J) + 1e-3 * len(x) * np.eye(6)
            step = np.linalg.solve(H, -np.einsum("bni,bn->bi", J, residual)[..., None])[..., 0]
            R = exp_so3(step[:, 3:] / self.diameter_m)
            t = centre[:, 0] + step[:, :3] - np.einsum("bij,bj->bi", R, centre[:, 0])
            S[rows] = transform(R, t) @ S[rows]
        return S
