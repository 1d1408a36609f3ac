"""Point-to-plane ICP of hypotheses against the model's surface: many at once approximately, or one to convergence.

All steps are computed in the object frame, from subsets of points that do not depend on the camera: a rigid motion of points
and viewpoint moves the result with it. (Point-to-plane ICP: Chen and Medioni, "Object modeling by registration of multiple
range images", 1992; here with Tukey's biweight and the outline as further residuals.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from pose_node.arrays import Array, Indices
from pose_node.config import RefineConfig
from pose_node.geometry.se3 import project_so3, transform
from pose_node.measurement.sampling import evenly_spaced
from pose_node.measurement.scene import Scene
from pose_node.measurement.sensor import DEFAULT, Sensor
from pose_node.measurement.view import View, Views
from pose_node.objects.card import ObjectCard
from pose_node.objects.surface_lookup import SurfaceLookup
from pose_node.pose.covariance import effective_count, pose_covariance
from pose_node.pose.depth_smoothing import DepthSmoothing
from pose_node.pose.gauss_newton import GaussNewton
from pose_node.pose.grouping import by_segment_and_object
from pose_node.pose.outline import Contour, find_outline
from pose_node.pose.residuals import Edges, Residuals, biweight, weighted_rms, with_edges, with_overhang
from pose_node.types import Hypothesis, Refined

_POLISH_STEPS = 6
_STEP_REL = 1e-6  # converged: steps below this, in diameters and radians
_NEAR_REL = 1e-3  # steps below this: close enough to estimate the residuals' spread
_REACH_SIGMAS = 4.5  # of the residuals
_MIN_REACH_SIGMAS = 2.0  # of the sensor
_EDGE_SPACINGS = 2.0  # of the samples; a point nearer to them than this is not beyond an edge
_STEPS_PER_PASS = 12
_OUTLINE_PASSES = 3  # the outline is measured anew at the pose that the last pass led to
_MIN_FACING = 0.3  # cosine below which a point does not belong to a piece of surface


def refine_all(hypotheses: Sequence[Hypothesis], refiners: Mapping[str, Refiner], scene: Scene) -> list[Refined]:
    """All hypotheses refined, grouped by object and segment.

    A hypothesis with competitors gets a single outline pass, which is enough to compare them; the selection refines the
    winner fully.
    """
    refined = []
    for group in by_segment_and_object(hypotheses, key=lambda h: h):
        passes = 1 if len(group) > 1 else _OUTLINE_PASSES
        refined += [refiners[h.object_name].fine(h, scene, passes) for h in group]
    return refined


class Refiner:
    """Refines poses of one object, measured by ``sensor``.

    lookup: the table of the card's surface, made here where none is given.
    """

    def __init__(
        self, card: ObjectCard, config: RefineConfig, lookup: SurfaceLookup | None = None, sensor: Sensor = DEFAULT
    ) -> None:
        self.card, self.config, self.sensor = card, config, sensor
        self.lookup = lookup or SurfaceLookup(card.surface, card.diameter_m)
        self.contour = Contour(card.surface, self.lookup.spacing_m, sensor)
        self._solver = GaussNewton(card)

    @cached_property
    def smoothing(self) -> DepthSmoothing:
        """Smoothing offsets of this object; computed on first use, since only tracks need them."""
        return DepthSmoothing(self.lookup)

    def coarse(self, T: Array, view: View, iterations: int | None = None, first_rel: float = 0.15) -> Array:
        """ICP of poses T [B, 4, 4] with the table alone: [B, 4, 4]. Stops after a fixed number of ``iterations``.

        The correspondence distance shrinks from ``first_rel`` diameters to the inlier distance.
        """
        iterations = iterations or self.config.coarse_iterations
        pick = evenly_spaced(len(view.points_m), self.config.coarse_points)
        points, normals = view.points_m[pick], view.normals[pick]
        last_rel = max(self.config.inlier_distance_rel, 2.0 * self.lookup.table_error_m / self.card.diameter_m)
        reach = self.card.diameter_m * np.geomspace(max(first_rel, last_rel), last_rel, iterations)
        for reach_m in reach:
            x, turned = _into_object(T, points, normals)
            near = self.lookup.nearest(x, turned)
            gradient = self.lookup.normals[near]
            offset = x - self.lookup.points_m[near]
            residual = np.einsum("bni,bni->bn", offset, gradient)
            distance2 = np.einsum("bni,bni->bn", offset, offset)
            facing = np.einsum("bni,bni->bn", turned, gradient)
            weight = biweight(distance2 / (reach_m * reach_m)) * np.maximum(facing - _MIN_FACING, 0.0)
            fit = with_overhang(Residuals(residual, gradient, weight, x, len(pick)), offset, self.lookup.table_error_m)
            T = self._solver.damped(T, fit)[0]
        return T

    def polish(self, T: Array, view: View) -> Array:
        """A few steps of poses T [B, 4, 4] against the smooth surface, for the few that are compared closely: [B, 4, 4]."""
        pick = evenly_spaced(len(view.points_m), self.config.coarse_points)
        points, normals = view.points_m[pick], view.normals[pick]
        reach_m = self.config.inlier_distance_rel * self.card.diameter_m
        near = None
        for _ in range(_POLISH_STEPS):
            fit = self._linearise(T, points, normals, reach_m, near)
            T, near = self._solver.observable(T, fit)[0], fit.near
        return T

    def fine(
        self,
        hypothesis: Hypothesis,
        scene: Views,
        passes: int = _OUTLINE_PASSES,
        step_rel: float = _STEP_REL,
        max_steps: int | None = None,
        model_smoothing: bool = False,
    ) -> Refined:
        """One hypothesis to convergence: the fixed point does not depend on where nearby it started.

        passes:          how often the outline is measured anew; segments that are not masks have none.
        step_rel:        converged when steps are below this, in diameters and radians.
        max_steps:       for a start that is known to be near. By default the configuration's, after a first approach.
        model_smoothing: correct for the camera's smoothing, which is below the noise of one frame but matters where many are
                         averaged.
        """
        approach = 0 if max_steps else self.config.max_iterations // 3
        max_steps = max_steps or self.config.max_iterations
        view = scene.view(hypothesis.segment)
        pick = evenly_spaced(len(view.points_m), self.config.points)
        points, normals = view.points_m[pick], view.normals[pick]
        reach_m = self.config.inlier_distance_rel * self.card.diameter_m
        viewpoint_m = view.viewpoint_m if model_smoothing else None
        T, fit, steps, _ = self._descend(
            hypothesis.T_camera_object, points[::2], normals[::2], reach_m, _NEAR_REL, approach, viewpoint_m
        )
        reach_m = self._noise_reach(fit, reach_m, view.range_m)
        # The borders of a segment that is not a mask are uncertain: there the surface alone decides.
        for remaining in reversed(range(passes if view.trusted else 1)):
            outline = find_outline(self.contour, T, view, scene.rays(hypothesis.segment)) if view.trusted else None
            every_other = 2 if remaining else 1
            p, n = points[::every_other], normals[::every_other]
            edges = None if outline is None else Edges(outline, self._information(fit, len(p), view))
            least, most = (_NEAR_REL, _STEPS_PER_PASS) if remaining else (step_rel, max_steps)
            T, fit, more, converged = self._descend(T, p, n, reach_m, least, most, viewpoint_m, edges)
            steps += more
        T = transform(project_so3(T[:3, :3]), T[:3, 3])
        residual, weight = fit.residual[0, : len(points)], fit.weight[0, : len(points)]
        inlier = weight > 0.0
        rms_m = weighted_rms(residual, weight) if inlier.any() else reach_m
        information, covariance = pose_covariance(
            T,
            fit.x[0],
            fit.gradient[0],
            fit.weight[0],
            self._information(fit, len(points), view),
            T[:3, :3] @ self.card.centre_m + T[:3, 3] - view.viewpoint_m,
            self.card,
            self.sensor,
        )
        return Refined(hypothesis, T, information, covariance, float(inlier.mean()), rms_m, steps, converged)

    def _information(self, fit: Residuals, points: int, view: View) -> float:
        """Information in 1/m^2 of one of ``points`` sampled points: less where the errors of neighbours are correlated."""
        rows = fit.points
        residual, weight = fit.residual[0, :rows], fit.weight[0, :rows]
        correlation_m = self.sensor.correlation_m(view.range_m)
        independent = effective_count(
            fit.x[0, :rows], residual, weight, view.count, self.card.diameter_m, correlation_m
        )
        inliers = max(float((weight > 0.0).mean()) * points, 1.0)
        return independent / inliers / max(self.sensor.sigma_m(view.range_m), weighted_rms(residual, weight)) ** 2

    def _descend(
        self,
        T: Array,
        points: Array,
        normals: Array,
        reach_m: float,
        step_rel: float,
        max_steps: int,
        viewpoint_m: Array | None = None,
        edges: Edges | None = None,
    ) -> tuple[Array, Residuals, int, bool]:
        """Steps of one pose T [4, 4] until they are shorter than ``step_rel``: pose, last residuals, steps made, converged.

        viewpoint_m: [3] of a camera whose smoothing is corrected for.
        """
        T = T[None]
        smoothed = None if viewpoint_m is None else _Smoothed(self.smoothing, self.sensor.smoothing_rad, viewpoint_m)
        fit = self._linearise(T, points, normals, reach_m, smoothed=smoothed, edges=edges)
        gain, last = 1.0, np.zeros(6)
        for iteration in range(1, max_steps + 1):
            T, (step,) = self._solver.observable(T, fit, gain)
            # A step back means that correspondences jump between here and there: approach that place with shorter steps.
            gain, last = (0.5 * gain if step @ last < 0.0 else gain), step
            fit = self._linearise(T, points, normals, reach_m, fit.near, smoothed, edges)
            if np.abs(step).max() < step_rel:
                return T[0], fit, iteration, True
        return T[0], fit, max_steps, False

    def _noise_reach(self, fit: Residuals, reach_m: float, range_m: float) -> float:
        """Correspondence distance in metres from the residuals' own spread (median absolute deviation), at most ``reach_m``."""
        near = np.abs(fit.residual[:, : fit.points][fit.weight[:, : fit.points] > 0.0])
        if len(near) == 0:
            return reach_m
        least_m = min(_MIN_REACH_SIGMAS * self.sensor.sigma_m(range_m), reach_m)
        return float(np.clip(_REACH_SIGMAS * 1.4826 * np.median(near), least_m, reach_m))

    def _linearise(
        self,
        T: Array,
        points: Array,
        normals: Array,
        reach_m: float,
        near: Indices | None = None,
        smoothed: _Smoothed | None = None,
        edges: Edges | None = None,
    ) -> Residuals:
        """Residuals of poses T [B, 4, 4] against the smooth surface; points farther from it than ``reach_m`` have no weight.

        near: the last linearisation's, to save work. smoothed: of a single pose, the correction for the camera's smoothing.
        """
        x, turned = _into_object(T, points, normals)
        flat = turned.reshape(-1, 3)
        residual, gradient, offset, near = self.lookup.surface(x.reshape(-1, 3), flat, near)
        facing = np.einsum("ni,ni->n", flat, gradient)
        certainty: Array | float = 1.0
        if smoothed is not None:
            shift, certainty = smoothed.offsets(T[0], x[0], gradient, near)
            residual = residual - shift
        close = biweight(np.square(residual / reach_m))
        on = biweight(np.einsum("ni,ni->n", offset, offset) / (2.0 * reach_m) ** 2)
        weight = certainty * close * on * np.maximum(facing - _MIN_FACING, 0.0)
        batch = x.shape[:2]
        fit = Residuals(residual.reshape(batch), gradient.reshape(x.shape), weight.reshape(batch), x, x.shape[1], near)
        fit = with_overhang(fit, offset.reshape(x.shape), _EDGE_SPACINGS * self.lookup.spacing_m)
        return fit if edges is None else with_edges(fit, T, edges)


