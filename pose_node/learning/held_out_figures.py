"""How well a bank recognises held-out views, by the matching that runs on the robot; and how much another bank changes that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student_t

from pose_node.arrays import Array
from pose_node.geometry.se3 import apply
from pose_node.geometry.symmetry import rotation_error, symmetric_poses
from pose_node.learning.observation import Observation
from pose_node.network.match_evidence import camera_poses, match_evidence
from pose_node.network.matching import consensus, match_to_bank
from pose_node.objects.bank import Bank
from pose_node.objects.card import ObjectCard

_HYPOTHESES = 10
_SURFACE_POINTS = 256
RIGHT_REL = 0.1  # surface distance of a right pose, in diameters
_TURNS_DEG = (5, 10, 15)
_GRADES_REL = (0.05, 0.1, 0.2, 0.4)
_LEAST = 0.01  # evidence below this is chance
_CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class Measured:
    """Figures of B views of the object, then of W segments of other things.

    apart_rel: [B] largest distance of a surface point between the first hypothesis and the truth, in diameters, up to symmetry.
    best_rel:  [B] the smallest of all hypotheses. turn_rad: [B] rotation error of the first.
    margin:    [B] log ratio of the match evidence of the true pose and of the best wrong hypothesis.
    support:   [B + W] match evidence of the first hypothesis.
    groups:    [B] see ``Observation.group``.
    """

    apart_rel: Array
    best_rel: Array
    turn_rad: Array
    margin: Array
    support: Array
    groups: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """A figure before and after.

    noise:   half the width of the interval of the paired difference; None for a median, which only informs.
    decides: whether the bank is kept by it.
    """

    name: str
    before: float
    after: float
    noise: float | None = None
    decides: bool = False

    @property
    def gains(self) -> bool:
        """Whether the figure, of which more is better, gains beyond noise."""
        return self.noise is not None and self.after - self.before > self.noise + 1e-9

    @property
    def loses(self) -> bool:
        """Whether it loses beyond noise."""
        return self.noise is not None and self.before - self.after > self.noise + 1e-9


def measure(bank: Bank, card: ObjectCard, temperature: float, observations: Sequence[Observation]) -> Measured:
    """The hypotheses for each observation with a bank, against the truth."""
    shown = [o for o in observations if o.T_camera_object is not None]
    others = [o for o in observations if o.T_camera_object is None]
    surface_m = card.surface.points_m[:: max(1, len(card.surface.points_m) // _SURFACE_POINTS)]
    first, best, turns, margins, support = [], [], [], [], []
    for observation in (*shown, *others):
        matches, rotations = match_to_bank(observation.prepared, observation.features, bank, temperature, card.centre_m)
        R, t, agreement = consensus(matches, rotations, card.symmetry, _HYPOTHESES)
        support.append(agreement[0])
        if observation.T_camera_object is None:
            continue
        true = symmetric_poses(observation.T_camera_object, card.symmetry)
        equal, T = apply(true, surface_m), camera_poses(matches, R, t)
        apart = np.array([np.linalg.norm(equal - apply(each, surface_m), axis=-1).max(axis=-1).min() for each in T])
        apart /= card.diameter_m
        first.append(apart[0])
        best.append(apart.min())
        turns.append(float(rotation_error(T[0], observation.T_camera_object, card.symmetry)))
        wrong = agreement[apart > RIGHT_REL].max(initial=0.0)
        margins.append(np.log((match_evidence(matches, true).support.max() + _LEAST) / (wrong + _LEAST)))
    values = (np.array(each, float) for each in (first, best, turns, margins, support))
    return Measured(*values, tuple(o.group for o in shown))


def changes(before: Measured, after: Measured) -> list[Change]:
    """All figures of two banks on the same observations, of which there is at least one of the object."""

    def paired(name: str, a: Array, b: Array, decides: bool = False) -> Change:
        a, b = a.astype(float), b.astype(float)
        return Change(name, float(a.mean()), float(b.mean()), _noise_of_mean(b - a, before.groups), decides)

    found = [
        paired("grade of the first hypothesis", _grade(before.apart_rel), _grade(after.apart_rel), decides=True),
        paired("evidence of the true pose, log ratio", before.margin, after.margin, decides=True),
        paired("first hypothesis right", before.apart_rel < RIGHT_REL, after.apart_rel < RIGHT_REL),
        paired("any hypothesis right", before.best_rel < RIGHT_REL, after.best_rel < RIGHT_REL),
    ]
    for turn_deg in _TURNS_DEG:
        a, b = (each.turn_rad < np.deg2rad(turn_deg) for each in (before, after))
        found.append(paired(f"rotation error < {turn_deg} deg", a, b))
    medians = (float(np.rad2deg(np.median(each.turn_rad))) for each in (before, after))
    found.append(Change("median rotation error, deg", *medians))
    count = len(before.groups)
    if len(before.support) > count:
        found.append(_separation(before.support, after.support, count))
    return found


def _grade(apart_rel: Array) -> Array:
    """The share of ``_GRADES_REL`` that each pose reaches: finer than right or wrong, so that fewer views show a change."""
    return (apart_rel[:, None] < np.array(_GRADES_REL)).mean(axis=1)


def _noise_of_mean(differences: Array, groups: Sequence[str]) -> float:
    """Half the interval of the mean of differences [B], by groups that are independent; infinite with fewer than three."""
    numbers = np.unique(groups, return_inverse=True)[1]
    count = int(numbers.max()) + 1
    if count < 3:
        return float("inf")
    sums = np.bincount(numbers, differences - differences.mean())
    return _width(count) * float(np.sqrt(count / (count - 1) * np.sum(sums**2))) / len(numbers)


def _width(count: int) -> float:
    """Half the interval of a mean of ``count`` values in standard errors: Student's t."""
    return float(student_t.ppf(0.5 + 0.5 * _CONFIDENCE, count - 1))


def _separation(before: Array, after: Array, count: int) -> Change:
    """The area under the curve of the support, of the object's ``count`` views against the other segments.

    Its noise by the placements of both (DeLong et al., Biometrics 1988), here of the paired difference.
    """
    above = [(s[:count, None] > s[count:]) + 0.5 * (s[:count, None] == s[count:]) for s in (before, after)]
    difference = above[1] - above[0]
    rows, columns = difference.mean(axis=1), difference.mean(axis=0)
    fewer, noise = min(len(rows), len(columns)), float("inf")
    if fewer >= 3:
        variance = rows.var(ddof=1) / len(rows) + columns.var(ddof=1) / len(columns)
        noise = _width(fewer) * float(np.sqrt(variance))
    name = "evidence above that of other things"
    return Change(name, float(above[0].mean()), float(above[1].mean()), noise, decides=True)
