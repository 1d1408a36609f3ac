"""Turns about the card's axes of confusion: the pose at the centre of what a view leaves open, and its covariance.

Where turns explain the view equally well (a mug whose handle is hidden) the best score is chance; the densest place among
them has the smallest expected error.
"""

from __future__ import annotations

import numpy as np

from pose_node.arrays import Array
from pose_node.geometry.symmetry import turn
from pose_node.measurement.view import View
from pose_node.objects.card import ObjectCard
from pose_node.pose.covariance import widen
from pose_node.pose.likelihood import Likelihood
from pose_node.types import Matches

RULED_OUT = 0.05  # a pose this many times as likely as the best is no alternative to it
_STEPS = 48  # of the profile over a full turn
_CONCENTRATION = 3.0  # of the kernel that smooths the profile: about 33 degrees wide
_DIP_STEPS = 2  # a dip of the profile no wider than twice this is noise of the score


def resolve_turns(
    T: Array,
    covariance: Array,
    card: ObjectCard,
    likelihood: Likelihood,
    view: View,
    matches: Matches | None,
) -> tuple[Array, Array]:
    """Pose T [4, 4] turned about each axis of confusion to the mode of the turns that the view allows, and its covariance [6, 6].

    covariance: [6, 6] of T. matches: of the segment, as for ``Likelihood.score``.
    """
    angles = np.linspace(-np.pi, np.pi, _STEPS, endpoint=False)
    step = 2.0 * np.pi / _STEPS
    zero = _STEPS // 2
    for axis in card.confusion_axes:
        turned = T @ turn(axis, angles)
        rank = likelihood.score(turned, view, samples=1024, points=512, refined=True, matches=matches).rank
        relative = np.exp(rank - rank.max())
        allowed = run_around(close_gaps(relative >= RULED_OUT * relative[zero], _DIP_STEPS), zero)
        if allowed.sum() <= 1:
            continue
        mode = _densest_angle(angles, relative)
        weight = np.where(allowed, relative, 0.0)
        off = np.angle(np.exp(1j * (angles - mode)))
        T = T @ turn(axis, np.array(mode))
        covariance = widen(covariance, T, axis, float(weight @ off**2 / weight.sum() + step**2 / 12.0))
    return T, covariance


def close_gaps(allowed: Array, steps: int) -> Array:
    """``allowed`` [N] around a circle, with gaps between true values closed that are narrower than twice ``steps``."""
    before = np.logical_or.reduce([np.roll(allowed, k) for k in range(1, steps + 1)])
    after = np.logical_or.reduce([np.roll(allowed, -k) for k in range(1, steps + 1)])
    return allowed | (before & after)


def run_around(allowed: Array, start: int) -> Array:
    """The run of true values around ``start`` in ``allowed`` [N] on a circle: [N], all false where ``start`` itself is."""
    rolled = np.roll(allowed, -start)
    ahead = np.logical_and.accumulate(rolled)
    back = np.logical_and.accumulate(np.roll(rolled[::-1], 1))
    return np.roll(ahead | np.roll(back[::-1], 1), start)


def _densest_angle(angles: Array, weight: Array) -> float:
    """Mode in radians of weighted angles [N] on the circle, smoothed by a von Mises kernel: mean shift from the best of them."""
    kernel = np.exp(_CONCENTRATION * (np.cos(angles[:, None] - angles) - 1.0))
    mode = float(angles[np.argmax(kernel @ weight)])
    for _ in range(100):
        pull = weight * np.exp(_CONCENTRATION * (np.cos(angles - mode) - 1.0))
        mode = float(np.arctan2(pull @ np.sin(angles), pull @ np.cos(angles)))
    return mode
