"""Chiral parts with mirrored twins, and a measure of how much a part differs from its mirror image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from pose_node.arrays import Array
from pose_node.learning.mesh import diameter_of
from pose_node.learning.mesh_building import Shape, finish, polycubes, sweep


def chiral_parts(diameter_m: float = 0.12) -> list[tuple[Shape, Shape]]:
    """Parts (bounding-box diagonal ``diameter_m``), each with its mirror image, which no rotation maps onto the part."""
    return [
        (part, mirrored(part))
        for part in (_hook(diameter_m), _bracket(diameter_m), _spiral_stairs(diameter_m), _spring(diameter_m))
    ]


def mirrored(shape: Shape) -> Shape:
    """The mirror image across x = 0, with faces wound outward."""
    return Shape(f"{shape.name}_mirrored", shape.vertices_m * (-1, 1, 1), np.ascontiguousarray(shape.faces[:, ::-1]))


def _hook(diameter_m: float) -> Shape:
    """A bar bent three times, each time out of the plane of the bends before."""
    corners = np.array([[0, 0, 0], [1.2, 0, 0], [1.2, 0.9, 0], [1.2, 0.9, 1.0], [0.6, 0.9, 1.0]])
    return finish("chiral_hook", sweep(_rounded(corners, 0.25), 0.14), diameter_m)


def _bracket(diameter_m: float) -> Shape:
    """An L-shaped sheet with a peg beside the middle of each leg."""
    cells = [(i, j, 0) for i in range(4) for j in range(6)] + [(0, j, k) for j in range(6) for k in range(1, 5)]
    cells += [(2, 4, 1), (3, 4, 1), (2, 5, 1), (3, 5, 1), (2, 4, 2), (3, 4, 2), (2, 5, 2), (3, 5, 2)]
    cells += [(-1, 0, 4), (-2, 0, 4), (-1, 1, 4), (-2, 1, 4), (-1, 0, 3), (-2, 0, 3), (-1, 1, 3), (-2, 1, 3)]
    return finish("chiral_bracket", polycubes(cells, (1.0, 1.0, 1.0)), diameter_m)


def _spiral_stairs(diameter_m: float) -> Shape:
    """Rising blocks, each rotated by a quarter turn from the one before."""
    cells = [(x, y, 0) for x in (0, 1) for y in (0, 1)]
    for level, corner in enumerate([(2, 0), (2, 2), (0, 2), (-2, 2)]):
        cells += [(corner[0] + i, corner[1] + j, k) for i in (0, 1) for j in (0, 1) for k in range(level, level + 2)]
    return finish("chiral_stairs", polycubes(cells, (1.0, 1.0, 1.1)), diameter_m)


def _spring(diameter_m: float) -> Shape:
    """A spring of 1.75 turns with a steep pitch."""
    at = np.linspace(0, 3.5 * np.pi, 90)
    path = np.stack([np.cos(at), np.sin(at), 0.26 * at], axis=1)
    return finish("chiral_spring", sweep(path, 0.2), diameter_m)


def _rounded(corners: Array, radius: float, steps: int = 7) -> Array:
    """A polyline [P, 3] with its inner corners replaced by quadratic curves."""
    path = [corners[:1]]
    for before, corner, after in zip(corners, corners[1:], corners[2:]):
        a = corner + radius * (before - corner) / np.linalg.norm(before - corner)
        b = corner + radius * (after - corner) / np.linalg.norm(after - corner)
        t = np.linspace(0, 1, steps)[:, None]
        path.append((1 - t) ** 2 * a + 2 * t * (1 - t) * corner + t**2 * b)
    return np.concatenate([*path, corners[-1:]])


def sample_surface(vertices_m: Array, faces: NDArray, count: int, seed: int = 0) -> Array:
    """Points [count, 3] spread evenly by area.

    Systematic sampling instead of trimesh's independent draws: its even spacing keeps ``mirror_gap`` small and repeatable.
    """
    rng = np.random.default_rng(seed)
    a, b, c = (vertices_m[faces[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    at = (np.arange(count) + rng.random()) / count * area.sum()
    pick = np.minimum(np.searchsorted(np.cumsum(area), at), len(area) - 1)
    u, v = rng.random((2, count, 1))
    flip = u + v > 1
    u, v = np.where(flip, 1 - u, u), np.where(flip, 1 - v, v)
    return a[pick] + u * (b - a)[pick] + v * (c - a)[pick]


def mirror_gap(shape: Shape, starts: int = 150, points: int = 400, seed: int = 0) -> float:
    """95th percentile of the surface distance between a part and its mirror image at the best rigid fit, in diameters.

    ICP from ``starts`` random rotations, then a random descent on the percentile itself from the best four. ``points``:
    samples of the mirror image.
    """
    rng = np.random.default_rng(seed)
    dense = sample_surface(shape.vertices_m, shape.faces, 12000, seed)
    true = cKDTree(dense)
    twin = sample_surface(shape.vertices_m, shape.faces, points, seed + 1) * (-1, 1, 1)
    diameter = diameter_of(shape.vertices_m)

    # In both directions, because a twin may lie wholly inside one region of the part. From the part to the sparse samples
    # of the twin the distance includes their spacing, which is subtracted.
    checked = dense[:: len(dense) // points]
    spacing = float(np.median(cKDTree(twin).query(twin, k=2)[0][:, 1]))

    def gap(R: Array, t: Array) -> float:
        moved = twin @ R.T + t
        return max(
            np.quantile(true.query(moved)[0], 0.95), np.quantile(cKDTree(moved).query(checked)[0], 0.95) - spacing
        )

    fits = []
    for R in Rotation.random(starts, random_state=seed).as_matrix():
        t = dense.mean(axis=0) - R @ twin.mean(axis=0)
        for _ in range(12):
            moved = twin @ R.T + t
            near = dense[true.query(moved)[1]]
            a, b = twin.mean(axis=0), near.mean(axis=0)
            U, _, Vt = np.linalg.svd((near - b).T @ (twin - a))
            R = U @ np.diag([1, 1, np.sign(np.linalg.det(U @ Vt))]) @ Vt
            t = b - R @ a
        fits.append((gap(R, t), R, t))
    fits.sort(key=lambda f: f[0])
    best = fits[0][0]
    for score, R, t in fits[:4]:
        step = 0.1
        while step > 0.004:
            rotation = Rotation.from_rotvec(rng.normal(size=3) * step).as_matrix()
            trial = rotation @ R, t + rng.normal(size=3) * step * diameter * 0.3
            new = gap(*trial)
            if new < score:
                score, (R, t) = new, trial
            else:
                step *= 0.95
        best = min(best, score)
    return best / diameter
