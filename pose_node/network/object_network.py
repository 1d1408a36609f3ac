"""Segment -> hypotheses: an object's network, and the way from its outputs to poses.

The network has three heads; each gives a few poses by an exactly equivariant computation:
votes:        each point predicts a frame and the object's centre, which is a full pose; the densest of them, up to symmetry.
coordinates:  each point predicts its place on the object; the predicted frames that most of these correspondences support are
              refined by weighted Kabsch fits.
rotation:     a density over SO(3); its peaks, by ascent from a fixed grid.
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
from pose_node.geometry.harmonics import RotationDensity
from pose_node.geometry.se3 import transform
from pose_node.measurement.sampling import Sample, sample_segment
from pose_node.measurement.scene import Scene
from pose_node.network.input import Prepared, scaled
from pose_node.network.matching import MAX_POSES, consensus, densest, frames_to_rotations, weighted_centre
from pose_node.network.rotation_density import density_peaks, search_grid
from pose_node.network.session import open_session, run
from pose_node.objects.card import ObjectCard
from pose_node.types import Belief, Hypothesis, HypothesisSource, Rejected, Segment, SegmentSource

_VOTE_REL = 0.12  # scatter of votes for one centre, in diameters
_MIN_VOTERS = 0.08  # a smaller share of voters is chance
_MIN_OBJECTNESS = 0.3  # points of a mask below this are trimmed
_MIN_MASK_SHARE = 0.5  # a mask of which less would remain is not trimmed
_WHOLE = 0.97  # nor is a segment of which more would remain


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """A network's outputs for one segment.

    prepared:    the network's input; its M centres carry the predictions.
    outputs:     {name: array}, as ``PoseNetwork.forward`` describes them, without the batch dimension.
    objectness:  [M] probability that a centre is on the object.
    voters:      [M] bool: the centres on the object that vote for its most likely centre.
    voter_share: share of the voters.
    """

    prepared: Prepared
    outputs: dict[str, Array]
    objectness: Array
    voters: NDArray[np.bool_]
    voter_share: float


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """An object to look for in a segment, with its network's prediction there if it was made already."""

    segment: Segment
    object_name: str
    prediction: Prediction | None = None


