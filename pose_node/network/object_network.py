"""Segment -> hypotheses: the backbone describes the segment, its centres are matched to the object's bank, the matches agree on poses.

Which of the poses is right is decided later, in ``pose``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pose_node.arrays import Array
from pose_node.config import InferConfig
from pose_node.errors import CardError, ModelError
from pose_node.geometry.se3 import apply, invert
from pose_node.measurement.sampling import LEAST_POINTS, Sample, sample_segment
from pose_node.measurement.scene import Scene
from pose_node.network.backbone import Backbone
from pose_node.network.input import Prepared, scaled
from pose_node.network.match_evidence import NEAR_REL, attainable_share, camera_poses, shares
from pose_node.network.matching import consensus, match_to_bank
from pose_node.objects.bank import BANK_FILE, load_bank
from pose_node.objects.card import ObjectCard
from pose_node.types import Hypothesis, Matches, Rejected, Segment, SegmentSource

_AGREES = 0.5  # a centre votes for a pose that reaches this part of the share that any place would give it
_MIN_VOTERS = 0.08  # a smaller share of voters is chance
_MIN_MASK_SHARE = 0.5  # a mask of which less would remain is not trimmed
_WHOLE = 0.97  # a segment of which more would remain is not trimmed


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What the backbone found of an object in one segment.

    prepared:    the backbone's input, with its M centres. matches: of these with the object's bank.
    T:           [B, 4, 4] T_camera_object of the poses that most matches agree on; support: [B] their share, best first.
    voters:      [M] bool: the centres that agree with the best pose.
    voter_share: share of the voters.
    """

    prepared: Prepared
    matches: Matches
    T: Array
    support: Array
    voters: NDArray[np.bool_]
    voter_share: float


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """An object to look for in a segment, with the prediction there if it was made already."""

    segment: Segment
    object_name: str
    prediction: Prediction | None = None


class Network:
    """The backbone and one object's bank."""

    def __init__(self, card: ObjectCard, backbone: Backbone, config: InferConfig) -> None:
        """backbone: the same for all objects. Raises CardError for a missing or damaged bank, ModelError for one of another backbone."""
        self.card, self.backbone, self.config = card, backbone, config
        self._surface = cKDTree(card.surface.points_m)
        path, renewal = card.folder / BANK_FILE, f"pose_node add-object {card.folder}"
        if not path.is_file():
            raise CardError(
                f"{card.folder}: found no {BANK_FILE}, which objects of earlier versions lack; renew it: {renewal}"
            )
        self.bank = load_bank(path)
        if self.bank.backbone != backbone.sha256:
            raise ModelError(
                f"{path}: made by backbone {self.bank.backbone[:12]}..., expected {backbone.sha256[:12]}... of {backbone.folder}; "
                f"renew it: {renewal}"
            )

    def refusal(self, segment: Segment, scene: Scene) -> Rejected | None:
        """Why the segment is too small, or None."""
        name, least = self.card.name, self.config.min_points
        found = len(segment.indices)
        if found >= least:
            found, least = len(scene.sample(segment).points), LEAST_POINTS
        if found >= least:
            return None
        return Rejected("too_few_points", f"{name}: found {found} points, expected at least {least}.", name, segment)

    def predict(self, sample: Sample) -> Prediction:
        """The poses that a segment's sample of at least ``LEAST_POINTS`` suggests. Raises ModelError when the provider fails."""
        prepared = scaled(sample, self.card.diameter_m)
        features = self.backbone.run(prepared)
        matches, rotations = match_to_bank(prepared, features, self.bank, self.backbone.temperature, self.card.centre_m)
        R, t, support = consensus(matches, rotations, self.card.symmetry, self.config.max_hypotheses)
        voters = shares(matches, R[:1], t[:1])[0] > _AGREES * attainable_share(matches)
        return Prediction(prepared, matches, camera_poses(matches, R, t), support, voters, float(voters.mean()))

    def propose(
        self, segment: Segment, scene: Scene, prediction: Prediction | None = None
    ) -> list[Hypothesis] | Rejected:
        """At most ``max_hypotheses`` poses of the object in a segment of the scene, or why there are none.

        A segment may include more than the object, so it is trimmed by the ``prediction`` (made here if not given) and predicted
        again: of a mask, points off the object at all likely poses; of a box, all points that do not vote for the best pose.
        Clusters end at creases and gaps, which are more exact.
        """
        name = self.card.name
        refusal = self.refusal(segment, scene)
        if refusal is not None:
            return refusal
        prediction = prediction or self.predict(scene.sample(segment))
        if segment.source != "cluster":
            if segment.source != "mask" and prediction.voter_share < _MIN_VOTERS:
                return Rejected("no_votes", few_votes(name, prediction, _MIN_VOTERS), name, segment)
            trimmed = self._trimmed(segment, prediction, scene.cloud.points_m)
            if trimmed is not segment and self.refusal(trimmed, scene) is None:
                segment, prediction = trimmed, self.predict(scene.sample(trimmed))
        return [
            Hypothesis(name, T, segment, "match", float(support), prediction.matches)
            for T, support in zip(prediction.T, prediction.support)
        ]

    def warm(self) -> float:
        """Run twice on the object's own surface at 1 m, because the first run is slow; returns the seconds of the second."""
        sample = sample_segment(self.card.surface.points_m + np.array([0.0, 0.0, 1.0]), np.zeros(3))
        self.predict(sample)
        begin_s = time.perf_counter()
        self.predict(sample)
        return time.perf_counter() - begin_s

    def _trimmed(self, segment: Segment, prediction: Prediction, points_m: Array) -> Segment:
        """The segment without the points that belong to something else; itself where that changes little or would leave too
        little. points_m: the cloud's.
        """
        source: SegmentSource
        if segment.source == "mask":
            keep, least, source = self._on_object(prediction), _MIN_MASK_SHARE, "mask"
        else:
            keep, least, source = prediction.voters, _MIN_VOTERS, "votes"
        kept = keep[cKDTree(prediction.prepared.centres_m()).query(points_m[segment.indices])[1]]
        if max(self.config.min_points, least * len(kept)) <= kept.sum() < _WHOLE * len(kept):
            return Segment(segment.indices[kept], source, self.card.name, untrimmed=segment.indices)
        return segment

    def _on_object(self, prediction: Prediction) -> NDArray[np.bool_]:
        """[M] whether a centre lies on the object at any pose whose support is at least half of the best's."""
        likely = prediction.T[prediction.support >= 0.5 * prediction.support[0]]
        on_surface = apply(invert(likely), prediction.prepared.centres_m()[None])
        return (self._surface.query(on_surface)[0] < NEAR_REL * self.card.diameter_m).any(axis=0)


def propose(
    candidates: Sequence[Candidate], networks: Mapping[str, Network], scene: Scene
) -> tuple[list[Hypothesis], list[Rejected]]:
    """Hypotheses for all candidates, in their order, and why there are none for some; ``networks`` by object name."""
    hypotheses: list[Hypothesis] = []
    rejected: list[Rejected] = []
    for candidate in candidates:
        proposed = networks[candidate.object_name].propose(candidate.segment, scene, candidate.prediction)
        if isinstance(proposed, Rejected):
            rejected.append(proposed)
        else:
            hypotheses.extend(proposed)
    return hypotheses, rejected


def few_votes(name: str, prediction: Prediction, least: float) -> str:
    """The reason for refusing a segment in which fewer than ``least`` vote for the object."""
    return f"{name}: {prediction.voter_share:.0%} of the points vote for the object, expected {least:.0%}."
