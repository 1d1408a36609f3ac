"""The values that the stages of the chain pass on: frozen, checked where they are made.

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

Masks = Mapping[str, Sequence[NDArray[np.bool_]]]
SegmentSource = Literal["mask", "box", "cluster", "votes", "track"]
TrackState = Literal["tentative", "confirmed", "lost"]
HypothesisSource = Literal["match", "expected", "confusion", "blind"]


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Points that may belong to one instance.

    indices:     [M] rows of ``Cloud.points_m``, in ascending order.
    source:      where the segment comes from: "mask" and "box" from the caller, "cluster" from the surface, "votes" a box
                 trimmed to the points that vote for one centre, "track" from tracking.
    object_name: the only object to look for here, or None for any.
    objects:     for clusters, the objects whose size fits, best first; empty: any.
    off_support: [C] for clusters, the rows that are not next to the supporting surface; else None.
    untrimmed:   [M' >= M] the segment's rows before the network trimmed it; None where it did not.
    """

    indices: Indices
    source: SegmentSource
    object_name: str | None = None
    objects: tuple[str, ...] = ()
    off_support: Indices | None = None
    untrimmed: Indices | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """The M centres of a segment's sample, each with the K most similar of the places in an object's bank, best first.

    Lengths are in object diameters.
    points:      [M, 3] the centres, in the cloud's axes, relative to ``origin_m`` [3] (cloud frame, metres).
    places:      [M, K, 3] in the object's axes, relative to ``centre_m`` [3] (object frame, metres).
    similarity:  [M, K] cosine of the two descriptors.
    probability: [M, K] that the centre shows this place, if it shows the object at all: a softmax over the whole bank, of which
                 the K kept hold most but not all.
    quality:     [M] probability that a centre's best match is right.
    diameter_m:  the object's.
    """

    points: NDArray[np.float32]
    places: NDArray[np.float32]
    similarity: NDArray[np.float32]
    probability: NDArray[np.float32]
    quality: Array
    origin_m: Array
    centre_m: Array
    diameter_m: float


@dataclass(frozen=True, slots=True, eq=False)
class Hypothesis:
    """A proposed pose: ``T_camera_object`` [4, 4], its ``source``, and the segment that it should explain.

    confidence: in [0, 1], comparable only between hypotheses of one source; after the shortlist, the coarse score.
    matches:    of the segment's sample with the object's bank, the same for all hypotheses of a segment and object; None where
                the hypothesis comes from elsewhere (expected, tracked).
    """

    object_name: str
    T_camera_object: Array
    segment: Segment
    source: HypothesisSource
    confidence: float = 1.0
    matches: Matches | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Refined:
    """A hypothesis after refinement.

    T_camera_object: [4, 4] the refined pose.

    information:     [6, 6] Gauss-Newton matrix of the last step, in 1/m^2 and 1/rad^2, in the order and axes of covariances.
    covariance:      [6, 6] of the pose, see ``Estimate.covariance``.
    inlier_fraction: share of the segment's points within the inlier distance of the model's surface.
    rms_m:           root mean square point-to-plane distance of those inliers.
    iterations, converged: of the refinement.
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
    """What supports an estimate. All are in [0, 1] but ``rms_m``.

    explained:       share of the model's visible surface that the measurement confirms.
    violated:        share of the model's visible surface that lies in measured free space.
    occluded:        share of the model's surface hidden behind something nearer (it does not count against the pose).
    covered:         share of the segment's points that the model explains.
    inlier_fraction, rms_m: as in ``Refined``.
    agreement:       share of the match probability that the pose makes true; 1 where the segment was not matched.
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
    """One instance of an object: its pose, how sure it is, and the evidence.

    T_camera_object: [4, 4], object frame to the cloud's frame.
    score:           in [0, 1].
    covariance:      [6, 6] ROS order, axes of the cloud's frame, at the object's origin, decoupled: t = t_hat + dt,
                     R = Exp(dtheta) R_hat. Describes the leading mode.
    segment:         the points that the estimate explains.
    alternatives:    other orientations at this place: ((T_camera_object, weight), ...), best first; their weights and that
                     of the leading mode add up to one.
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
    """A segment, hypothesis or request that was refused: the ``reason`` as one sentence, and a stable ``code`` for counting."""

    code: str
    reason: str
    object_name: str | None = None
    segment: Segment | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What ``Pipeline.estimate`` found.

    estimates:  best first. rejected: what was refused, and why.
    segments, hypotheses, refined: the chain's intermediate results, for inspection.
    stage_s:    seconds spent in each stage: segment, infer, shortlist, refine, decide.
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

    T_fixed_object: [4, 4] at the frame's stamp.
    covariance:     [6, 6] as ``Estimate.covariance``, in the fixed frame's axes.
    velocity:       [6] m/s and rad/s in the fixed frame; zero for an object that stands still.
    score:          of the last estimate that confirmed it.
    state:          "confirmed" once it was seen often enough and is three times as likely right as wrong; "tentative" before,
                    and again when detections make it unlikely; "lost" when it was not seen for a while, with the ``reason``.
    seen_ns:        stamp of the last frame in which it was seen.
    estimate:       this frame's, or None where it was not seen.
    alternatives:   ((T_fixed_object, weight), ...) other orientations that are not ruled out yet.
    note:           one sentence on a change in this frame other than motion; else empty.
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
        """The object's name with the track's number: its id in detections and its frame on /tf."""
        return track_name(self.object_name, self.track_id)


def track_name(object_name: str, track_id: int) -> str:
    """The track's name, for example mustard_bottle_1."""
    return f"{object_name}_{track_id}"


def detection_id(name: str, state: str) -> str:
    """A track's id in detections: its name when confirmed, else name and state, for example mustard_bottle_1/tentative."""
    return name if state == "confirmed" else f"{name}/{state}"


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What ``Pipeline.step`` returns for one frame: its own result, and all tracks, oldest first.

    T_fixed_camera: [4, 4] the camera's pose at the frame.
    """

    result: Result
    tracks: tuple[Track, ...]
    T_fixed_camera: Array


def scored_poses(
    T_camera_object: Array, score: float, alternatives: Sequence[tuple[Array, float]]
) -> list[tuple[Array, float]]:
    """The leading pose with its score, then the alternatives, their scores in proportion to their weights.

    T_camera_object: [4, 4]; alternatives: ((T_camera_object, weight), ...). Returns [(T_camera_object, score), ...].
    """
    lead = max(1.0 - sum(weight for _, weight in alternatives), 1e-3)
    return [(T_camera_object, score), *((T, score * min(weight / lead, 1.0)) for T, weight in alternatives)]
