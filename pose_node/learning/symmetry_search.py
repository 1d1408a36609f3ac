"""The symmetry of a surface: a ball, equal steps about an axis (a gear), revolution about an axis, or a finite group.

Axes of revolution are slippable motions of the surface (Gelfand and Guibas, "Shape Segmentation Using Local Slippage
Analysis", SGP 2004), found robustly so that a handle does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_node.arrays import Array
from pose_node.geometry.se3 import exp_so3, log_so3
from pose_node.geometry.symmetry import Axis, Symmetry, turn
from pose_node.geometry.symmetry_group import generate, members
from pose_node.learning.self_overlap import Motion, SelfOverlap

MIN_STEP_RAD = np.radians(12.0)  # finer steps than this are not resolved by the grid of rotations, but by _equal_steps
_MAX_GROUP = 60  # motions of the icosahedron: the largest group that the grid's motions generate
_FINEST_STEP_RAD = np.radians(2.0)  # of the steps that are tried about an axis
_MAX_STEP_DISPLACEMENT_REL = 0.25  # of the displacement by other rotations about the axis
_ANGLES = np.radians([20.0, 45.0, 72.0, 90.0, 120.0, 144.0, 180.0, 225.0, 270.0, 330.0])


def axes_of_revolution(
    overlap: SelfOverlap, candidates: Sequence[Motion], min_overlap: float
) -> list[tuple[Axis, Motion]]:
    """Axes about which all, or at least ``min_overlap``, of the surface is round, each with its worst rotation, best first."""
    _, directions = np.linalg.eigh(np.cov((overlap.points - overlap.centre).T))
    rotations = [log_so3(c.T[:3, :3]) for c in candidates[:24]]
    starts = [*directions.T, *(w / np.linalg.norm(w) for w in rotations)]
    found: list[tuple[Axis, Motion]] = []
    for start in starts:
        axis = _slippable(overlap, start)
        if any(abs(axis.direction @ a.direction) > np.cos(np.radians(5.0)) for a, _ in found):
            continue
        quick = min(overlap.overlap(turn(axis, a), 400) for a in _ANGLES)
        if quick < min_overlap:
            continue
        rotated = [overlap.measure(turn(axis, a)) for a in _ANGLES]
        largest = {k: max(getattr(m, k) for m in rotated) for k in ("mean_m", "p98_m", "p99_m", "visibility")}
        smallest = {k: min(getattr(m, k) for m in rotated) for k in ("overlap", "view_overlap")}
        worst = Motion(T=np.eye(4), **largest, **smallest)
        found.append((axis, worst))
    return sorted(found, key=lambda entry: -entry[1].overlap)


def _slippable(overlap: SelfOverlap, direction: Array) -> Axis:
    """The axis near ``direction`` about which rotations slide most of the surface along itself.

    Minimises sum w (n . (d x p + v))^2 over unit d and v, with robust weights w that ignore a handle.
    """
    p = (overlap.points[:2048] - overlap.centre) / overlap.diameter_m
    n = overlap.normals[:2048]
    rows = np.hstack([np.cross(p, n), n])
    d, v = direction, np.zeros(3)
    for scale in (0.3, 0.3, 0.2, 0.2, 0.15, 0.1, 0.1, 0.1, 0.07, 0.07, 0.07, 0.07):
        residual = rows[:, :3] @ d + rows[:, 3:] @ v
        weight = 1.0 / (1.0 + (residual / scale) ** 2) ** 2
        M = (rows * weight[:, None]).T @ rows / weight.sum()
        slide = np.linalg.solve(M[3:, 3:] + 1e-6 * np.eye(3), M[3:, :3])
        _, vectors = np.linalg.eigh(M[:3, :3] - M[:3, 3:] @ slide)
        # Of the three eigenvectors take the one near d: the smallest often belongs to another axis.
        d_next = vectors[:, 0] if abs(vectors[:, 0] @ d) > 0.7 else vectors[:, np.argmax(np.abs(vectors.T @ d))]
        d = d_next * np.sign(d_next @ d)
        v = -slide @ d
        v = v - (v @ d) * d
    d = d if d[np.argmax(np.abs(d))] > 0 else -d
    origin = overlap.centre + overlap.diameter_m * np.cross(d, v * (1 if d @ direction >= 0 else -1))
    return Axis(d, _centred_on(overlap, d, origin))


def _centred_on(overlap: SelfOverlap, direction: Array, origin: Array) -> Array:
    """The point of the axis halfway between the ends of the mesh."""
    ends = overlap.vertices_m @ direction
    return origin + (0.5 * (ends.min() + ends.max()) - origin @ direction) * direction


def search_symmetry(
    overlap: SelfOverlap, candidates: Sequence[Motion], axes: Sequence[tuple[Axis, Motion]]
) -> tuple[Symmetry, tuple[Motion, ...]]:
    """The symmetry, and the effect of each of its discrete motions but the identity.

    candidates: motions found over all rotations; axes: those of ``axes_of_revolution``.
    """
    round_axes = [a for a, worst in axes if worst.visibility <= 1.0]
    ball = _ball(overlap)
    if ball is not None:
        return Symmetry(np.eye(4)[None], ball), ()
    steps = _equal_steps(overlap, [*_axis_of_inertia(overlap), *(a for a, _ in axes)])
    if steps is not None:
        return Symmetry(steps), tuple(overlap.measure(T) for T in steps[1:])
    if round_axes:
        flip = _flip(overlap, round_axes[0])
        discrete = np.eye(4)[None] if flip is None else np.stack([np.eye(4), flip.T])
        return Symmetry(discrete, (round_axes[0],)), () if flip is None else (flip,)
    strict = sorted((c for c in candidates if c.visibility <= 1.1), key=lambda c: c.p98_m)
    group = np.eye(4)[None]
    for motion in strict:
        if members(group, motion.T[None, :3, :3], MIN_STEP_RAD)[0] >= 0:
            continue
        larger = generate([*group[1:], motion.T], overlap.centre, MIN_STEP_RAD, _MAX_GROUP)
        if larger is not None and all(overlap.measure(T).visibility <= 1.0 for T in larger[1:]):
            group = larger
    return Symmetry(group), tuple(overlap.measure(T) for T in group[1:])


def _axis_of_inertia(overlap: SelfOverlap) -> list[Axis]:
    """The axis of a part with three or more equal steps: two of its second moments are equal, the axis is the third's."""
    centre, moments = overlap.moments()
    size, directions = np.linalg.eigh(moments)
    near, far = sorted(((size[1] - size[0], 2), (size[2] - size[1], 0)))
    direction = directions[:, near[1]]
    direction = direction * np.sign(direction[np.argmax(np.abs(direction))])
    return [Axis(direction, centre)] if near[0] < 0.1 * far[0] else []


