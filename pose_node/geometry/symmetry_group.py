"""Declared symmetries completed to a group, or refused with a reason.

Equality up to symmetry is defined only for a group: with a quarter turn alone, A would equal B, but B would not equal A.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_node.arrays import Array
from pose_node.errors import CardError
from pose_node.geometry.se3 import angle, apply, invert, mean_so3, transform
from pose_node.geometry.symmetry import Axis

MAX_MOTIONS = 400  # a gear of 200 teeth whose ends can be swapped
_SAME_RAD = np.radians(0.4)  # less than half of that gear's step, more than the rounding of numbers in a text file
_SAME_M = 1e-3
_EXACT = 1e-6  # groups as exact as this are not changed


def completed(discrete: Array, axes: Sequence[Axis], where: str) -> tuple[Array, tuple[Axis, ...]]:
    """The discrete motions [D, 4, 4] (identity first) completed to a group with the turns about the axes; the axes without
    duplicates.

    A group is returned unchanged. ``where`` names the input in errors. Raises CardError for motions that generate more than
    ``MAX_MOTIONS`` or have no common fixed point, and for axes that a motion or another axis does not leave in place.
    """
    axes = _distinct(axes, where)
    if len(axes) > 1:
        centre = _crossing(axes, where)
        for i, T in enumerate(discrete):
            _check_fixed(T, centre, f"{where}: discrete motion {i}", "the centre of all turns")
        return discrete, axes
    if axes:
        _check_axis(discrete, axes[0], where)
        return discrete, axes
    return (discrete if _is_group(discrete) else _generated(discrete, where)), ()


def members(group: Array, R: Array, within_rad: float) -> Array:
    """Index [N] of the member of ``group`` [D, 4, 4] whose rotation is R [N, 3, 3] within ``within_rad``; -1 for none."""
    traces = R.reshape(-1, 9) @ group[:, :3, :3].reshape(-1, 9).T
    nearest = traces.argmax(axis=1)
    apart = angle(np.swapaxes(group[nearest, :3, :3], -1, -2) @ R)
    return np.where(apart < within_rad, nearest, -1)


def generate(generators: Sequence[Array], centre: Array, within_rad: float, limit: int) -> Array | None:
    """The exact finite group [D, 4, 4], identity first, that approximate generators [4, 4] generate.

    None where that has more than ``limit`` members or is not a group. Its fixed point is the mean of the images of ``centre``
    [3]. within_rad: rotations closer than this are one.
    """
    group = [np.eye(4)]
    for T in generators:
        if members(np.stack(group), T[None, :3, :3], within_rad)[0] < 0:
            group.append(T)
    grown = True
    while grown:
        grown = False
        for a in list(group):
            for b in list(group):
                if members(np.stack(group), (a @ b)[None, :3, :3], within_rad)[0] < 0:
                    if len(group) == limit:
                        return None
                    group.append(a @ b)
                    grown = True
    return _exact(np.stack(group), centre, within_rad)


def _exact(approximate: Array, centre: Array, within_rad: float) -> Array | None:
    """The exact group [D, 4, 4] with the multiplication table of an approximate one; None where the table is not a group's."""
    R = approximate[:, :3, :3]
    table = members(approximate, (R[:, None] @ R[None]).reshape(-1, 3, 3), within_rad).reshape(len(R), len(R))
    if any(len(set(row)) != len(row) or -1 in row for row in table.tolist()):
        return None
    for _ in range(50):  # g_i is the mean of g_ij g_j^-1 over j; at the fixed point the table is exact
        R = np.stack([mean_so3(R[row] @ np.swapaxes(R, -1, -2)) for row in table])
    # a finite group has a fixed point: the mean of the images of any point
    centre = apply(approximate, centre[None]).mean(axis=0)[0]
    exact = transform(R, centre - R @ centre)
    exact[0] = np.eye(4)
    return exact


