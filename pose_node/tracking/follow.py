"""One object from a predicted pose to this frame's: no search, no network, a fraction of a detection.

The points near the predicted surface are the segment (or the mask, where one is given), the prediction is the only
hypothesis, and the same refinement and the same score as of a detection say where it is now, or why it cannot be told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pose_node.arrays import Array, Indices
from pose_node.config import PipelineConfig
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.image_view import Lattice, Patch
from pose_node.measurement.scene import Scene
from pose_node.objects.card import ObjectCard
from pose_node.pose.likelihood import Likelihood
from pose_node.pose.refine import Refiner
from pose_node.types import Estimate, Evidence, Hypothesis, Rejected, Segment

_AROUND_REL = 0.9  # of the diameter: what lies farther from the predicted centre neither hides nor touches the object
_BAND_REL = 0.08  # of the diameter: points nearer to the predicted surface may be the object's
_SIGMAS = 3.0  # of the prediction, by which the band is wider
_WIDEST_REL = 0.25
_POINTS = 256  # that normals are estimated at, and that are fitted
_STEP_REL = 1e-3  # of the last step: what is measured again in the next frame need not be exact to rounding
_MOST = 12  # steps
_SAMPLES = 1024  # of the surface that are compared with the measurement
_GONE = 0.5  # share of the surface that stands in measured free space: nothing is there
_FAR_REL = 0.5  # a fit this many diameters from the prediction is of something else


class Follower:
    """Follows the objects that have a refiner and a likelihood."""

    def __init__(
        self, refiners: Mapping[str, Refiner], likelihoods: Mapping[str, Likelihood], config: PipelineConfig
    ) -> None:
        self._refiners, self._likelihoods, self.config = refiners, likelihoods, config
        self._lattice: Lattice | None = None  # of the last frame

    def follow(
        self,
        name: str,
        cloud: Cloud,
        T_camera_object: Array,
        covariance: Array,
        moving: bool = False,
        mask: Indices | None = None,
    ) -> Estimate | Rejected:
        """The estimate of ``name`` nearest to the prediction T_camera_object [4, 4] with its ``covariance`` [6, 6].

        mask: rows of the cloud that somebody said are the object. moving: the prediction may be off by more than noise.
        A refusal's code is out_of_view, out_of_reach, hidden, gone or low_score.
        """
        refiner = self._refiners[name]
        card = refiner.card
        centre_m = T_camera_object[:3, :3] @ card.centre_m + T_camera_object[:3, 3]
        around = self._around(cloud, centre_m, card)
        if mask is None:
            sigma_m = np.sqrt(np.trace(covariance[:3, :3]) / 3.0)
            band_m = min(_BAND_REL * card.diameter_m + _SIGMAS * sigma_m, _WIDEST_REL * card.diameter_m)
            off = around.points_m - centre_m
            ball = np.flatnonzero(np.einsum("ni,ni->n", off, off) < (0.5 * card.diameter_m + band_m) ** 2)
            x = (around.points_m[ball] - T_camera_object[:3, 3]) @ T_camera_object[:3, :3]
            near = ball[refiner.lookup.distance_bound(x) < band_m]
            # Of points whose object nobody names, detections ignore those out of reach: so does following.
            range_m = np.linalg.norm(around.points_m[near] - around.viewpoint_m, axis=1)
            reach = self.config.segment
            rows = near[(range_m >= reach.near_m) & (range_m <= reach.far_m)]
            if len(rows) < self.config.infer.min_points <= len(near):
                where = f"found at {np.median(range_m):.2f} m, expected within {reach.near_m:g} to {reach.far_m:g} m"
                return Rejected("out_of_reach", f"{name}: {where} (segment.near_m, segment.far_m).", name)
        else:
            rows = np.flatnonzero(np.isin(around.rows, mask))
        if len(rows) < self.config.infer.min_points:
            return Rejected(*_why_no_points(name, around, T_camera_object, self.config.infer.min_points), name)
        segment = Segment(rows, "track" if mask is None else "mask", name)
        view = around.view(segment)
        T = T_camera_object
        if moving:
            T = refiner.coarse(T[None], view)[0]
        refined = refiner.fine(
            Hypothesis(name, T, segment, "expected"),
            around,
            passes=1,
            step_rel=_STEP_REL,
            max_steps=_MOST,
            model_smoothing=True,
        )
        T = refined.T_camera_object
        scores = self._likelihoods[name].score(T[None], view, _SAMPLES, len(view.points_m), exact=True)[0]
        score = float(scores.score)
        moved_m = float(np.linalg.norm((T - T_camera_object)[:3] @ np.append(card.centre_m, 1.0)))
        found = Segment(around.rows[rows], segment.source, name)
        least = self.config.track.min_score_share * self.config.judge.min_score
        if scores.violated > _GONE:
            return Rejected("gone", f"{name}: the sensor sees through where it stood.", name, found, score)
        if moved_m > _FAR_REL * card.diameter_m or score < least:
            if scores.occluded > 0.5:
                return Rejected("hidden", f"{name}: {scores.occluded:.0%} of it is hidden.", name, found, score)
            wanted = f"expected at least {least:.2f} where it was."
            return Rejected("low_score", f"{name}: score {score:.2f}, {wanted}", name, found, score)
        evidence = Evidence(
            float(scores.explained),
            float(scores.violated),
            float(scores.occluded),
            float(scores.covered),
            refined.inlier_fraction,
            refined.rms_m,
        )
        return Estimate(name, T, score, refined.covariance, evidence, found)

    def _around(self, cloud: Cloud, centre_m: Array, card: ObjectCard) -> _Cut | Patch:
        """What was measured around the object, with whatever stands before it."""
        reach_m = _AROUND_REL * card.diameter_m
        if cloud.K is not None:
            if self._lattice is None or self._lattice.cloud is not cloud:
                self._lattice = Lattice(cloud, cloud.K)
            patch = self._lattice.around(centre_m, reach_m, card.diameter_m, _POINTS)
            if patch is not None:
                return patch
        return _Cut(cloud, centre_m, reach_m, card)


class _Cut:
    """The part of a bare cloud around an object and before it: in the cone from the viewpoint, not far behind."""

    def __init__(self, cloud: Cloud, centre_m: Array, reach_m: float, card: ObjectCard) -> None:
        self.rows = _in_cone(cloud, centre_m, reach_m)
        self.points_m, self.viewpoint_m = cloud.points_m[self.rows], cloud.viewpoint_m
        cut = replace(cloud, points_m=self.points_m, source_index=cloud.source_index[self.rows])
        scene = Scene(cut, {card.name: card}, _POINTS)
        self.view, self.rays = scene.view, scene.rays

    def __len__(self) -> int:
        return len(self.rows)


def _in_cone(cloud: Cloud, centre_m: Array, reach_m: float) -> Indices:
    away = centre_m - cloud.viewpoint_m
    range_m = float(np.linalg.norm(away))
    if range_m <= reach_m:
        return np.arange(len(cloud))
    relative = cloud.points_m - cloud.viewpoint_m
    along = relative @ (away / range_m)
    across2 = np.einsum("ni,ni->n", relative, relative) - along * along
    return np.flatnonzero((along > 0.0) & (across2 < np.square(reach_m / range_m * along)))


def _why_no_points(name: str, around: _Cut | Patch, T: Array, least: int) -> tuple[str, str]:
    """Code and sentence for a prediction near to which too little was measured."""
    if len(around) == 0:
        return "out_of_view", f"{name}: no reading in the direction where it is expected."
    range_m = float(np.linalg.norm(T[:3, 3] - around.viewpoint_m))
    nearer = np.linalg.norm(around.points_m - around.viewpoint_m, axis=1) < range_m
    if nearer.mean() > 0.5:
        return "hidden", f"{name}: something nearer stands before where it is expected."
    return "gone", f"{name}: fewer than {least} points where it is expected, and the sensor sees what is behind."
