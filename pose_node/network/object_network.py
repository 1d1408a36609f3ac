"""Segment -> hypotheses: an object's network, and the way from its outputs to poses.

The network speaks through three heads; each becomes a handful of poses by an exactly equivariant route:
votes:        every point's own frame and centre is a full pose; the densest of them, up to symmetry, are kept.
coordinates:  point pairs (seen point, its place on the object) agree or not with each point's frame; the best-supported
              frames are polished by weighted, trimmed Kabsch fits.
rotation:     the peaks of the density over SO(3), by ascent from a fixed grid.
Which of them is right is not decided here.
"""

from __future__ import annotations

import time
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
from pose_node.network.matching import FITS, consensus, densest, frames_to_rotations, weighted_centre
from pose_node.network.rotation_density import density_peaks, search_grid
from pose_node.network.session import open_session, run
from pose_node.objects.card import ObjectCard
from pose_node.types import Belief, Hypothesis, HypothesisSource, Rejected, Segment, SegmentSource

_VOTE_REL = 0.12  # votes for one centre scatter by this share of the diameter
_MIN_VOTERS = 0.08  # a smaller share of voters is chance
_FOREIGN = 0.3  # objectness below which a point of a mask is taken for something else
_LEAST_OF_MASK = 0.5  # a mask of which the network would take more than this away is left as it is
_WHOLE = 0.97  # a segment of which nearly all stays is left as it is


@dataclass(frozen=True, slots=True, eq=False)
class Glance:
    """A network's outputs for one prepared segment. on_object: [M] probability of the centres; keep: [M] which of them vote
    for the object's most likely place; voters: their share."""

    prepared: Prepared
    outputs: dict[str, Array]
    on_object: Array
    keep: NDArray[np.bool_]
    voters: float


class Network:
    """One object's network, and the way from its outputs to poses."""

    def __init__(self, card: ObjectCard, config: InferConfig) -> None:
        """Load and check ``card.network``; raises ModelError when the file or the provider is not as stated."""
        self.card, self.config = card, config
        self.session = open_session(card, config)
        self.provider: str = self.session.get_providers()[0]
        search_grid()  # made now, not while the first frame waits

    def glance(self, sample: Sample) -> Glance:
        """What the network makes of a segment, before any pose is looked for."""
        prepared, outputs, on_object = self._look(sample)
        voters = _voters(prepared, outputs["offsets"], on_object)
        return Glance(prepared, outputs, on_object, voters, float(voters.mean()))

    def propose(self, segment: Segment, scene: Scene, glance: Glance | None = None) -> list[Hypothesis] | Rejected:
        """At most ``max_hypotheses`` poses of the object in a segment of the scene, or why there are none.

        A segment may hold more than the object: its points are narrowed to those that the network takes for the object,
        and the network looks again. In a mask that is a trimming of its borders, for a mask is the user's word; in a box
        only the points that vote for the most likely centre stay; a cluster stays as it was found. ``glance``: the network's
        first look at the segment, when there was one.
        """
        name = self.card.name
        if len(segment.indices) < self.config.min_points:
            reason = f"{name}: found {len(segment.indices)} points, expected at least {self.config.min_points}."
            return Rejected("too_few_points", reason, name, segment)
        glance = glance or self.glance(scene.sample(segment))
        prepared, outputs, on_object = glance.prepared, glance.outputs, glance.on_object
        source: SegmentSource
        if segment.source == "mask":
            keep, least, source = on_object > _FOREIGN, _LEAST_OF_MASK, segment.source
        elif segment.source == "cluster":  # creases and gaps part things better than votes do
            keep, least, source = np.ones(len(on_object), dtype=bool), 0.0, segment.source
        else:
            keep, least, source = glance.keep, _MIN_VOTERS, "votes"
            if glance.voters < least:
                reason = f"{name}: {glance.voters:.0%} of the points vote for the object, expected {least:.0%}."
                return Rejected("no_votes", reason, name, segment)
        kept = keep[cKDTree(prepared.centres_m()).query(scene.cloud.points_m[segment.indices])[1]]
        if max(self.config.min_points, least * len(kept)) <= kept.sum() < _WHOLE * len(kept):
            segment = Segment(segment.indices[kept], source, name, untrimmed=segment.indices)
            prepared, outputs, on_object = self._look(scene.sample(segment))
        poses = self._poses(prepared, outputs, on_object)[: self.config.max_hypotheses]
        belief = Belief(RotationDensity(outputs["rotation"]), outputs["centre"] * prepared.scale_m + prepared.centre_m)
        return [Hypothesis(name, T, segment, source, confidence, belief) for T, source, confidence in poses]

    def _look(self, sample: Sample) -> tuple[Prepared, dict[str, Array], Array]:
        prepared = scaled(sample, self.card.diameter_m)
        outputs = self.run(prepared)
        return prepared, outputs, 1.0 / (1.0 + np.exp(-outputs["objectness"]))

    def warm(self) -> float:
        """Look twice at the object's own surface, 1 m away: the first look is slow. Seconds of the second."""
        sample = sample_segment(self.card.surface.points_m + np.array([0.0, 0.0, 1.0]), np.zeros(3))
        self._look(sample)
        begin_s = time.perf_counter()
        self._look(sample)
        return time.perf_counter() - begin_s

    def run(self, prepared: Prepared) -> dict[str, Array]:
        """The network's outputs for one cloud as float64, batch dimension dropped; see ``PoseNetwork.forward``."""
        return run(self.session, prepared, self.card.name)

    def _poses(
        self, prepared: Prepared, outputs: dict[str, Array], on_object: Array
    ) -> list[tuple[Array, HypothesisSource, float]]:
        points = prepared.points[prepared.centres].astype(np.float64)
        frames = frames_to_rotations(outputs["frames"])
        weight = on_object * np.exp(-np.clip(outputs["spreads"], -6.0, 6.0))
        weight = weight / max(weight.sum(), 1e-12)
        centre = weighted_centre(points + outputs["offsets"], on_object)
        found: list[tuple[Array, HypothesisSource, float]] = []
        for R, t, support in consensus(points, outputs["coordinates"], frames, weight):
            found.append((transform(R, t), "coordinates", support))
        for R, share in densest(frames, on_object, self.card.symmetry, FITS):
            found.append((transform(R, centre), "votes", share))
        for R, share in density_peaks(outputs["rotation"]):
            found.append((transform(R, centre), "rotation", share))
        return [(self._to_camera(T, prepared), source, confidence) for T, source, confidence in found]

    def _to_camera(self, T_cloud_centre: Array, prepared: Prepared) -> Array:
        """From the prepared cloud's units and the object's centre to metres and the object's origin."""
        R = T_cloud_centre[:3, :3]
        t = T_cloud_centre[:3, 3] * prepared.scale_m + prepared.centre_m
        return transform(R, t - R @ self.card.centre_m)


def _voters(prepared: Prepared, offsets: Array, on_object: Array) -> NDArray[np.bool_]:
    """Which centres [M] lie on the object and vote for its most likely place."""
    votes = prepared.points[prepared.centres] + offsets
    apart2 = np.sum((votes[:, None] - votes[None]) ** 2, axis=-1)
    density = np.exp(-apart2 / _VOTE_REL**2) @ on_object
    return (on_object > 0.5) & (apart2[int(density.argmax())] < (2.0 * _VOTE_REL) ** 2)