def _generated(discrete: Array, where: str) -> Array:
    """The exact group that motions [D, 4, 4] generate; raises CardError, see ``completed``."""
    for i, T in enumerate(discrete[1:]):
        if angle(T[:3, :3]) < _SAME_RAD:
            raise CardError(
                f"{where}: discrete[{i}] turns by less than 0.4 deg, expected a symmetry, which turns by more."
            )
    group = [np.eye(4)]
    queue = list(discrete[1:])
    while queue:
        T = queue.pop(0)
        if members(np.stack(group), T[None, :3, :3], _SAME_RAD)[0] >= 0:
            continue
        if len(group) == MAX_MOTIONS:
            raise CardError(
                f"{where}: its motions have more than {MAX_MOTIONS} products, expected a finite group; give a turn by a whole "
                "fraction of 360 deg, or an axis for a round object."
            )
        group.append(T)
        queue += [T @ g for g in discrete[1:]]
    exact = _exact(np.stack(group), np.zeros(3), _SAME_RAD)
    if exact is None:
        raise CardError(f"{where}: its motions and their products do not form a group, expected more exact numbers.")
    rows = members(exact, discrete[:, :3, :3], _SAME_RAD)
    moved = np.linalg.norm(discrete[:, :3, 3] - exact[rows, :3, 3], axis=-1)
    if moved.max() > _SAME_M + 2 * _SAME_RAD * np.linalg.norm(discrete[:, :3, 3], axis=-1).max():
        raise CardError(
            f"{where}: repeating its motions shifts the object by {1000 * moved.max():.3g} mm, expected turns about one point."
        )
    return exact


def _is_group(discrete: Array) -> bool:
    """Whether motions [D, 4, 4] are a group already, exact to ``_EXACT``."""
    products = (discrete[:, None] @ discrete[None]).reshape(-1, 4, 4)
    rows = members(discrete, products[:, :3, :3], _SAME_RAD)
    distinct = len(set(members(discrete, discrete[:, :3, :3], _SAME_RAD).tolist())) == len(discrete)
    return bool(distinct and (rows >= 0).all() and np.abs(products - discrete[rows]).max() < _EXACT)


def _distinct(axes: Sequence[Axis], where: str) -> tuple[Axis, ...]:
    """The axes without duplicates; raises CardError for parallel axes that are apart."""
    kept: list[Axis] = []
    for axis in axes:
        same = [k for k in kept if abs(k.direction @ axis.direction) > np.cos(_SAME_RAD)]
        apart = [_off_line(axis.origin_m, k) for k in same]
        if any(distance > _SAME_M for distance in apart):
            raise CardError(
                f"{where}: two parallel axes are {1000 * max(apart):.3g} mm apart, expected one: turns about both shift the object."
            )
        if not same:
            kept.append(axis)
    return tuple(kept)


def _crossing(axes: Sequence[Axis], where: str) -> Array:
    """The point [3] where all axes meet; raises CardError where there is none."""
    across = [np.eye(3) - np.outer(a.direction, a.direction) for a in axes]
    offset = np.sum([P @ a.origin_m for P, a in zip(across, axes)], axis=0)
    centre = np.linalg.lstsq(np.sum(across, axis=0), offset, rcond=None)[0]
    if (worst := max(_off_line(centre, a) for a in axes)) > _SAME_M:
        raise CardError(
            f"{where}: the axes pass each other at {2000 * worst:.3g} mm, expected axes through one point (a ball)."
        )
    return np.asarray(centre)


def _check_axis(discrete: Array, axis: Axis, where: str) -> None:
    """Raises CardError for a motion that does not map the axis onto itself, or that shifts along it."""
    swapping = []
    for i, T in enumerate(discrete):
        which = f"{where}: discrete motion {i}"
        along = float((T[:3, :3] @ axis.direction) @ axis.direction)
        if abs(along) < np.cos(_SAME_RAD):
            raise CardError(
                f"{which} turns the axis to another direction, expected it to keep the axis, or three axes for a ball."
            )
        if _off_line(apply(T, axis.origin_m[None])[0], axis) > _SAME_M:
            raise CardError(f"{which} moves the axis sideways, expected it to keep the axis.")
        if along < 0:
            swapping.append(T)
        else:
            _check_fixed(T, axis.origin_m, which, "the axis")
    for T in swapping[1:]:
        _check_fixed(invert(swapping[0]) @ T, axis.origin_m, f"{where}: two motions that swap the ends", "the axis")


def _check_fixed(T: Array, point_m: Array, which: str, what: str) -> None:
    """Raises CardError where T [4, 4] moves a point [3]."""
    moved = float(np.linalg.norm(apply(T, point_m[None])[0] - point_m))
    if moved > _SAME_M:
        raise CardError(f"{which}: {what} is shifted by {1000 * moved:.3g} mm, expected it to stay in place.")


def _off_line(point_m: Array, axis: Axis) -> float:
    """Distance in metres of a point [3] from an axis."""
    return float(np.linalg.norm(np.cross(point_m - axis.origin_m, axis.direction)))
