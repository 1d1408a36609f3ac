"""Poses from what every point says of itself: its frame, its offset to the centre, its place on the object."""

from __future__ import annotations

import numpy as np

from pose_node.arrays import Array
from pose_node.geometry.se3 import project_so3, transform
from pose_node.geometry.symmetry import Symmetry, largest_trace, nearest_symmetric
from pose_node.network.rotation_density import SAME_RAD, well_apart

FITS = 10  # poses that are kept of one kind
_POLISHES = 4
_AGREE_REL = 0.08  # a correspondence agrees with a frame within this share of the diameter


def frames_to_rotations(frames: Array) -> Array:
    """The rotations [M, 3, 3] nearest to predicted x and y axes [M, 2, 3] (their cross product stands for z)."""
    x, y = np.swapaxes(frames, 0, 1)
    return project_so3(np.stack([x, y, np.cross(x, y)], axis=-1))


def weighted_centre(votes: Array, weight: Array) -> Array:
    """Robust mean of votes [M, 3]: iteratively reweighted (Weiszfeld), continuous in its input."""
    weight = weight + 1e-9
    centre = np.average(votes, axis=0, weights=weight)
    for _ in range(8):
        pull = weight / np.sqrt(np.sum((votes - centre) ** 2, axis=1) + 0.02**2)
        centre = np.average(votes, axis=0, weights=pull)
    return centre


def consensus(points: Array, coordinates: Array, R: Array, weight: Array) -> list[tuple[Array, Array, float]]:
    """Poses (R, t, support) on which most correspondences agree: points [M, 3] seen, coordinates [M, 3] on the object.

    One correspondence with its frame R [M, 3, 3] is a full pose, so each proposes one and all vote (softly, so that a
    vote at the border cannot flip); the best, apart from one another, are fitted to their supporters.
    """
    t = points - (R @ coordinates[..., None])[..., 0]
    order = np.argsort(-_support(R, t, points, coordinates, weight), kind="stable")
    seeds = order[well_apart(R[order], SAME_RAD, FITS)]
    R, t = R[seeds], t[seeds]
    for _ in range(_POLISHES):
        agreement = np.exp(-_miss2(R, t, points, coordinates) / _AGREE_REL**2)
        R, t = _fit(points, coordinates, weight * agreement)
    R_all, t_all = _fit(points, coordinates, weight[None])
    R, t = np.concatenate([R_all, R]), np.concatenate([t_all, t])
    support = _support(R, t, points, coordinates, weight)
    return [(R[i], t[i], float(support[i])) for i in np.argsort(-support, kind="stable")]


def _support(R: Array, t: Array, points: Array, coordinates: Array, weight: Array) -> Array:
    return np.exp(-_miss2(R, t, points, coordinates) / _AGREE_REL**2) @ weight


def _miss2(R: Array, t: Array, points: Array, coordinates: Array) -> Array:
    """Squared distances [S, M] of the correspondences under poses R [S, 3, 3], t [S, 3]."""
    miss = coordinates @ np.swapaxes(R, -1, -2) + t[:, None] - points
    return np.einsum("smi,smi->sm", miss, miss)


def _fit(points: Array, coordinates: Array, weight: Array) -> tuple[Array, Array]:
    """Weighted Kabsch fits (Kabsch 1976), one for each row of ``weight`` [S, M]: R [S, 3, 3], t [S, 3]."""
    w = (weight + 1e-12) / (weight + 1e-12).sum(axis=1, keepdims=True)
    seen, known = w @ points, w @ coordinates
    R = project_so3(np.swapaxes(w[..., None] * (points - seen[:, None]), -1, -2) @ (coordinates - known[:, None]))
    return R, seen - (R @ known[..., None])[..., 0]


def densest(R: Array, weight: Array, symmetry: Symmetry, count: int) -> list[tuple[Array, float]]:
    """The densest rotations among votes [M, 3, 3], up to symmetry, each the mean of the votes that it gathers."""
    total = max(weight.sum(), 1e-12)
    T = transform(R, np.zeros(3))
    found: list[tuple[Array, float]] = []
    left = weight.copy()
    # Likeness in [0, 1]: 6 - 2 trace is the squared chordal distance, 8 sin^2(angle / 2).
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
