"""Poses up to an object's symmetry: equal poses, the one nearest to another, and errors between them.

A symmetric object has a group of motions S (object frame) that map it onto itself: T and T @ S are one pose. The group is
``discrete`` times turns about a continuous axis; two axes or more mean a ball, whose turns are all rotations about its
centre. All functions take leading batch dimensions, which broadcast.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_node.arrays import Array
from pose_node.geometry.se3 import angle, exp_so3, transform

_TIE = 1e-9  # traces closer than this are equal: the first motion wins, so that rounding does not decide


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """A line in the object frame: unit ``direction`` [3] through ``origin_m`` [3]."""

    direction: Array
    origin_m: Array


@dataclass(frozen=True, slots=True, eq=False)
class Symmetry:
    """The motions that map the object onto itself: products of the discrete ones and turns about the axes.

    discrete: [D, 4, 4], the identity first. axes: continuous symmetry axes (none, or one; three mean a ball).
    """

    discrete: Array
    axes: tuple[Axis, ...] = ()


def turn(axis: Axis, angle_rad: Array) -> Array:
    """Turns about a line by ``angle_rad`` [...] -> [..., 4, 4]: points on the line stay where they are."""
    R = exp_so3(np.asarray(angle_rad, float)[..., None] * axis.direction)
    return transform(R, axis.origin_m - R @ axis.origin_m)


def is_ball(symmetry: Symmetry) -> bool:
    """Whether the group is all rotations about a point: two different continuous axes generate them."""
    return len(symmetry.axes) > 1


def ball_centre(symmetry: Symmetry) -> Array:
    """The point [3] nearest to all continuous axes: the centre of a ball."""
    across = [np.eye(3) - np.outer(a.direction, a.direction) for a in symmetry.axes]
    offset = sum(P @ a.origin_m for P, a in zip(across, symmetry.axes))
    return np.linalg.lstsq(sum(across), offset, rcond=None)[0]


def rotation_grid(count: int) -> Array:
    """``count`` rotations [count, 3, 3] that cover SO(3) evenly: the super-Fibonacci spiral (Alexa, CVPR 2022)."""
    s = np.arange(count) + 0.5
    r, q = np.sqrt(s / count), np.sqrt(1.0 - s / count)
    alpha, beta = 2.0 * np.pi * s / np.sqrt(2.0), 2.0 * np.pi * s / 1.533751168755204288118041
    x, y, z, w = r * np.sin(alpha), r * np.cos(alpha), q * np.sin(beta), q * np.cos(beta)
    return np.stack(
        [
            np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], -1),
            np.stack([2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)], -1),
            np.stack([2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], -1),
        ],
        -2,
    )


def symmetry_motions(symmetry: Symmetry, axis_steps: int = 36) -> Array:
    """The group as motions [K, 4, 4], the identity first; a continuous axis is sampled at ``axis_steps`` turns.

    A ball gives ``axis_steps ** 2`` rotations.
    """
    if is_ball(symmetry):
        R = rotation_grid(axis_steps**2)
        R = R[0].T @ R
        centre = ball_centre(symmetry)
        return transform(R, centre - R @ centre)
    if not symmetry.axes:
        return symmetry.discrete
    turns = turn(symmetry.axes[0], np.arange(axis_steps) * (2.0 * np.pi / axis_steps))
    return (symmetry.discrete[:, None] @ turns[None]).reshape(-1, 4, 4)


def symmetric_poses(T: Array, symmetry: Symmetry, axis_steps: int = 36) -> Array:
    """All poses equal to T [..., 4, 4] -> [..., K, 4, 4], T itself first; see ``symmetry_motions``."""
    return np.asarray(T)[..., None, :, :] @ symmetry_motions(symmetry, axis_steps)


def nearest_symmetric(T_ref: Array, T: Array, symmetry: Symmetry) -> Array:
    """The pose [..., 4, 4] equal to T [..., 4, 4] whose rotation is nearest to that of T_ref [..., 4, 4].

    Exact: every discrete motion is tried, and the turn about a continuous axis follows in closed form from
    trace(R_ref^T R Rot(axis, a)) = A + B cos a + C sin a.
    """
    T_ref, T = np.broadcast_arrays(np.asarray(T_ref, float), np.asarray(T, float))
    if is_ball(symmetry):
        centre = ball_centre(symmetry)
        R = T_ref[..., :3, :3]
        return transform(R, T[..., :3, 3] + (T[..., :3, :3] - R) @ centre)
    candidates = T[..., None, :, :] @ symmetry.discrete  # [..., D, 4, 4]
    Q = np.swapaxes(T_ref[..., None, :3, :3], -1, -2) @ candidates[..., :3, :3]
    trace = np.trace(Q, axis1=-2, axis2=-1)
    if not symmetry.axes:
        return _first_best(candidates, trace)
    axis = symmetry.axes[0]
    u = axis.direction
    along = np.einsum("i,...ij,j->...", u, Q, u)
    B = trace - along
    C = _skew_part(Q) @ u
    best = _first_best(candidates, along + np.hypot(B, C))
    # np.arctan2(0, 0) is 0: where all turns are equally near (R_ref turns the axis over), T is not turned
    return best @ turn(axis, _first_best(np.arctan2(C, B), along + np.hypot(B, C)))


def largest_trace(R_a: Array, R_b: Array, symmetry: Symmetry) -> Array:
    """trace(R_a^T R) [A, B] of each of R_a [A, 3, 3] with the nearest R equal to each of R_b [B, 3, 3].

    The closed form of ``nearest_symmetric`` for all pairs at once, as products of matrices.
    """
    if is_ball(symmetry):
        return np.full((len(R_a), len(R_b)), 3.0)
    candidates = R_b[:, None] @ symmetry.discrete[:, :3, :3]  # [B, D, 3, 3]

    def with_each(R: Array) -> Array:
        """sum_ij R_a[i, j] R[i, j] for all of R [B, D, 3, 3]: [A, B, D]."""
        return (R_a.reshape(-1, 9) @ R.reshape(-1, 9).T).reshape(len(R_a), *R.shape[:2])

    trace = with_each(candidates)
    if symmetry.axes:
        u = symmetry.axes[0].direction
        along = with_each(candidates @ np.outer(u, u))
        quarter = exp_so3(0.5 * np.pi * u)
        trace = along + np.hypot(trace - along, with_each(candidates @ quarter) - along)
    return trace.max(axis=-1)


def rotation_error(T_a: Array, T_b: Array, symmetry: Symmetry) -> Array:
    """Smallest angle [...] in radians between T_a and any pose equal to T_b [..., 4, 4]."""
    nearest = nearest_symmetric(T_a, T_b, symmetry)
    return angle(np.swapaxes(np.asarray(T_a)[..., :3, :3], -1, -2) @ nearest[..., :3, :3])


def translation_error(T_a: Array, T_b: Array, symmetry: Symmetry, point_m: Array | None = None) -> Array:
    """Distance [...] in metres between where T_a and the nearest pose equal to T_b [..., 4, 4] put ``point_m`` [3].

    The point is in the object frame; without one it is the origin.
    """
    nearest = nearest_symmetric(T_a, T_b, symmetry)
    point = np.zeros(3) if point_m is None else np.asarray(point_m, float)
    T_a = np.asarray(T_a)
    moved = (T_a[..., :3, :3] - nearest[..., :3, :3]) @ point + T_a[..., :3, 3] - nearest[..., :3, 3]
    return np.linalg.norm(moved, axis=-1)


def _skew_part(Q: Array) -> Array:
    """The vector c [..., 3] for which trace(Q [u]_x) is c . u."""
    return np.stack([Q[..., 1, 2] - Q[..., 2, 1], Q[..., 2, 0] - Q[..., 0, 2], Q[..., 0, 1] - Q[..., 1, 0]], -1)


def _first_best(values: Array, merit: Array) -> Array:
    """Along axis D, the first of ``values`` [..., D, *rest] whose ``merit`` [..., D] equals the best up to rounding."""
    batch = merit.ndim - 1
    index = np.argmax(merit >= merit.max(axis=-1, keepdims=True) - _TIE, axis=-1)
    index = index.reshape(*index.shape, *(1,) * (values.ndim - batch))
    return np.take_along_axis(values, index, axis=batch).squeeze(batch)
