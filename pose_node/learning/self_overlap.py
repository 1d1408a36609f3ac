"""How far a rigid motion moves a surface off itself, and whether a depth camera would notice.

What counts as a symmetry follows from what a depth camera at a metre can distinguish, whatever the object's size.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from pose_node.arrays import Array
from pose_node.geometry.se3 import apply, exp_so3, invert, log_so3, transform
from pose_node.learning.mesh import Mesh
from pose_node.learning.render import raycasting_scene
from pose_node.objects.surface import Surface

STRICT_REL = 0.02  # a symmetry moves 98 % of the surface by less than this share of the diameter
STRICT_MM = 2.5  # or by less than this, the accuracy of scanned meshes of small objects, and never by more than 2.5 %
INVISIBLE_MEAN_M, INVISIBLE_P99_M = 0.0015, 0.006  # a depth camera at a metre cannot distinguish such motions from none
VISIBLE_M = 0.005  # it does see a patch of this width that moves by this much
OVERLAP_REL = 0.03  # of the diameter, at most INVISIBLE_P99_M: samples that move off the surface by less stay in place
_MEASURED = 4096  # samples whose displacement is measured
_NORMAL_WEIGHT_REL = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """A motion of the object frame and its effect on the surface.

    mean_m, p98_m, p99_m: mean and percentiles of how far the motion, or its inverse, moves the surface off itself.
    visibility:           the displacement as a share of the limit for a symmetry: above 1 a depth camera sees the difference.
    overlap:              share of the surface that stays within 3 % of the diameter (6 mm at most), facing the same way.
    view_overlap:         the same for the visible surface of a view, 90th percentile over the views.
    """

    T: Array
    mean_m: float
    p98_m: float
    p99_m: float
    visibility: float
    overlap: float
    view_overlap: float


class SelfOverlap:
    """A mesh and its samples, prepared for measuring how far motions move the surface off itself."""

    def __init__(self, mesh: Mesh, surface: Surface) -> None:
        self.diameter_m = mesh.diameter_m
        relative = max(STRICT_REL * mesh.diameter_m, min(STRICT_MM / 1000.0, 0.025 * mesh.diameter_m))
        self.tolerance_m = min(relative, VISIBLE_M)
        self.overlap_m = min(OVERLAP_REL * mesh.diameter_m, INVISIBLE_P99_M)
        self.points, self.normals = surface.points_m, surface.normals
        self.centre = self.points.mean(axis=0)
        self.vertices_m = mesh.vertices_m
        self._views = surface.visible / np.maximum(surface.visible.sum(axis=1, keepdims=True), 1)
        self._weight = _NORMAL_WEIGHT_REL * mesh.diameter_m
        self._fine = cKDTree(np.hstack([self.points, self._weight * self.normals]))
        self._coarse = cKDTree(np.hstack([self.points, self._weight * self.normals])[:2048])
        self._scene = raycasting_scene(mesh.vertices_m, mesh.faces)
        a, b, c = self._corners = mesh.vertices_m[mesh.faces].transpose(1, 0, 2)
        self._area_m2 = 0.5 * float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum())

    def distance(self, points: Array) -> Array:
        """Distance [...] in metres of points [..., 3] from the mesh."""
        return self._scene.compute_distance(np.ascontiguousarray(points, dtype=np.float32), nthreads=1).numpy()

    def match(self, T: Array, count: int, fine: bool = True) -> tuple[Array, Array, Array, Array]:
        """The first ``count`` samples moved by T, with normals, and the nearest samples of the surface, with normals."""
        p, n = apply(T, self.points[:count]), self.normals[:count] @ T[:3, :3].T
        _, index = (self._fine if fine else self._coarse).query(np.hstack([p, self._weight * n]))
        return p, n, self.points[index], self.normals[index]

    def in_place(self, T: Array, count: int) -> Array:
        """Which of the first ``count`` samples stay on the surface when moved by T, facing the same way: [count] bool."""
        p, n, q, m = self.match(T, count)
        gap = p - q
        near = np.abs(np.einsum("ij,ij->i", gap, m)) < self.overlap_m
        # Along the surface the limit is wider: samples of a large part are farther apart than ``overlap_m``.
        near &= np.einsum("ij,ij->i", gap, gap) < (2 * OVERLAP_REL * self.diameter_m) ** 2
        return near & (np.einsum("ij,ij->i", n, m) > 0.7)

    def overlap(self, T: Array, count: int = 1500) -> float:
        """Share of the first ``count`` samples that stay in place."""
        return float(np.mean(self.in_place(T, count)))

    def measure(self, T: Array) -> Motion:
        """The effect of T and of its inverse: a motion that hides a handle inside the body must not pass."""
        there, back = (self.distance(apply(M, self.points[:_MEASURED])) for M in (T, invert(T)))
        worst = np.maximum(np.percentile(there, (98, 99)), np.percentile(back, (98, 99)))
        mean = float(max(there.mean(), back.mean()))
        visibility = max(self._visibility(T, moved_m) for moved_m in (there, back))
        stays = [self.in_place(M, self._views.shape[1]) for M in (T, invert(T))]
        overlap = float(min(s.mean() for s in stays))
        view_overlap = float(np.percentile(self._views @ stays[0], 90))
        return Motion(T, mean, float(worst[0]), float(worst[1]), visibility, overlap, view_overlap)

    def _visibility(self, T: Array, moved_m: Array) -> float:
        """How clearly a depth camera sees samples displaced by ``moved_m`` [N]: the largest of three ratios to a limit.

        1. The 98th percentile, to the tolerance.
        2. The mean, to what is invisible to a camera and to 2 % of the part's width across the rotation axis.
        3. The displacement of the patch that moves most, beyond that mean.
        """
        mean = float(moved_m.mean())
        rotation = log_so3(T[:3, :3])
        lever = np.cross(self.points - self.centre, rotation / max(float(np.linalg.norm(rotation)), 1e-12))
        width = 2.0 * float(np.linalg.norm(lever, axis=1).max())
        patch = int(VISIBLE_M**2 / self._area_m2 * len(moved_m))  # number of samples
        return max(
            float(np.percentile(moved_m, 98)) / self.tolerance_m,
            mean / min(INVISIBLE_MEAN_M, STRICT_REL * width),
            (float(np.sort(moved_m)[-1 - patch]) - mean) / (VISIBLE_M - INVISIBLE_MEAN_M),
        )

    def displacement_m(self, T: Array, count: int = 600) -> Array:
        """95th percentile [N] of how far motions [N, 4, 4] move the first samples off the surface: faster than ``measure``."""
        return np.percentile(self.distance(apply(T, self.points[:count])), 95, axis=-1)

    def moments(self) -> tuple[Array, Array]:
        """The centre [3] of the mesh's surface and its second moments [3, 3] about it.

        By hand, because trimesh has them for volumes only, and an open mesh has none.
        """
        a, b, c = self._corners
        weight = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        weight /= weight.sum()
        centre = weight @ (a + b + c) / 3.0
        a, b, c = a - centre, b - centre, c - centre
        sums = sum((weight[:, None] * p).T @ p for p in (a, b, c, a + b + c))
        return centre, np.asarray(sums) / 12.0

    def refine(self, T: Array, scales_rel: Iterable[float], count: int, fine: bool) -> Array:
        """Register the surface with itself, starting at T: robust point-to-plane steps with these scales, in diameters."""
        for scale_rel in scales_rel:
            p, n, q, m = self.match(T, count, fine)
            residual = np.einsum("ij,ij->i", q - p, m)
            gap = np.einsum("ij,ij->i", q - p, q - p)
            scale = scale_rel * self.diameter_m
            weight = (np.einsum("ij,ij->i", n, m) > 0.3) / (1.0 + gap / scale**2) ** 2
            lever = (p - self.centre) / self.diameter_m
            rows = np.hstack([m, np.cross(lever, m)])
            system = (rows * weight[:, None]).T @ rows
            # The damping prevents drift along slippable directions.
            step = np.linalg.solve(system + 1e-4 * np.trace(system) / 6 * np.eye(6), rows.T @ (weight * residual))
            R = exp_so3(step[3:] / self.diameter_m)
            T = transform(R, self.centre + step[:3] - R @ self.centre) @ T
        return T