class _Smoothed:
    """Smoothing offsets for N points seen from ``viewpoint_m``, computed once, at the pose that a descent starts from."""

    def __init__(self, smoothing: DepthSmoothing, smoothing_rad: float, viewpoint_m: Array) -> None:
        self._smoothing, self._smoothing_rad, self._viewpoint_m = smoothing, smoothing_rad, viewpoint_m
        self._found: tuple[Array, Array] | None = None

    def offsets(self, T: Array, x: Array, gradient: Array, near: Indices) -> tuple[Array, Array]:
        """Offsets [N] along the normal in metres, and weights [N]. x, gradient: [N, 3] in the object frame of T [4, 4]."""
        if self._found is None:
            ray = x - (self._viewpoint_m - T[:3, 3]) @ T[:3, :3]
            # Rounding may leave a ray of length zero near the viewpoint.
            range_m = np.maximum(np.sqrt(np.einsum("ni,ni->n", ray, ray)), 1e-9)
            self._found = self._smoothing.offsets(near, gradient, ray / range_m[:, None], self._smoothing_rad * range_m)
        return self._found


def _into_object(T: Array, points: Array, normals: Array) -> tuple[Array, Array]:
    """Points and normals [N, 3] of the cloud's frame in the object frame of each pose T [B, 4, 4]: [B, N, 3] both."""
    R = T[:, :3, :3]
    return (points - T[:, None, :3, 3]) @ R, normals @ R
