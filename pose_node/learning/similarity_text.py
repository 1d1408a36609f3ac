"""Symmetries and confusions as text, for the terminal, the folder's README and its picture."""

from __future__ import annotations

import numpy as np

from pose_node.arrays import Array
from pose_node.geometry.se3 import log_so3
from pose_node.geometry.symmetry import Symmetry
from pose_node.learning.similarity import Similarity

_MAX_LISTED = 12  # motions; of larger groups the axes are listed


def motion_text(T: Array) -> str:
    """A motion by its rotation: "180 deg about (0.00, 0.00, 1.00)"."""
    w = log_so3(T[:3, :3])
    degrees = float(np.degrees(np.linalg.norm(w)))
    direction = w / max(float(np.linalg.norm(w)), 1e-12)
    if degrees > 179.0 and direction[np.argmax(np.abs(direction))] < 0:
        direction = -direction  # both describe the same half-turn
    return f"{degrees:.0f} deg about {direction_text(direction)}"


def symmetry_texts(similarity: Similarity) -> list[str]:
    """The symmetry: each motion, or for large groups each axis with its order."""
    symmetry = similarity.symmetry
    if len(symmetry.axes) > 1:
        return ["ball: any rotation about its centre"]
    texts = [f"any rotation about {direction_text(a.direction)}" for a in symmetry.axes]
    if len(symmetry.discrete) <= _MAX_LISTED:
        return texts + [motion_text(T) for T in symmetry.discrete[1:]]
    lines = fold_axes(symmetry)
    for order in dict.fromkeys(order for order, _, _ in lines):
        same = [direction_text(direction) for n, _, direction in lines if n == order]
        more = f" and {len(same) - 1} more" if len(same) > 1 else ""
        texts.append(f"{order}-fold about {same[0]}{more}")
    return [*texts, f"{len(symmetry.discrete)} motions including the identity"]


def confusion_texts(similarity: Similarity) -> list[str]:
    """Each confusion, with the share of the surface that it leaves in place."""
    texts = [f"any rotation about {direction_text(a.direction)}" for a in similarity.confusion_axes]
    return texts + [f"{motion_text(m.T)} ({100 * m.overlap:.0f} % of the surface)" for m in similarity.confusions]


def fold_axes(symmetry: Symmetry) -> list[tuple[int, Array, Array]]:
    """The rotation axes of the discrete symmetries: (order, a point on the axis [3], direction [3]), highest order first."""
    found: list[tuple[int, Array, Array]] = []
    for T in symmetry.discrete[1:]:
        w = log_so3(T[:3, :3])
        angle_rad = float(np.linalg.norm(w))
        d = w / angle_rad
        order = round(2 * np.pi / angle_rad)
        # The axes of a group of n motions are at least pi / n apart.
        near = np.cos(0.5 * np.pi / max(2, len(symmetry.discrete)))
        for i, (other_order, point, other) in enumerate(found):
            if abs(other @ d) > near:
                found[i] = (max(other_order, order), point, other)
                break
        else:
            point = np.linalg.lstsq(np.eye(3) - T[:3, :3], T[:3, 3], rcond=None)[0]
            found.append((order, point, d))
    return sorted(found, key=lambda line: -line[0])


def direction_text(direction: Array) -> str:
    """A direction with two digits and without negative zeros."""
    return f"({', '.join(f'{x:.2f}' for x in np.round(direction, 2) + 0.0)})"
