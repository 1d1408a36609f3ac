"""Follows one object from its predicted pose to this frame's, without search or network, at a fraction of a detection's cost.

The points near the predicted surface are the segment (or the mask, where one is given), and the prediction is the only
hypothesis. Refinement and score are those of a detection; their result is the object's pose, or the reason why there is none.
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
from pose_node.measurement.sensor import Sensor
from pose_node.objects.card import ObjectCard
from pose_node.pose.likelihood import Likelihood
from pose_node.pose.refine import Refiner
from pose_node.types import Estimate, Evidence, Hypothesis, Refined, Rejected, Segment

_AROUND_REL = (
    0.9  # of the diameter: what lies farther from the predicted centre neither occludes nor touches the object
)
_SIGMAS = 3.0  # of the prediction: points nearer to its surface than this, and the sensor's gap, may be the object's
_MAX_BAND_REL = 0.25
_POINTS = 256  # that get normals and are fitted
_STEP_REL = 1e-3  # converged: steps below this, in diameters and radians; the next frame measures again
_MAX_STEPS = 12
_SAMPLES = 1024  # of the surface, for the score
_MOST = 0.5  # share of the surface in measured free space, or occluded, beyond which the object is gone, or hidden
_FAR_REL = 0.5  # of the diameter: a fit farther than this from the prediction is of something else


class Follower:
    """Follows the objects that have a refiner and a likelihood."""

    def __init__(
        self, refiners: Mapping[str, Refiner], likelihoods: Mapping[str, Likelihood], config: PipelineConfig
    ) -> None:
        self._refiners, self._likelihoods, self.config = refiners, likelihoods, config
        self._sensor = Sensor.from_config(config.sensor)
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

        mask: ascending rows of the cloud that a mask marks as the object. moving: the prediction may be off by more than
        noise, so a coarse fit comes first. Codes of refusals: out_of_view, out_of_reach, hidden, gone, low_score.
        """
        refiner = self._refiners[name]
        centre_m = T_camera_object[:3, :3] @ refiner.card.centre_m + T_camera_object[:3, 3]
        around = self._around(cloud, centre_m, refiner.card)
        if mask is None:
            rows = self._near(around, refiner, T_camera_object, centre_m, covariance)
            if isinstance(rows, Rejected):
                return rows
        else:
            rows = np.flatnonzero(np.isin(around.rows, mask))
        if len(rows) < self.config.infer.min_points:
            return Rejected(*_why_no_points(name, around, T_camera_object, self.config.infer.min_points), name)
        segment = Segment(rows, "track" if mask is None else "mask", name)
        T = T_camera_object
        if moving:
            T = refiner.coarse(T[None], around.view(segment))[0]
        refined = refiner.fine(
            Hypothesis(name, T, segment, "expected"),
            around,
            passes=1,
            step_rel=_STEP_REL,
            max_steps=_MAX_STEPS,
            model_smoothing=True,
        )
        return self._outcome(refined, around, T_camera_object)

    def _near(
        self, around: _Cut | Patch, refiner: Refiner, T: Array, centre_m: Array, covariance: Array
    ) -> Indices | Rejected:
        """Rows of ``around`` near the surface at the prediction T [4, 4]; refused when only points out of reach are."""
        card = refiner.card
        sigma_m = np.sqrt(np.trace(covariance[:3, :3]) / 3.0)
        gap_m = 2.0 * self._sensor.tolerance_m(float(np.linalg.norm(centre_m - around.viewpoint_m)))
        band_m = min(gap_m + _SIGMAS * sigma_m, _MAX_BAND_REL * card.diameter_m)
        off = around.points_m - centre_m
        ball = np.flatnonzero(np.einsum("ni,ni->n", off, off) < (0.5 * card.diameter_m + band_m) ** 2)
        x = (around.points_m[ball] - T[:3, 3]) @ T[:3, :3]
        near = ball[refiner.lookup.distance_bound(x) < band_m]
        # Without a mask, detections ignore points out of reach; so does following.
        range_m = np.linalg.norm(around.points_m[near] - around.viewpoint_m, axis=1)
        reach = self.config.segment
        rows = near[(range_m >= reach.near_m) & (range_m <= reach.far_m)]
        if len(rows) < self.config.infer.min_points <= len(near):
            where = f"found at {np.median(range_m):.2f} m, expected within {reach.near_m:g} to {reach.far_m:g} m"
            return Rejected("out_of_reach", f"{card.name}: {where} (segment.near_m, segment.far_m).", card.name)
        return rows

    def _outcome(self, refined: Refined, around: _Cut | Patch, T_expected: Array) -> Estimate | Rejected:
        """The estimate of a refined pose, or why it is none: gone, hidden or low_score."""
        name, segment, T = refined.hypothesis.object_name, refined.hypothesis.segment, refined.T_camera_object
        card, view = self._refiners[name].card, around.view(segment)
        scores = self._likelihoods[name].score(T[None], view, _SAMPLES, len(view.points_m), exact=True)[0]
        score = float(scores.score)
        moved_m = float(np.linalg.norm((T - T_expected)[:3] @ np.append(card.centre_m, 1.0)))
        found = Segment(around.rows[segment.indices], segment.source, name)
        least = self.config.track.min_score_share * self.config.judge.min_score
        if scores.violated > _MOST:
            return Rejected("gone", f"{name}: the sensor sees free space where it was.", name, found, score)
        if moved_m > _FAR_REL * card.diameter_m or score < least:
            if scores.occluded > _MOST:
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
        """What was measured around the object, and in front of it."""
        reach_m = _AROUND_REL * card.diameter_m
        if cloud.K is not None:
            if self._lattice is None or self._lattice.cloud is not cloud:
                self._lattice = Lattice(cloud, cloud.K, self._sensor)
            patch = self._lattice.around(centre_m, reach_m, card.diameter_m, _POINTS)
            if patch is not None:
                return patch
        return _Cut(cloud, centre_m, reach_m, card, self._sensor)


