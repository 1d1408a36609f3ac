"""What the charts of a report show, worked out from the records of a run: numbers only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pose_node.evaluation.figures.intervals import mean_interval, statistic_interval
from pose_node.evaluation.records import LabelRecord
from pose_node.evaluation.run_folder import Run

CORRECT_MSSD_REL = (
    0.1  # an estimate within a tenth of the diameter is called correct, as BOP and ADD do at their strictest
)


@dataclass(frozen=True, eq=False)
class Curve:
    """``share`` [N] at each of ``at`` [N], with the interval ``low``, ``high`` [N] (NaN where there is none)."""

    at: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, eq=False)
class ScoredEstimates:
    """Estimates of labelled frames as a robot meets them: ``score`` [N], ``correct`` [N] bool, ``placement`` [N].

    One that belongs to no label is a false alarm, and not correct; where labels do not say what is one, it is left out.
    """

    score: np.ndarray
    correct: np.ndarray
    placement: tuple[tuple[str, ...], ...]


def placement(label: LabelRecord) -> tuple[str, ...]:
    """What its neighbouring frames share: one instance standing in one scene."""
    return (label.scene, label.object_name, str(label.instance))


def errors(labels: Sequence[LabelRecord], name: str) -> np.ndarray:
    """An error [N] of ``records.Errors`` for each label; infinite where there is no estimate, or none that can be measured.

    ``vsd`` gives [N, T], a column for each tau.
    """
    if name == "vsd":
        taus = max((len(v) for v in (label.errors.vsd for label in labels) if v), default=0)
        rows = [label.errors.vsd or (np.inf,) * taus for label in labels]
        return np.array(rows, float).reshape(len(labels), taus)
    values = [getattr(label.errors, name) for label in labels]
    return np.array([np.inf if v is None else v for v in values], float)


def has(labels: Sequence[LabelRecord], name: str) -> bool:
    """Whether anybody worked this error out in the run."""
    return any(getattr(label.errors, name) is not None for label in labels)


def recall(labels: Sequence[LabelRecord], name: str, limit: float, steps: int = 80) -> Curve:
    """The share of labels whose error is below each of 0 .. ``limit``; for ``vsd`` the mean of the shares over all taus."""
    at = np.linspace(0.0, limit, steps + 1)
    found = errors(labels, name)[..., None] < at
    found = found.mean(axis=1) if name == "vsd" else found.astype(float)
    low, high = mean_interval(found, [placement(label) for label in labels])
    return Curve(at, found.mean(axis=0), low, high)


def scored_estimates(run: Run) -> ScoredEstimates:
    """Every estimate of the frames that have labels, with whether it is within ``CORRECT_MSSD_REL`` of its label."""
    labels = {(x.scene, x.frame, x.estimate): x for x in run.labels if x.estimate is not None}
    score, correct, places = [], [], []
    for frame in run.frames:
        for index, estimate in enumerate(frame.estimates):
            label = labels.get((frame.scene, frame.frame, index))
            if label is None and index not in (frame.unmatched or ()):
                continue
            error = None if label is None else label.errors.mssd_rel
            score.append(estimate.score)
            correct.append(error is not None and error < CORRECT_MSSD_REL)
            places.append((frame.scene, estimate.object_name, "") if label is None else placement(label))
    return ScoredEstimates(np.array(score, float), np.array(correct, bool), tuple(places))


@dataclass(frozen=True, eq=False)
class Reliability:
    """Scores in bins: ``edges`` [B + 1], mean ``score`` and share ``correct`` [B] with interval, ``count`` [B].

    gap: the mean distance between the two over all estimates, known as the expected calibration error (Naeini et al.,
    "Obtaining well calibrated probabilities using Bayesian binning", 2015); NaN without estimates. gap_interval: its own.
    """

    edges: np.ndarray
    score: np.ndarray
    correct: np.ndarray
    low: np.ndarray
    high: np.ndarray
    count: np.ndarray
    gap: float
    gap_interval: tuple[float, float]


def reliability(seen: ScoredEstimates, bins: int = 10) -> Reliability:
    """How often estimates of a score are correct: a score that is a probability lies on the diagonal."""
    edges = np.linspace(0.0, 1.0, bins + 1)
    which = np.clip((seen.score * bins).astype(int), 0, bins - 1)
    mean, share, low, high = (np.full(bins, np.nan) for _ in range(4))
    count = np.bincount(which, minlength=bins)
    for b in np.flatnonzero(count):
        inside = which == b
        mean[b], share[b] = seen.score[inside].mean(), seen.correct[inside].mean()
        places = [p for p, i in zip(seen.placement, inside) if i]
        low[b], high[b] = mean_interval(seen.correct[inside].astype(float), places)
    pairs = np.stack([seen.score, seen.correct], axis=1)
    spread = statistic_interval(pairs, seen.placement, lambda v: _gap(v, bins))
    return Reliability(edges, mean, share, low, high, count, _gap(pairs, bins), spread)


def _gap(pairs: np.ndarray, bins: int) -> float:
    """Mean distance between score and share correct, weighted by how many of pairs [N, 2] (score, correct) each bin holds."""
    which = np.clip((pairs[:, 0] * bins).astype(int), 0, bins - 1)
    score, correct = (np.bincount(which, weights=pairs[:, k], minlength=bins) for k in (0, 1))
    return float(np.abs(score - correct).sum() / len(pairs)) if len(pairs) else float("nan")


def precision_recall(seen: ScoredEstimates, labels: int, steps: int = 50) -> tuple[Curve, Curve]:
    """(precision, recall) if only estimates of at least each score 0 .. 1 were used; precision is NaN where none is left.

    ``labels`` is how many instances there were to be found; recall carries no interval here.
    """
    at = np.linspace(0.0, 1.0, steps + 1)
    used = seen.score[:, None] >= at
    hits = np.where(used, seen.correct[:, None], np.nan).astype(float)
    with np.errstate(invalid="ignore"):
        precision = np.where(used.any(axis=0), (used & seen.correct[:, None]).sum(axis=0) / used.sum(axis=0), np.nan)
    low, high = mean_interval(hits, seen.placement)
    found = (used & seen.correct[:, None]).sum(axis=0) / max(labels, 1)
    none = np.full(len(at), np.nan)
    return Curve(at, precision, low, high), Curve(at, found, none, none)


def histogram(values: np.ndarray, low: float, high: float, bins: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """(edges [B + 1], counts [B]) over logarithmic bins; finite values beyond the ends count in the end bins."""
    edges = np.geomspace(low, high, bins + 1)
    finite = values[np.isfinite(values)].clip(low, high * (1 - 1e-9))
    return edges, np.histogram(finite, edges)[0]
