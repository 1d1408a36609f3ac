"""The values that travel along the chain: frozen, slotted, checked where they are made.

Frames and units: every transform is named ``T_target_source`` (4x4, float64, metres); points are metres; angles are
radians; stamps are integer nanoseconds. Covariances are 6x6 in ROS order (x, y, z, rx, ry, rz).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pose_node.arrays import Array, Indices
from pose_node.geometry.harmonics import RotationDensity

Masks = Mapping[str, Sequence[NDArray[np.bool_]]]
SegmentSource = Literal["mask", "box", "cluster", "votes", "track"]
TrackState = Literal["tentative", "confirmed", "lost"]
HypothesisSource = Literal["rotation", "votes", "coordinates", "expected", "confusion", "blind"]


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """The points that one instance may own.

    indices:     [M] rows of ``Cloud.points_m``, in ascending order.
    source:      how the segment was found; "mask" and "box" are the user's word, the others a guess.
    object_name: the only object to look for here, or None when any may be.
    objects:     those whose size the segment has, likeliest first, where it was found by size; empty: any.
    core:        [C] those of its rows that are surely not its support's, where it was found by the surface's own borders.
    told:        [M' >= M] the rows that somebody said are the object, where ``indices`` are those that the network left of them.
    """

    indices: Indices
    source: SegmentSource
    object_name: str | None = None
    objects: tuple[str, ...] = ()
    core: Indices | None = None
    told: Indices | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Belief:
    """A network's view of one segment: its density over SO(3), and where it has the object's centre, [3] in the cloud's frame."""

    rotation: RotationDensity
    centre_m: Array


@dataclass(frozen=True, slots=True, eq=False)
class Hypothesis:
    """A pose worth judging: ``T_camera_object`` [4, 4], where it came from, and the segment that it should explain.

    ``confidence`` (0..1) is the proposer's own belief, comparable only within one proposer. ``belief`` is what the network
    makes of the segment as a whole, where a network has seen it.
    """

    object_name: str
    T_camera_object: Array
    segment: Segment
    source: HypothesisSource
    confidence: float = 1.0
    belief: Belief | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Refined:
    """A hypothesis after refinement, with the evidence that refinement leaves.

    information:     [6, 6] Gauss-Newton matrix of the last step, in 1/m^2 and 1/rad^2, ordered and framed as covariances are.
    covariance:      [6, 6] of the pose, see ``Estimate.covariance``.
    inlier_fraction: share of the segment's points within the inlier distance of the model's surface.
    rms_m:           root mean square point-to-plane distance of those inliers.
    """

    hypothesis: Hypothesis
    T_camera_object: Array
    information: Array
    covariance: Array
    inlier_fraction: float
    rms_m: float
    iterations: int
    converged: bool


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Why an estimate is believed. All are shares in [0, 1] but ``rms_m``.

    explained:  expected visible model surface that the measurement confirms.
    violated:   model surface that stands in measured free space.
    occluded:   expected surface hidden by something nearer (it does not count against the pose).
    covered:    points of the segment that the model accounts for.
    agreement:  how near the pose has the object's centre to where the network has it; 1 where no network has looked.
    """

    explained: float
    violated: float
    occluded: float
    covered: float
    inlier_fraction: float
    rms_m: float
    agreement: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """One instance of an object, and all that is known of where it is.

    T_camera_object: [4, 4], object frame to the cloud's frame.
    score:           in [0, 1].
    covariance:      [6, 6] ROS order, axes of the cloud's frame, at the object's origin, decoupled: t = t_hat + dt,
                     R = Exp(dtheta) R_hat. Describes the leading mode.
    alternatives:    other orientations at this place: ((T_camera_object, weight), ...), best first; the weights and the
                     leading mode's own add up to one.
    """

    object_name: str
    T_camera_object: Array
    score: float
    covariance: Array
    evidence: Evidence
    segment: Segment
    alternatives: tuple[tuple[Array, float], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Rejected:
    """What was looked at and refused, and why, as one short sentence. ``code`` is stable for counting."""

    code: str
    reason: str
    object_name: str | None = None
    segment: Segment | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What ``Pipeline.estimate`` saw, in the order in which the chain made it.

    stage_s: seconds spent in each stage: segment, infer, shortlist, refine, decide.
    """

    estimates: tuple[Estimate, ...]
    rejected: tuple[Rejected, ...]
    segments: tuple[Segment, ...] = ()
    hypotheses: tuple[Hypothesis, ...] = ()
    refined: tuple[Refined, ...] = ()
    stage_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One object over time, in the fixed frame.

    T_fixed_object: [4, 4]; covariance: [6, 6] as ``Estimate.covariance``, in the fixed frame's axes; velocity: [6] metres and
    radians a second in the fixed frame, zero for what stands still. All at the frame's stamp.
    score:          of the estimate that it was last seen by.
    state:          confirmed when it was seen often enough and is three times as likely right as wrong, tentative before, and again
                    when detections make it unlikely; lost when it was not seen for a while, with the ``reason``.
    seen_ns:        stamp of the last frame that it was seen in. estimate: this frame's, where it was seen.
    alternatives:   ((T_fixed_object, weight), ...) other orientations that cannot be ruled out yet.
    note:           what changed in this frame beyond motion, as a sentence; else empty.
    """

    track_id: int
    object_name: str
    state: TrackState
    T_fixed_object: Array
    covariance: Array
    velocity: Array
    score: float
    seen_ns: int
    estimate: Estimate | None = None
    alternatives: tuple[tuple[Array, float], ...] = ()
    reason: str = ""
    note: str = ""

    @property
    def name(self) -> str:
        """Of the object with the identity: its id in detections, its frame on /tf."""
        return track_name(self.object_name, self.track_id)


def track_name(object_name: str, track_id: int) -> str:
    """mustard_bottle_1."""
    return f"{object_name}_{track_id}"


def detection_id(name: str, state: str) -> str:
    """A track's id in detections: its name where it is confirmed, else with its state: mustard_bottle_1/tentative."""
    return name if state == "confirmed" else f"{name}/{state}"


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What ``Pipeline.step`` makes of one frame: what was seen in it, and all tracks, the oldest first."""

    result: Result
    tracks: tuple[Track, ...]
    T_fixed_camera: Array


def scored_poses(
    T_camera_object: Array, score: float, alternatives: Sequence[tuple[Array, float]]
) -> list[tuple[Array, float]]:
    """An estimate's leading pose with its score, and its alternatives, each with a score as its weight is to the leading one's."""
    lead = max(1.0 - sum(weight for _, weight in alternatives), 1e-3)
    return [(T_camera_object, score), *((T, score * min(weight / lead, 1.0)) for T, weight in alternatives)]
