"""The numbers of a report's charts, from the records of a run."""

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
    """``share`` [N] over ``at`` [N], with the interval ``low``, ``high`` [N] (NaN without one)."""

    at: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, eq=False)
class ScoredEstimates:
    """The estimates of labelled frames: ``score`` [N], ``correct`` [N] bool, ``placement`` [N].

    One that matches no label is a false alarm and not correct; where labels are incomplete it is left out.
    """

    score: np.ndarray
    correct: np.ndarray
    placement: tuple[tuple[str, ...], ...]


def placement(label: LabelRecord) -> tuple[str, ...]:
    """The key that neighbouring frames share: one instance in one scene."""
    return (label.scene, label.object_name, str(label.instance))


def errors(labels: Sequence[LabelRecord], name: str) -> np.ndarray:
    """An error [N] of ``records.Errors`` for each label; infinite without an estimate, or where the error is undefined.

    ``vsd`` gives [N, T], a column for each tau.
    """
    if name == "vsd":
        taus = max((len(v) for v in (label.errors.vsd for label in labels) if v), default=0)
        rows = [label.errors.vsd or (np.inf,) * taus for label in labels]
        return np.array(rows, float).reshape(len(labels), taus)
    values = [getattr(label.errors, name) for label in labels]
    return np.array([np.inf if v is None else v for v in values], float)


def has_error(labels: Sequence[LabelRecord], name: str) -> bool:
    """Whether any label has this error."""
    return any(getattr(label.errors, name) is not None for label in labels)


def recall(labels: Sequence[LabelRecord], name: str, limit: float, steps: int = 80) -> Curve:
    """The share of labels whose error is below each of 0 .. ``limit``; for ``vsd`` the mean of the shares over all taus."""
    at = np.linspace(0.0, limit, steps + 1)
    found = errors(labels, name)[..., None] < at
    found = found.mean(axis=1) if name == "vsd" else found.astype(float)
    low, high = mean_interval(found, [placement(label) for label in labels])
    return Curve(at, found.mean(axis=0), low, high)


def scored_estimates(run: Run) -> ScoredEstimates:
    """Every estimate of the frames that have labels. Correct: its MSSD is below ``CORRECT_MSSD_REL`` of the diameter."""
    labels = {(x.scene, x.frame, x.estimate): x for x in run.labels if x.estimate is not None}
    score, correct, placements = [], [], []
    for frame in run.frames:
        for index, estimate in enumerate(frame.estimates):
            label = labels.get((frame.scene, frame.frame, index))
            if label is None and index not in (frame.unmatched or ()):
                continue
            error = None if label is None else label.errors.mssd_rel
            score.append(estimate.score)
            correct.append(error is not None and error < CORRECT_MSSD_REL)
            placements.append((frame.scene, estimate.object_name, "") if label is None else placement(label))
    return ScoredEstimates(np.array(score, float), np.array(correct, bool), tuple(placements))


@dataclass(frozen=True, eq=False)
class Reliability:
    """Scores in bins: ``edges`` [B + 1], mean ``score`` and share ``correct`` [B] with interval, ``count`` [B].

    gap: the mean absolute difference of the two over all estimates, the expected calibration error (Naeini et al.,
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


def reliability(scored: ScoredEstimates, bins: int = 10) -> Reliability:
    """The share of correct estimates by score. Scores that are probabilities lie on the diagonal."""
    edges = np.linspace(0.0, 1.0, bins + 1)
    which = np.clip((scored.score * bins).astype(int), 0, bins - 1)
    mean, share, low, high = (np.full(bins, np.nan) for _ in range(4))
    count = np.bincount(which, minlength=bins)
    for b in np.flatnonzero(count):
        inside = which == b
        mean[b], share[b] = scored.score[inside].mean(), scored.correct[inside].mean()
        placements = [p for p, i in zip(scored.placement, inside) if i]
        low[b], high[b] = mean_interval(scored.correct[inside].astype(float), placements)
    pairs = np.stack([scored.score, scored.correct], axis=1)
    spread = statistic_interval(pairs, scored.placement, lambda v: _gap(v, bins))
    return Reliability(edges, mean, share, low, high, count, _gap(pairs, bins), spread)


def _gap(pairs: np.ndarray, bins: int) -> float:
    """The expected calibration error of pairs [N, 2] (score, correct)."""
    which = np.clip((pairs[:, 0] * bins).astype(int), 0, bins - 1)
    score, correct = (np.bincount(which, weights=pairs[:, k], minlength=bins) for k in (0, 1))
    return float(np.abs(score - correct).sum() / len(pairs)) if len(pairs) else float("nan")


def precision_recall(scored: ScoredEstimates, labels: int, steps: int = 50) -> tuple[Curve, Curve]:
    """(precision, recall) over a threshold 0 .. 1 on the score. Precision is NaN where no estimate is left.

    labels: number of instances. Recall has no interval here.
    """
    at = np.linspace(0.0, 1.0, steps + 1)
    used = scored.score[:, None] >= at
    hits = np.where(used, scored.correct[:, None], np.nan).astype(float)
    with np.errstate(invalid="ignore"):
        precision = np.where(used.any(axis=0), (used & scored.correct[:, None]).sum(axis=0) / used.sum(axis=0), np.nan)
    low, high = mean_interval(hits, scored.placement)
    found = (used & scored.correct[:, None]).sum(axis=0) / max(labels, 1)
    none = np.full(len(at), np.nan)
    return Curve(at, precision, low, high), Curve(at, found, none, none)


def histogram(values: np.ndarray, low: float, high: float, bins: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """(edges [B + 1], counts [B]) over logarithmic bins; finite values outside count in the first and last bin."""
    edges = np.geomspace(low, high, bins + 1)
    finite = values[np.isfinite(values)].clip(low, high * (1 - 1e-9))
    return edges, np.histogram(finite, edges)[0]
