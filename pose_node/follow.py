"""One object from a predicted pose to this frame's: no search, no network, a fraction of a detection.

The points near the predicted surface are the segment (or the mask, where one is given), the prediction is the only
hypothesis, and the same refinement and the same score as of a detection say where it is now, or why it cannot be told.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pose_node.cloud import Cloud
from pose_node.config import PipelineConfig
from pose_node.judge import Judge
from pose_node.scene import Scene
from pose_node.types import Array, Estimate, Evidence, Hypothesis, Indices, Rejected, Segment

_AROUND_REL = 0.9  # of the diameter: what lies farther from the predicted centre neither hides nor touches the object
_BAND_REL = 0.08  # of the diameter: points nearer to the predicted surface may be the object's
_SIGMAS = 3.0  # of the prediction, by which the band is wider
_WIDEST_REL = 0.25
_POINTS = 400  # that normals are estimated at, and that are fitted
_ENOUGH = 2500  # pixels of an object: a finer image of it is thinned, for it says little more
_STEP_REL = 1e-4  # of the last step: what is measured again in the next frame need not be exact to rounding
_SAMPLES = 1024  # of the surface that are compared with the measurement
_GONE = 0.5  # share of the surface that stands in measured free space: nothing is there
_FAR_REL = 0.5  # a fit this many diameters from the prediction is of something else


class Follower:
    """Follows the objects of a judge's cards."""

    def __init__(self, judge: Judge, config: PipelineConfig) -> None:
        self._judge, self._config = judge, config
        self._least = config.track.min_score_share * config.judge.min_score

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
        A refusal's code is out_of_view, hidden, gone or low_score.
        """
        card, refiner = self._judge.cards[name], self._judge.refiners[name]
        centre_m = T_camera_object[:3, :3] @ card.centre_m + T_camera_object[:3, 3]
        near = _near(cloud, centre_m, card.diameter_m)
        around = replace(cloud, points_m=cloud.points_m[near], source_index=cloud.source_index[near])
        if mask is None:
            sigma_m = np.sqrt(np.trace(covariance[:3, :3]) / 3.0)
            band_m = min(_BAND_REL * card.diameter_m + _SIGMAS * sigma_m, _WIDEST_REL * card.diameter_m)
            x = (around.points_m - T_camera_object[:3, 3]) @ T_camera_object[:3, :3]
            rows = np.flatnonzero(refiner.lookup.distance_bound(x) < band_m)
        else:
            rows = np.flatnonzero(np.isin(near, mask))
        if len(rows) < self._config.infer.min_points:
            return Rejected(*_why_no_points(name, around, T_camera_object, self._config.infer.min_points), name)
        segment = Segment(rows, "track" if mask is None else "mask", name)
        scene = Scene(around, {name: card}, _POINTS)
        view = scene.view(segment)
        T = T_camera_object
        if moving:
            T = refiner.coarse_poses(T[None], view)[0]
        refined = refiner.fine(Hypothesis(name, T, segment, "expected"), scene, looks=1, step_rel=_STEP_REL)
        T = refined.T_camera_object
        scores = self._judge.visibility[name].score(T[None], view, _SAMPLES, len(view.points_m), exact=True)[0]
        score = float(scores.score)
        moved_m = float(np.linalg.norm((T - T_camera_object)[:3] @ np.append(card.centre_m, 1.0)))
        found = Segment(near[rows], segment.source, name)
        if scores.violated > _GONE:
            return Rejected("gone", f"{name}: the sensor sees through where it stood.", name, found, score)
        if (
            moved_m > _FAR_REL * card.diameter_m
            or score < self._least
            or (not refined.converged and score < 2 * self._least)
        ):
            if scores.occluded > 0.5:
                return Rejected("hidden", f"{name}: {scores.occluded:.0%} of it is hidden.", name, found, score)
            wanted = f"expected at least {self._least:.2f} where it was."
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


def _near(cloud: Cloud, centre_m: Array, diameter_m: float) -> Indices:
    """Rows of the cloud around the object, and before it: in the cone from the viewpoint, not far behind.

    Of an image that shows the object large, every so many rows and columns.
    """
    reach_m = _AROUND_REL * diameter_m
    away = centre_m - cloud.viewpoint_m
    range_m = float(np.linalg.norm(away))
    if range_m <= reach_m:
        return np.arange(len(cloud))
    index = np.arange(len(cloud)) if cloud.K is None else _in_window(cloud, cloud.K, centre_m, reach_m, diameter_m)
    relative = cloud.points_m[index] - cloud.viewpoint_m
    along = relative @ (away / range_m)
    across2 = np.einsum("ni,ni->n", relative, relative) - along * along
    return index[(along > 0.0) & (across2 < np.square(reach_m / range_m * along))]


def _in_window(cloud: Cloud, K: Array, centre_m: Array, reach_m: float, diameter_m: float) -> Indices:
    """Rows of a depth image's cloud in the pixels that a sphere about ``centre_m`` can touch, thinned where they are many."""
    height, width = cloud.shape
    z = float(centre_m[2])
    if z <= reach_m:
        return np.arange(len(cloud))
    # A little wider than the sphere: its outline is an ellipse, longest away from the optical axis.
    slant = 1.0 + float(np.linalg.norm(centre_m[:2])) / z
    half = slant * reach_m / (z - reach_m) * max(K[0, 0], K[1, 1])
    u, v = (K @ (centre_m / z))[:2]
    top, bottom = np.clip([v - half, v + half + 1.0], 0, height).astype(int)
    start, stop = np.searchsorted(cloud.source_index, (top * width, bottom * width))
    row, column = np.divmod(cloud.source_index[start:stop].astype(np.int32), np.int32(width))
    inside = np.abs(column - u) < half
    stride = int(np.sqrt(np.pi / 4.0 * (diameter_m / z * K[0, 0]) ** 2 / 2.0 / _ENOUGH))  # it fills half of its circle
    if stride > 1:
        inside &= (row % stride == 0) & (column % stride == 0)
    return start + np.flatnonzero(inside)


def _why_no_points(name: str, around: Cloud, T: Array, least: int) -> tuple[str, str]:
    """Code and sentence for a prediction near to which too little was measured."""
    if len(around) == 0:
        return "out_of_view", f"{name}: no reading in the direction where it is expected."
    range_m = float(np.linalg.norm(T[:3, 3] - around.viewpoint_m))
    nearer = np.linalg.norm(around.points_m - around.viewpoint_m, axis=1) < range_m
    if nearer.mean() > 0.5:
        return "hidden", f"{name}: something nearer stands before where it is expected."
    return "gone", f"{name}: fewer than {least} points where it is expected, and the sensor sees what is behind."
