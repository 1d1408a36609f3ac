"""The values of a card, checked where they are read: CardError names what is wrong, and what was expected."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np

from pose_node.arrays import Array
from pose_node.errors import CardError
from pose_node.geometry.symmetry import Axis, Symmetry
from pose_node.geometry.symmetry_group import completed

NAME_PATTERN = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
DIAMETER_RANGE_M = (0.005, 5.0)


def check_name(name: str) -> str:
    """Returns ``name``; raises CardError with a suggestion where it is not lower-case words joined by underscores, as ROS topics
    and frames need."""
    if isinstance(name, str) and NAME_PATTERN.fullmatch(name):
        return name
    words = re.sub(r"[^a-z0-9]+", "_", str(name).lower()).strip("_")
    words = re.sub(r"^[0-9_]+", "", words) or "object"
    raise CardError(f"object name: found {name!r}, expected lower-case words joined by '_', for example {words!r}.")


def check_diameter(diameter_m: float, what: str) -> float:
    """Returns ``diameter_m``; raises CardError with the likely mistake of units where it is out of range. ``what``: its name."""
    low, high = DIAMETER_RANGE_M
    if low <= diameter_m <= high:
        return diameter_m
    cause = "probably millimetres taken for metres" if diameter_m > high else "probably metres divided by 1000 twice"
    raise CardError(f"{what}: found a diameter of {diameter_m:g} m, expected {low:g} to {high:g} m ({cause}).")


def parse_symmetry(discrete: Sequence[Any], axes: Sequence[Any], where: str) -> Symmetry:
    """The group that motions (without the identity) and axes generate, in metres; raises CardError, see ``completed``."""
    motions = parse_motions(discrete, f"{where}.discrete")
    return Symmetry(*completed(np.concatenate([np.eye(4)[None], motions]), parse_axes(axes, f"{where}.axes"), where))


def parse_motions(values: Sequence[Any], where: str) -> Array:
    """Rigid motions [D, 4, 4] in metres from nested lists, made exact; raises CardError for what is not one, mirrors included."""
    motions = np.zeros((len(values), 4, 4))
    for i, value in enumerate(values):
        try:
            T = np.array(value, dtype=float)
        except (TypeError, ValueError, OverflowError) as error:
            raise CardError(f"{where}[{i}]: found {value!r}, expected four rows of four numbers.") from error
        if T.shape != (4, 4) or not np.isfinite(T).all() or not np.allclose(T[3], (0, 0, 0, 1)):
            raise CardError(f"{where}[{i}]: found {value!r}, expected four rows of four numbers, the last 0 0 0 1.")
        R = T[:3, :3]
        if not np.allclose(R @ R.T, np.eye(3), atol=1e-4) or np.linalg.det(R) < 0:
            raise CardError(f"{where}[{i}]: found a matrix that is not a rotation, expected no scale and no mirror.")
        if np.abs(T[:3, 3]).max() > 2 * DIAMETER_RANGE_M[1]:
            raise CardError(f"{where}[{i}]: found a translation of {np.abs(T[:3, 3]).max():g} m, expected metres.")
        motions[i] = T
    if len(motions):
        U, _, Vt = np.linalg.svd(motions[:, :3, :3])  # the text's rounded numbers are not exactly rotations
        motions[:, :3, :3] = U @ Vt
    return motions


def parse_axes(values: Sequence[Any], where: str) -> tuple[Axis, ...]:
    """Axes from [{direction, origin_m}, ...] in metres, with exact unit directions; raises CardError."""
    axes = []
    for i, value in enumerate(values):
        check_keys(value, {"direction": list, "origin_m": list}, f"{where}[{i}]")
        direction = vector(value["direction"], f"{where}[{i}].direction")
        length = float(np.linalg.norm(direction))
        if not 0.99 <= length <= 1.01:
            raise CardError(f"{where}[{i}]: found a direction of length {length:g}, expected a unit vector.")
        origin_m = vector(value["origin_m"], f"{where}[{i}].origin_m")
        if np.abs(origin_m).max() > 2 * DIAMETER_RANGE_M[1]:
            raise CardError(f"{where}[{i}]: found an origin {np.abs(origin_m).max():g} m away, expected metres.")
        axes.append(Axis(direction / length, origin_m))
    return tuple(axes)


def check_keys(
    values: Any, known: Mapping[str, Any], where: str, optional: set[str] | frozenset[str] = frozenset()
) -> None:
    """Raises CardError where ``values`` has unknown keys, lacks one that is not optional, or has a value of another type than
    in ``known`` {key: type or types}."""
    if not isinstance(values, Mapping):
        raise CardError(f"{where}: found {values!r}, expected a mapping with {', '.join(known)}.")
    for key in values:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            meant = f" (did you mean {near[0]!r}?)" if near else ""
            raise CardError(f"{where}: unknown key {key!r}{meant}; expected {', '.join(known)}.")
    for key, kind in known.items():
        if key not in values:
            if key not in optional:
                raise CardError(f"{where}: the key {key!r} is missing.")
        elif not isinstance(values[key], kind) or isinstance(values[key], bool):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            raise CardError(f"{where}: {key} is {values[key]!r}, expected {' or '.join(k.__name__ for k in kinds)}.")


def number(value: float) -> float:
    """``value`` as a float, infinite where it is too large for one."""
    try:
        return float(value)
    except OverflowError:  # an integer of hundreds of digits
        return float("inf")


def vector(value: Any, where: str) -> Array:
    """``value`` as [3] finite numbers; raises CardError."""
    try:
        array = np.array(value, dtype=float)
    except (TypeError, ValueError, OverflowError) as error:
        raise CardError(f"{where}: found {value!r}, expected three numbers.") from error
    if array.shape != (3,) or not np.isfinite(array).all():
        raise CardError(f"{where}: found {value!r}, expected three finite numbers.")
    return array
