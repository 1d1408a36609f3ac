"""Checks of the arguments of ``estimate`` and ``step``, made once, so that the chain can trust them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.measurement.cloud import Cloud
from pose_node.objects.card import ObjectCard
from pose_node.types import Hypothesis, Masks

_RIGID_TOLERANCE = 1e-3  # error of the entries of R R^T, as in a text file with three decimals


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """Checked arguments of ``Pipeline.estimate``, limited to the objects that are looked for.

    cards:    {object name: card} of these objects; empty: nothing is requested.
    masks, boxes: {object name: [bool over the cloud's source shape, ...]}; both empty: the cloud is segmented.
    expected: hypotheses from elsewhere.
    """

    cloud: Cloud
    cards: Mapping[str, ObjectCard]
    masks: Masks
    boxes: Masks
    expected: Sequence[Hypothesis]


def checked_request(
    cloud: Cloud,
    masks: Any,
    boxes: Any,
    expected: Sequence[Hypothesis],
    objects: Collection[str] | None,
    cards: Mapping[str, ObjectCard],
) -> Request:
    """The arguments of ``Pipeline.estimate`` as a request; ``cards`` of all objects that are loaded.

    Nothing is requested where there are masks or boxes, but none of ``objects``. Raises InputError, see the checks below.
    """
    checked_names(objects or (), cards)
    masks = checked_masks(masks, cloud, cards)
    boxes = checked_masks(boxes, cloud, cards, "boxes")
    expected = checked_expected(expected, cloud, cards)
    wanted = {name: card for name, card in cards.items() if objects is None or name in objects}
    wanted_masks = {name: each for name, each in (masks or {}).items() if name in wanted}
    wanted_boxes = {name: each for name, each in (boxes or {}).items() if name in wanted}
    if (masks or boxes) and not wanted_masks and not wanted_boxes:
        wanted = {}
    expected = [hypothesis for hypothesis in expected if hypothesis.object_name in wanted]
    return Request(cloud, wanted, wanted_masks, wanted_boxes, expected)


def checked_masks(masks: Any, cloud: Cloud, known: Collection[str], what: str = "masks") -> Masks | None:
    """{object name: [bool of the cloud's source shape, ...]}; a single mask counts as a list of one, None stays None.

    what: the argument's name. Raises InputError for an unknown object (code unknown_object) and for a mask of another shape
    (mask_shape) or type (mask_type).
    """
    if masks is None:
        return None
    if not isinstance(masks, Mapping):
        raise InputError(f"{what}: found {type(masks).__name__}, expected {{object name: [mask, ...]}}.", "mask_type")
    checked_names(masks, known, what)
    return {name: _checked_each(each, cloud, f"{what} of {name}") for name, each in masks.items()}


def _checked_each(masks: Any, cloud: Cloud, what: str) -> list[Any]:
    if isinstance(masks, np.ndarray) and masks.ndim == len(cloud.shape):
        masks = [masks]
    if not isinstance(masks, (Sequence, np.ndarray)) or isinstance(masks, (str, bytes)):
        raise InputError(f"{what}: found {type(masks).__name__}, expected a list of masks.", "mask_type")
    out = []
    for i, given in enumerate(masks):
        try:
            mask = np.asarray(given)
        except ValueError:  # rows of several lengths
            raise InputError(f"{what}: found rows of several lengths in mask {i}, expected an array.") from None
        if mask.shape != cloud.shape:
            raise InputError(f"{what}: found shape {mask.shape} of mask {i}, expected {cloud.shape}.", "mask_shape")
        if mask.dtype != bool and not np.issubdtype(mask.dtype, np.integer):
            raise InputError(f"{what}: found {mask.dtype} in mask {i}, expected bool.", "mask_type")
        out.append(mask.astype(bool, copy=False))
    return out


def checked_names(names: Iterable[Any], known: Collection[str], what: str = "objects") -> None:
    """Raises InputError, code unknown_object, where one of ``names`` is not ``known``."""
    if isinstance(names, str):
        raise InputError(f"{what}: found the text {names!r}, expected a list of names.", "unknown_object")
    for name in names:
        if name not in known:
            raise InputError(f"{what}: found object {name!r}, expected {_one_of(known)}.", "unknown_object")


def checked_transform(T: Any, what: str) -> Array:
    """A rigid motion as float64 [4, 4], or InputError with code not_rigid."""
    try:
        T = np.asarray(T, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{what}: found no array of numbers, expected a rigid motion [4, 4].", "not_rigid") from None
    if T.shape != (4, 4):
        raise InputError(f"{what}: found shape {T.shape}, expected (4, 4).", "not_rigid")
    if not np.isfinite(T).all():
        raise InputError(f"{what}: found numbers that are not finite, expected a rigid motion in metres.", "not_rigid")
    R = T[:3, :3]
    off = np.abs(R @ R.T - np.eye(3)).max()
    if off > _RIGID_TOLERANCE or np.linalg.det(R) < 0.0:
        how = (
            f"axes of lengths {np.round(np.linalg.norm(R, axis=0), 3).tolist()}"
            if off > _RIGID_TOLERANCE
            else "a mirror image"
        )
        raise InputError(f"{what}: found {how}, expected a rotation in its first three rows and columns.", "not_rigid")
    if not np.array_equal(T[3], (0.0, 0.0, 0.0, 1.0)):
        raise InputError(f"{what}: found last row {T[3].tolist()}, expected [0, 0, 0, 1].", "not_rigid")
    return T


def checked_stamp(stamp_ns: Any) -> int:
    """A stamp as an int, or InputError."""
    if isinstance(stamp_ns, bool) or not isinstance(stamp_ns, (int, np.integer)):
        raise InputError(f"stamp: found {stamp_ns!r}, expected a whole number of nanoseconds.", "bad_stamp")
    return int(stamp_ns)


def checked_expected(hypotheses: Sequence[Hypothesis], cloud: Cloud, known: Collection[str]) -> list[Hypothesis]:
    """Hypotheses of known objects, with rigid poses and segments of this cloud, or InputError."""
    for i, hypothesis in enumerate(hypotheses):
        checked_names([hypothesis.object_name], known, f"expected {i}")
        checked_transform(hypothesis.T_camera_object, f"expected {i}: T_camera_object")
        rows = np.asarray(hypothesis.segment.indices)
        if len(rows) == 0 or not np.issubdtype(rows.dtype, np.integer) or rows.min() < 0 or rows.max() >= len(cloud):
            raise InputError(f"expected {i}: found a segment that is not of this cloud, expected rows of its points.")
    return list(hypotheses)


def _one_of(known: Collection[str]) -> str:
    return f"one of {', '.join(sorted(known))}" if known else "none"