def _equal_steps(overlap: SelfOverlap, axes: Sequence[Axis]) -> Array | None:
    """The exact group [D, 4, 4], identity first, of a part with many equal steps about an axis (a gear).

    It includes the half-turns that swap the part's ends, if there are any. None when no axis has steps finer than
    MIN_STEP_RAD. A step must leave the surface in place much better than other rotations about the axis; otherwise the
    part is round. The facets of a round part are no steps: no rotation moves them by more than the chord's height below
    the arc.
    """
    for axis in axes:
        half_steps = (np.arange(2 * np.pi / _FINEST_STEP_RAD) + 0.5) * _FINEST_STEP_RAD
        worst_m = float(overlap.displacement_m(turn(axis, half_steps)).max())
        limit_m = min(_MAX_STEP_DISPLACEMENT_REL * worst_m, overlap.tolerance_m)
        lever = np.linalg.norm(np.cross(overlap.points - axis.origin_m, axis.direction), axis=1).max()
        for fold in range(int(2 * np.pi / _FINEST_STEP_RAD), int(np.pi / MIN_STEP_RAD), -1):
            if worst_m < 2 * lever * (1 - np.cos(np.pi / fold)):
                continue
            angles = np.random.default_rng(fold).permutation(np.arange(1, fold // 2 + 1)) * (2 * np.pi / fold)
            if all(overlap.displacement_m(turn(axis, a)[None])[0] <= limit_m for a in angles):
                group = turn(axis, np.arange(fold) * (2 * np.pi / fold))
                if all(overlap.measure(T).visibility <= 1.0 for T in group[1 : fold // 2 + 1]):
                    return _with_flips(overlap, axis, group, limit_m)
    return None


def _with_flips(overlap: SelfOverlap, axis: Axis, group: Array, limit_m: float) -> Array:
    """The rotations ``group`` [N, 4, 4] about an axis, and the N half-turns across it if these are symmetries too."""
    origin = _centred_on(overlap, axis.direction, axis.origin_m)
    across = np.cross(axis.direction, np.eye(3)[np.argmin(np.abs(axis.direction))])
    across /= np.linalg.norm(across)
    step = np.pi / len(group)  # half-turns about lines this far apart differ by a rotation of the group

    def flips(angles: Array) -> Array:
        lines = exp_so3(angles[:, None] * axis.direction) @ across
        return np.stack([turn(Axis(line, origin), np.pi) for line in lines])

    angle_rad, reach = 0.0, step
    for _ in range(4):
        angles = angle_rad + np.linspace(-0.5, 0.5, 17) * reach
        angle_rad, reach = angles[np.argmin(overlap.displacement_m(flips(angles)))], reach / 8
    flip = flips(np.array([angle_rad]))
    if overlap.displacement_m(flip)[0] > limit_m or overlap.measure(flip[0]).visibility > 1.0:
        return group
    return np.concatenate([group, group @ flip])


def _ball(overlap: SelfOverlap) -> tuple[Axis, ...] | None:
    """Three axes through the centre if the surface is a sphere."""
    rows = np.hstack([2 * overlap.points, np.ones((len(overlap.points), 1))])
    solution = np.linalg.lstsq(rows, np.sum(overlap.points**2, axis=1), rcond=None)[0]
    centre = solution[:3]
    radius = np.linalg.norm(overlap.points - centre, axis=1)
    # A rotation may move any point to the place of any other: twice the deviation from the mean radius.
    if 2 * np.percentile(np.abs(radius - np.median(radius)), 98) > overlap.tolerance_m:
        return None
    axes = tuple(Axis(direction, centre) for direction in np.eye(3))
    return axes if all(overlap.measure(turn(a, t)).visibility <= 1.0 for a in axes for t in _ANGLES[::3]) else None


def _flip(overlap: SelfOverlap, axis: Axis) -> Motion | None:
    """The half-turn that swaps the ends of a round object, if there is one."""
    across = np.cross(axis.direction, np.eye(3)[np.argmin(np.abs(axis.direction))])
    across /= np.linalg.norm(across)
    for origin in (axis.origin_m, axis.origin_m + ((overlap.centre - axis.origin_m) @ axis.direction) * axis.direction):
        motion = overlap.measure(turn(Axis(across, origin), np.pi))
        if motion.visibility <= 1.0:
            return motion
    return None
