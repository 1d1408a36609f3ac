"""How likely it is that a pose is right: its invariants and the evidence of matches, judged by the scorer of all objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_node.arrays import Array, Indices
from pose_node.measurement.sensor import Sensor
from pose_node.measurement.view import View
from pose_node.network.match_evidence import MatchEvidence, match_evidence
from pose_node.network.scorer import Floats, Scorer
from pose_node.objects.card import ObjectCard
from pose_node.objects.surface_lookup import SurfaceLookup
from pose_node.pose.invariants import Extractor, Shares, shares
from pose_node.types import Matches

_LEAST_SUPPORT = 0.01  # of the match probability, which falls on a pose by chance


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Of B poses: log_odds [B] that a pose is right by its surface, what the matches add to compare it with others (``prior`` [B],
    in nats), and the plain shares of the evidence."""

    log_odds: Array
    prior: Array
    shares: Shares

    @property
    def rank(self) -> Array:
        """[B] log-odds with which poses of one segment and object are compared."""
        return self.log_odds + self.prior

    @property
    def score(self) -> Array:
        """[B] the probability that a pose is right."""
        return probability(self.log_odds)

    def __getitem__(self, index: Indices | slice | int) -> Scores:
        return Scores(self.log_odds[index], self.prior[index], self.shares[index])


def probability(log_odds: Array) -> Array:
    """The probability [...] of log-odds [...]."""
    return 0.5 + 0.5 * np.tanh(0.5 * log_odds)


class Likelihood:
    """Scores poses of one object; ``scorer`` is the same for all objects."""

    def __init__(self, card: ObjectCard, lookup: SurfaceLookup, scorer: Scorer, sensor: Sensor) -> None:
        self.card, self.lookup, self.scorer = card, lookup, scorer
        self._extractor = Extractor(card, lookup, sensor)

    def score(
        self,
        T: Array,
        view: View,
        samples: int = 512,
        points: int = 256,
        refined: bool = False,
        matches: Matches | None = None,
    ) -> Scores:
        """Scores of poses T [B, 4, 4] with ``samples`` of the model's surface and ``points`` of the segment.

        samples: the first of the surface's samples, whose every prefix covers it evenly. refined: T has converged; otherwise the
        score is the probability that T's refinement is right. matches: what the backbone recognised in the segment, where it was
        asked.
        """
        found = self._extractor.extract(T, view, samples, points, refined)
        evidence = None if matches is None else match_evidence(matches, T)
        inputs = (found.samples, found.weight, found.points, *match_inputs(evidence, len(T)), found.context)
        prior = np.zeros(len(T)) if evidence is None else np.log(evidence.support + _LEAST_SUPPORT)
        return Scores(self.scorer.log_odds(inputs), prior, shares(found))


def match_inputs(evidence: MatchEvidence | None, poses: int) -> tuple[Floats, Floats]:
    """The scorer's ``matches`` [B, M, 3] and ``match_weight`` [B, M] of B poses; without matches all weights are zero."""
    if evidence is None:
        return np.zeros((poses, 1, 3), np.float32), np.zeros((poses, 1), np.float32)
    inputs = np.empty((*evidence.share.shape, 3), np.float32)
    inputs[..., 0], inputs[..., 1], inputs[..., 2] = evidence.share, evidence.similarity, evidence.quality
    return inputs, np.full(evidence.share.shape, 1.0 / evidence.share.shape[1], np.float32)