class _Cut:
    """The part of a bare cloud around an object, in front of it and behind: within the cone from the viewpoint."""

    def __init__(self, cloud: Cloud, centre_m: Array, reach_m: float, card: ObjectCard, sensor: Sensor) -> None:
        self.rows = _in_cone(cloud, centre_m, reach_m)
        self.points_m, self.viewpoint_m = cloud.points_m[self.rows], cloud.viewpoint_m
        cut = replace(cloud, points_m=self.points_m, source_index=cloud.source_index[self.rows])
        scene = Scene(cut, {card.name: card}, _POINTS, sensor)
        self.view, self.rays = scene.view, scene.rays

    def __len__(self) -> int:
        return len(self.rows)


def _in_cone(cloud: Cloud, centre_m: Array, reach_m: float) -> Indices:
    """Rows of the points in the cone from the viewpoint around the ball of radius ``reach_m`` at ``centre_m`` [3]."""
    away = centre_m - cloud.viewpoint_m
    range_m = float(np.linalg.norm(away))
    if range_m <= reach_m:
        return np.arange(len(cloud))
    relative = cloud.points_m - cloud.viewpoint_m
    along = relative @ (away / range_m)
    across2 = np.einsum("ni,ni->n", relative, relative) - along * along
    return np.flatnonzero((along > 0.0) & (across2 < np.square(reach_m / range_m * along)))


def _why_no_points(name: str, around: _Cut | Patch, T: Array, least: int) -> tuple[str, str]:
    """Code and reason of the refusal when fewer than ``least`` points are near the prediction T [4, 4]."""
    if len(around) == 0:
        return "out_of_view", f"{name}: no reading in the direction where it is expected."
    range_m = float(np.linalg.norm(T[:3, 3] - around.viewpoint_m))
    nearer = np.linalg.norm(around.points_m - around.viewpoint_m, axis=1) < range_m
    if nearer.mean() > 0.5:
        return "hidden", f"{name}: something nearer hides the place where it is expected."
    return "gone", f"{name}: found fewer than {least} points where it is expected; the sensor sees what is behind."
