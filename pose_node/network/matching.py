"""Poses from the per-point predictions: each point's frame, offset to the object's centre, and place on the object."""

from __future__ import annotations

import numpy as np

from pose_node.arrays import Array
from pose_node.geometry.se3 import project_so3, transform
from pose_node.geometry.symmetry import Symmetry, largest_trace, nearest_symmetric
from pose_node.network.rotation_density import SAME_RAD, well_apart

MAX_POSES = 10  # from one head
_FIT_ITERATIONS = 4
_AGREE_REL = 0.08  # scale of the distance at which a correspondence agrees with a pose, in diameters


def frames_to_rotations(frames: Array) -> Array:
    """The rotations [M, 3, 3] nearest to predicted x and y axes [M, 2, 3] (their cross product stands for z)."""
    x, y = np.swapaxes(frames, 0, 1)
    return project_so3(np.stack([x, y, np.cross(x, y)], axis=-1))


def weighted_centre(votes: Array, weight: Array) -> Array:
    """Robust mean [3] of votes [M, 3] with weights [M]: a smoothed geometric median by Weiszfeld's iteration (Weiszfeld 1937),
    continuous in its input."""
    weight = weight + 1e-9
    centre = np.average(votes, axis=0, weights=weight)
    for _ in range(8):
        reweighted = weight / np.sqrt(np.sum((votes - centre) ** 2, axis=1) + 0.02**2)
        centre = np.average(votes, axis=0, weights=reweighted)
    return centre


def consensus(points: Array, coordinates: Array, R: Array, weight: Array) -> list[tuple[Array, Array, float]]:
    """Poses (R, t, support) on which most correspondences agree, best first.

    points: [M, 3] measured; coordinates: [M, 3] predicted on the object; R: [M, 3, 3] predicted frames; weight: [M].
    One correspondence with its frame is a full pose, so each proposes one and all vote, with a smooth kernel, so that no vote
    switches abruptly. The best that differ are fitted to the correspondences that agree with them.
    """
    t = points - (R @ coordinates[..., None])[..., 0]
    order = np.argsort(-_support(R, t, points, coordinates, weight), kind="stable")
    starts = order[well_apart(R[order], SAME_RAD, MAX_POSES)]
    R, t = R[starts], t[starts]
    for _ in range(_FIT_ITERATIONS):
        agreement = np.exp(-_miss2(R, t, points, coordinates) / _AGREE_REL**2)
        R, t = _fit(points, coordinates, weight * agreement)
    R_all, t_all = _fit(points, coordinates, weight[None])
    R, t = np.concatenate([R_all, R]), np.concatenate([t_all, t])
    support = _support(R, t, points, coordinates, weight)
    return [(R[i], t[i], float(support[i])) for i in np.argsort(-support, kind="stable")]


def _support(R: Array, t: Array, points: Array, coordinates: Array, weight: Array) -> Array:
    """Weighted share [S] of the correspondences that agree with poses R [S, 3, 3], t [S, 3]."""
    return np.exp(-_miss2(R, t, points, coordinates) / _AGREE_REL**2) @ weight


def _miss2(R: Array, t: Array, points: Array, coordinates: Array) -> Array:
    """Squared distances [S, M] of the correspondences under poses R [S, 3, 3], t [S, 3]."""
    miss = coordinates @ np.swapaxes(R, -1, -2) + t[:, None] - points
    return np.einsum("smi,smi->sm", miss, miss)


def _fit(points: Array, coordinates: Array, weight: Array) -> tuple[Array, Array]:
    """Weighted least-squares poses (Kabsch 1976), one for each row of ``weight`` [S, M]: R [S, 3, 3], t [S, 3]."""
    w = (weight + 1e-12) / (weight + 1e-12).sum(axis=1, keepdims=True)
    mean_point, mean_coordinate = w @ points, w @ coordinates
    R = project_so3(
        np.swapaxes(w[..., None] * (points - mean_point[:, None]), -1, -2) @ (coordinates - mean_coordinate[:, None])
    )
    return R, mean_point - (R @ mean_coordinate[..., None])[..., 0]


def densest(R: Array, weight: Array, symmetry: Symmetry, count: int) -> list[tuple[Array, float]]:
    """At most ``count`` modes (R [3, 3], share) of rotations [M, 3, 3] with weights [M], up to symmetry.

    Greedy: each mode is the mean of the rotations around the densest one, whose weight is then removed.
    """
    total = max(weight.sum(), 1e-12)
    T = transform(R, np.zeros(3))
    found: list[tuple[Array, float]] = []
    left = weight.copy()
    # A Gaussian of the chordal distance, whose square is 6 - 2 trace = 8 sin^2(angle / 2).
    kernel = np.exp((largest_trace(R, R, symmetry) - 3.0) / SAME_RAD**2)
    for _ in range(count):
        gathered = kernel @ left
        best = int(np.argmax(gathered))
        if gathered[best] < 0.02 * total:
            break
        near = nearest_symmetric(T[best], T, symmetry)[:, :3, :3]
        mean = project_so3(np.einsum("m,mij->ij", kernel[best] * left + 1e-12, near))
        found.append((mean, float(gathered[best] / total)))
        left = left * (1.0 - kernel[best])
    return found
