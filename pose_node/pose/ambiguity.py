"""Turns about the card's axes of confusion: the pose at the centre of what a view leaves open, and its covariance.

Where turns explain the view equally well (a mug whose handle is hidden) the best score is chance; the densest place among
them has the smallest expected error.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pose_node.arrays import Array
from pose_node.geometry.symmetry import turn
from pose_node.measurement.view import View
from pose_node.objects.card import ObjectCard
from pose_node.pose.covariance import widen
from pose_node.pose.likelihood import Likelihood

_STEPS = 48  # of the profile over a full turn
_CONCENTRATION = 3.0  # of the kernel that smooths the profile: about 33 degrees wide
_DIP_STEPS = 2  # a dip of the profile no wider than twice this is noise of the score


def resolve_turns(
    T: Array,
    covariance: Array,
    card: ObjectCard,
    likelihood: Likelihood,
    view: View,
    margin: float,
    prior: Callable[[Array], Array],
) -> tuple[Array, Array]:
    """Pose T [4, 4] turned about each axis of confusion to the mode of the turns that the view allows, and its covariance [6, 6].

    covariance: [6, 6] of T. margin: a turn is allowed when its score is less than this below that of T. prior: adds to the
    scores of poses [B, 4, 4] what else is known of them, [B].
    """
    angles = np.linspace(-np.pi, np.pi, _STEPS, endpoint=False)
    step = 2.0 * np.pi / _STEPS
    zero = _STEPS // 2
    for axis in card.confusion_axes:
        turned = T @ turn(axis, angles)
        profile = likelihood.score(turned, view, samples=1024, points=512).score
        allowed = run_around(close_gaps(profile >= profile[zero] - margin, _DIP_STEPS), zero)
        if allowed.sum() <= 1:
            continue
        rank = profile + prior(turned)
        # Falls smoothly to zero at the margin, so that no turn enters or leaves with a jump.
        weight = np.square(np.maximum(1.0 - (rank.max() - rank) / max(margin, 1e-9), 0.0))
        mode = _densest_angle(angles, weight)
        off = np.angle(np.exp(1j * (angles[allowed] - mode)))
        T = T @ turn(axis, np.array(mode))
        covariance = widen(covariance, T, axis, float(np.mean(off**2) + step**2 / 12.0))
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