class Network:
    """One object's network, and the way from its outputs to poses."""

    def __init__(self, card: ObjectCard, config: InferConfig) -> None:
        """Load and check ``card.network``; raises ModelError when the file or the provider is not as stated."""
        self.card, self.config = card, config
        self.session = open_session(card, config)
        self.provider: str = self.session.get_providers()[0]
        search_grid()  # computed now rather than during the first frame

    def predict(self, sample: Sample) -> Prediction:
        """Run the network on a segment's sample. Raises ModelError when the provider fails."""
        prepared = scaled(sample, self.card.diameter_m)
        outputs = self.run(prepared)
        objectness = 1.0 / (1.0 + np.exp(-outputs["objectness"]))
        voters = _voters(prepared, outputs["offsets"], objectness)
        return Prediction(prepared, outputs, objectness, voters, float(voters.mean()))

    def run(self, prepared: Prepared) -> dict[str, Array]:
        """The network's outputs for one cloud as float64, batch dimension dropped; see ``PoseNetwork.forward``."""
        return run(self.session, prepared, self.card.name)

    def propose(
        self, segment: Segment, scene: Scene, prediction: Prediction | None = None
    ) -> list[Hypothesis] | Rejected:
        """At most ``max_hypotheses`` poses of the object in a segment of the scene, or why there are none.

        A segment may include more than the object, so it is trimmed by the network's ``prediction`` (made here if not given)
        and predicted again: of a mask, points at its border that are not the object; of a box, all points that do not vote
        for the most likely centre. A cluster is not trimmed: it already ends at creases and gaps, which are more exact.
        """
        name = self.card.name
        if len(segment.indices) < self.config.min_points:
            reason = f"{name}: found {len(segment.indices)} points, expected at least {self.config.min_points}."
            return Rejected("too_few_points", reason, name, segment)
        prediction = prediction or self.predict(scene.sample(segment))
        if segment.source not in ("mask", "cluster") and prediction.voter_share < _MIN_VOTERS:
            return Rejected("no_votes", few_votes(name, prediction, _MIN_VOTERS), name, segment)
        trimmed = self._trimmed(segment, prediction, scene.cloud.points_m)
        if trimmed is not segment:
            prediction = self.predict(scene.sample(trimmed))
        prepared, outputs = prediction.prepared, prediction.outputs
        belief = Belief(RotationDensity(outputs["rotation"]), outputs["centre"] * prepared.scale_m + prepared.centre_m)
        poses = self._poses(prediction)[: self.config.max_hypotheses]
        return [Hypothesis(name, T, trimmed, source, confidence, belief) for T, source, confidence in poses]

    def warm(self) -> float:
        """Run twice on the object's own surface at 1 m, because the first run is slow; returns the seconds of the second."""
        sample = sample_segment(self.card.surface.points_m + np.array([0.0, 0.0, 1.0]), np.zeros(3))
        self.predict(sample)
        begin_s = time.perf_counter()
        self.predict(sample)
        return time.perf_counter() - begin_s

    def _trimmed(self, segment: Segment, prediction: Prediction, points_m: Array) -> Segment:
        """The segment without the points that the network assigns to something else; itself where that changes little or
        would leave too little. points_m: the cloud's."""
        source: SegmentSource
        match segment.source:
            case "cluster":
                return segment
            case "mask":
                keep, least, source = prediction.objectness > _MIN_OBJECTNESS, _MIN_MASK_SHARE, "mask"
            case _:
                keep, least, source = prediction.voters, _MIN_VOTERS, "votes"
        kept = keep[cKDTree(prediction.prepared.centres_m()).query(points_m[segment.indices])[1]]
        if max(self.config.min_points, least * len(kept)) <= kept.sum() < _WHOLE * len(kept):
            return Segment(segment.indices[kept], source, self.card.name, untrimmed=segment.indices)
        return segment

    def _poses(self, prediction: Prediction) -> list[tuple[Array, HypothesisSource, float]]:
        """(T_camera_object, head, confidence) of each pose that a head proposes; the most reliable head first."""
        prepared, outputs, objectness = prediction.prepared, prediction.outputs, prediction.objectness
        points = prepared.points[prepared.centres].astype(np.float64)
        frames = frames_to_rotations(outputs["frames"])
        weight = objectness * np.exp(-np.clip(outputs["spreads"], -6.0, 6.0))
        weight = weight / max(weight.sum(), 1e-12)
        centre = weighted_centre(points + outputs["offsets"], objectness)
        found: list[tuple[Array, HypothesisSource, float]] = []
        for R, t, support in consensus(points, outputs["coordinates"], frames, weight):
            found.append((transform(R, t), "coordinates", support))
        for R, share in densest(frames, objectness, self.card.symmetry, MAX_POSES):
            found.append((transform(R, centre), "votes", share))
        for R, share in density_peaks(outputs["rotation"]):
            found.append((transform(R, centre), "rotation", share))
        return [(self._to_camera(T, prepared), source, confidence) for T, source, confidence in found]

    def _to_camera(self, T_cloud_centre: Array, prepared: Prepared) -> Array:
        """From the prepared cloud's units and the object's centre to metres and the object's origin, [4, 4]."""
        R = T_cloud_centre[:3, :3]
        t = T_cloud_centre[:3, 3] * prepared.scale_m + prepared.centre_m
        return transform(R, t - R @ self.card.centre_m)


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


def _voters(prepared: Prepared, offsets: Array, objectness: Array) -> NDArray[np.bool_]:
    """See ``Prediction.voters``; offsets: [M, 3] from each centre to the object's centre, in diameters."""
    votes = prepared.points[prepared.centres] + offsets
    apart2 = np.sum((votes[:, None] - votes[None]) ** 2, axis=-1)
    density = np.exp(-apart2 / _VOTE_REL**2) @ objectness
    return (objectness > 0.5) & (apart2[int(density.argmax())] < (2.0 * _VOTE_REL) ** 2)
