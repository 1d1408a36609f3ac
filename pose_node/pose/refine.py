"""Point-to-plane ICP of hypotheses against the model's surface: many at once and roughly, or one to rounding.

All steps are computed in the object frame, from invariant subsets of points: a rigid motion of points and viewpoint
moves the result with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pose_node.arrays import Array, Indices
from pose_node.config import RefineConfig
from pose_node.geometry.se3 import exp_so3, project_so3, transform
from pose_node.measurement.sampling import evenly_spaced
from pose_node.measurement.scene import Scene
from pose_node.measurement.view import View, Views
from pose_node.objects.card import ObjectCard
from pose_node.objects.surface_lookup import SurfaceLookup
from pose_node.pose.covariance import independent_points, noise_sigma, pose_covariance, real_curvature
from pose_node.pose.outline import Contour, Outline, find_outline
from pose_node.pose.smoothing import Smoothing
from pose_node.types import Hypothesis, Refined

Solver = Callable[[Array, Array, Array, Array, Array], Array]

_COARSE_DAMPING = 3e-3  # share of the mean curvature: keeps directions that the points do not fix from drifting
_POLISH_POINTS, _POLISH_STEPS = 300, 6
_STEP_REL = 1e-6  # converged: steps below this, in diameters and radians
_NEAR_REL = 1e-3  # near enough to look at the residuals' spread
_LONGEST_STEP = 0.3  # diameters and radians; farther off the linearisation does not hold
_REACH_SIGMAS = 4.5
_LEAST_REACH_M = 0.0025
# Steps are not made where normals that err by the first would fake the curvature, and made wholly from the second on.
_FREE_RAD = (0.04, 0.06)
_EDGE_SPACINGS = 2.0  # of the samples; nearer to them a point is not beyond an edge
_OVERHANG_WEIGHT = 0.5  # of a point far beyond, against one on the surface
_BETWEEN_LOOKS = 12  # steps
_OUTLINE_LOOKS = 3  # the outline is measured at the pose that the last look led to
_EDGE_RAYS = 1.5  # standard deviation of one edge, in rays
_EDGE_REACH_RAYS = 4.0
_SWELL_RAYS = 1.5  # by which all edges of one object may lie too far out or in: masks and stereo cameras swell things
_FACING = 0.3  # cosine below which a point does not belong to a piece of surface


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """One linearisation of B poses with N points, in the object frame.

    residual [B, N] in metres, gradient [B, N, 3], weight [B, N], points x [B, N, 3]. The first ``points`` rows are
    measured points on the surface, as many more are their overhangs, the rest are edges of the outline, whose common
    offset is not known but for a prior of the weight ``swell``. near: nearest samples [B * points].
    """

    residual: Array
    gradient: Array
    weight: Array
    x: Array
    points: int
    near: Indices | None = None
    swell: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Edges:
    """A measured outline, and what one point of the surface tells beside it (1/m^2)."""

    outline: Outline
    point_information: float


class _Reading:
    """What a camera at ``viewpoint_m`` that smooths reads of N points, worked out at the pose that a descent starts from."""

    def __init__(self, smoothing: Smoothing, smoothing_rad: float, viewpoint_m: Array) -> None:
        self._smoothing, self._smoothing_rad, self._viewpoint_m = smoothing, smoothing_rad, viewpoint_m
        self._found: tuple[Array, Array] | None = None

    def of(self, T: Array, x: Array, gradient: Array, near: Indices) -> tuple[Array, Array]:
        """Offsets [N] along the normal in metres, and weights [N]. x, gradient: [N, 3] in the object frame of T [4, 4]."""
        if self._found is None:
            ray = x - (self._viewpoint_m - T[:3, 3]) @ T[:3, :3]
            # Rounding may leave nothing of it near the viewpoint.
            range_m = np.maximum(np.sqrt(np.einsum("ni,ni->n", ray, ray)), 1e-9)
            self._found = self._smoothing.of(near, gradient, ray / range_m[:, None], self._smoothing_rad * range_m)
        return self._found


class Refiner:
    """Refines hypotheses of one object."""

    def __init__(self, card: ObjectCard, config: RefineConfig, lookup: SurfaceLookup | None = None) -> None:
        self.card, self.config = card, config
        self.lookup = lookup or SurfaceLookup(card.surface, card.diameter_m)
        self.contour = Contour(card.surface, self.lookup.spacing_m)

    @cached_property
    def smoothing(self) -> Smoothing:
        """Of this object; who follows none need not work it out."""
        return Smoothing(self.lookup)

    def coarse(self, hypotheses: Sequence[Hypothesis], scene: Scene) -> list[Hypothesis]:
        """All hypotheses, moved a few steps towards the nearest fit. Those of one segment are worked on together."""
        T = np.stack([h.T_camera_object for h in hypotheses]) if hypotheses else np.zeros((0, 4, 4))
        segments = {id(h.segment): h.segment for h in hypotheses}
        out = T.copy()
        for key, segment in segments.items():
            rows = np.array([i for i, h in enumerate(hypotheses) if id(h.segment) == key])
            out[rows] = self.coarse_poses(T[rows], scene.view(segment))
        return [replace(h, T_camera_object=t) for h, t in zip(hypotheses, out)]

    def coarse_poses(self, T: Array, view: View, iterations: int | None = None, first_rel: float = 0.15) -> Array:
        """Batched ICP of T [B, 4, 4] with the table alone; the correspondence distance shrinks from ``first_rel`` diameters."""
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
            weight = _biweight(distance2 / (reach_m * reach_m)) * np.maximum(facing - _FACING, 0.0)
            fit = _with_overhang(_Fit(residual, gradient, weight, x, len(pick)), offset, self.lookup.table_error_m)
            T = self._step(T, fit, self._damped_steps)[0]
        return T

    def polish(self, T: Array, view: View) -> Array:
        """A few exact steps for the few poses T [B, 4, 4] that are worth comparing closely."""
        pick = evenly_spaced(len(view.points_m), _POLISH_POINTS)
        points, normals = view.points_m[pick], view.normals[pick]
        reach_m = self.config.inlier_distance_rel * self.card.diameter_m
        near = None
        for _ in range(_POLISH_STEPS):
            fit = self._linearise(T, points, normals, reach_m, near)
            T, near = self._step(T, fit, self._trusted_steps)[0], fit.near
        return T

    def rivals(self, hypotheses: Sequence[Hypothesis], scene: Scene) -> list[Refined]:
        """Hypotheses of one segment, near enough to be compared: one look at the outline each. For the winner there is ``fine``."""
        return [self.fine(h, scene, looks=1 if len(hypotheses) > 1 else _OUTLINE_LOOKS) for h in hypotheses]

    def fine(
        self,
        hypothesis: Hypothesis,
        scene: Views,
        looks: int = _OUTLINE_LOOKS,
        step_rel: float = _STEP_REL,
        most: int | None = None,
        smoothed: bool = False,
    ) -> Refined:
        """One hypothesis to convergence: the fixed point does not depend on where nearby it started.

        looks: how often the outline is measured afresh, in a segment that has one. step_rel: converged when steps are below
        this, in diameters and radians. most: steps, of a pose that is expected to be near already; by default the
        configuration's, and some before them to come near. smoothed: reckon with the camera's smoothing, whose trace is below
        one look's noise and shows where many looks are averaged.
        """
        approach = 0 if most else self.config.max_iterations // 3
        most = most or self.config.max_iterations
        view = scene.view(hypothesis.segment)
        pick = evenly_spaced(len(view.points_m), self.config.points)
        points, normals = view.points_m[pick], view.normals[pick]
        reach_m = self.config.inlier_distance_rel * self.card.diameter_m
        viewpoint_m = view.viewpoint_m if smoothed else None
        T, fit, steps, _ = self._descend(
            hypothesis.T_camera_object, points[::2], normals[::2], reach_m, _NEAR_REL, approach, viewpoint_m
        )
        reach_m = self._noise_reach(fit, reach_m)
        # The borders of a segment that nobody vouches for are a guess: there the surface alone decides.
        for left in reversed(range(looks if view.trusted else 1)):
            outline = find_outline(self.contour, T, view, scene.rays(hypothesis.segment)) if view.trusted else None
            every_other = 2 if left else 1
            p, n = points[::every_other], normals[::every_other]
            edges = None if outline is None else _Edges(outline, self._information(fit, len(p), view))
            least, steps_left = (_NEAR_REL, _BETWEEN_LOOKS) if left else (step_rel, most)
            T, fit, more, converged = self._descend(T, p, n, reach_m, least, steps_left, viewpoint_m, edges)
            steps += more
        T = transform(project_so3(T[:3, :3]), T[:3, 3])
        residual, weight = fit.residual[0, : len(points)], fit.weight[0, : len(points)]
        inlier = weight > 0.0
        rms_m = _rms(residual, weight) if inlier.any() else reach_m
        information, covariance = pose_covariance(
            T,
            fit.x[0],
            fit.gradient[0],
            fit.weight[0],
            self._information(fit, len(points), view),
            T[:3, :3] @ self.card.centre_m + T[:3, 3] - view.viewpoint_m,
            self.card,
        )
        return Refined(hypothesis, T, information, covariance, float(inlier.mean()), rms_m, steps, converged)

    def _information(self, fit: _Fit, points: int, view: View) -> float:
        """What one of ``points`` sampled points tells, in 1/m^2: less when the errors of neighbours are alike."""
        rows = fit.points
        residual, weight = fit.residual[0, :rows], fit.weight[0, :rows]
        independent = independent_points(fit.x[0, :rows], residual, weight, view.count, self.card.diameter_m)
        weighing = max(float((weight > 0.0).mean()) * points, 1.0)
        return independent / weighing / max(noise_sigma(view.range_m), _rms(residual, weight)) ** 2

    def _descend(
        self,
        T: Array,
        points: Array,
        normals: Array,
        reach_m: float,
        step_rel: float,
        most: int,
        viewpoint_m: Array | None = None,
        edges: _Edges | None = None,
    ) -> tuple[Array, _Fit, int, bool]:
        """Steps of one pose T [4, 4] until they are shorter than ``step_rel``: pose, last fit, steps made, converged.

        viewpoint_m: [3] where a camera looks from that smooths what it sees, if it is to be reckoned with.
        """
        T = T[None]
        reading = None if viewpoint_m is None else _Reading(self.smoothing, self.config.smoothing_rad, viewpoint_m)
        fit = self._linearise(T, points, normals, reach_m, reading=reading, edges=edges)
        gain, last = 1.0, np.zeros(6)
        for iteration in range(1, most + 1):
            T, (step,) = self._step(T, fit, self._trusted_steps, gain)
            # A step back means a jump in the correspondences between here and there: close in on it.
            gain, last = (0.5 * gain if step @ last < 0.0 else gain), step
            fit = self._linearise(T, points, normals, reach_m, fit.near, reading, edges)
            if np.abs(step).max() < step_rel:
                return T[0], fit, iteration, True
        return T[0], fit, most, False

    def _noise_reach(self, fit: _Fit, reach_m: float) -> float:
        """Correspondence distance that suits the residuals' own spread: what lies farther off is not this surface."""
        near = np.abs(fit.residual[:, : fit.points][fit.weight[:, : fit.points] > 0.0])
        if len(near) == 0:
            return reach_m
        return float(np.clip(_REACH_SIGMAS * 1.4826 * np.median(near), min(_LEAST_REACH_M, reach_m), reach_m))

    def _linearise(
        self,
        T: Array,
        points: Array,
        normals: Array,
        reach_m: float,
        near: Indices | None = None,
        reading: _Reading | None = None,
        edges: _Edges | None = None,
    ) -> _Fit:
        """Residuals of poses T [B, 4, 4] against the smooth surface; points within ``reach_m`` of it weigh.

        reading: of one pose, what a camera that smooths reads of the points.
        """
        x, turned = _into_object(T, points, normals)
        flat = turned.reshape(-1, 3)
        residual, gradient, offset, near = self.lookup.surface(x.reshape(-1, 3), flat, near)
        facing = np.einsum("ni,ni->n", flat, gradient)
        deserved: Array | float = 1.0
        if reading is not None:
            read, deserved = reading.of(T[0], x[0], gradient, near)
            residual = residual - read
        close = _biweight(np.square(residual / reach_m))
        on = _biweight(np.einsum("ni,ni->n", offset, offset) / (2.0 * reach_m) ** 2)
        weight = deserved * close * on * np.maximum(facing - _FACING, 0.0)
        batch = x.shape[:2]
        fit = _Fit(residual.reshape(batch), gradient.reshape(x.shape), weight.reshape(batch), x, x.shape[1], near)
        fit = _with_overhang(fit, offset.reshape(x.shape), _EDGE_SPACINGS * self.lookup.spacing_m)
        return fit if edges is None else _with_edges(fit, T, edges)

    def _step(self, T: Array, fit: _Fit, solve: Solver, gain: float = 1.0) -> tuple[Array, Array]:
        """One Gauss-Newton step of T [B, 4, 4]; also the steps [B, 6] in diameters and radians.

        In the object frame the points move to Exp(w) (x - c) + c + v; turning about the points' own centre c decouples
        the two parts of the step.
        """
        scale = self.card.diameter_m
        total = np.maximum(fit.weight.sum(axis=1), 1e-12)
        centre = np.einsum("bn,bni->bi", fit.weight, fit.x) / total[:, None]
        # One coordinate after the other, [B, 3, N]: numpy is quick at long rows, not at many of three.
        lever = np.ascontiguousarray(np.swapaxes(fit.x - centre[:, None], -1, -2)) / scale
        J = np.empty((len(T), 6, lever.shape[-1]))
        J[:, :3] = np.swapaxes(fit.gradient, -1, -2)
        for i, (j, k) in enumerate(((1, 2), (2, 0), (0, 1))):
            J[:, 3 + i] = lever[:, j] * J[:, k] - lever[:, k] * J[:, j]
        residual = fit.residual / scale
        if J.shape[-1] > 2 * fit.points:
            _eliminate_swell(np.swapaxes(J, -1, -2), residual, fit)
        weighted: Array = J * fit.weight[:, None]
        A: Array = weighted @ np.swapaxes(J, -1, -2)
        b = (weighted @ residual[..., None])[..., 0]
        step = solve(A, b, lever, fit.weight, centre)
        length = np.abs(step).max(axis=1, keepdims=True)
        step = step * np.minimum(gain, _LONGEST_STEP / np.maximum(length, 1e-12))
        E = exp_so3(step[:, 3:])
        R = T[:, :3, :3] @ np.swapaxes(E, -1, -2)
        shift = np.einsum("bij,bj->bi", E, centre) - centre - step[:, :3] * scale
        return transform(R, T[:, :3, 3] + np.einsum("bij,bj->bi", R, shift)), step

    def _damped_steps(self, A: Array, b: Array, lever: Array, weight: Array, centre: Array) -> Array:
        """-(A + d I)^-1 b [B, 6]: quick, and slow where the points say little."""
        damping = _COARSE_DAMPING * np.trace(A, axis1=-2, axis2=-1) / 6.0 + 1e-12
        return -np.linalg.solve(A + damping[:, None, None] * np.eye(6), b[..., None])[..., 0]

    def _trusted_steps(self, A: Array, b: Array, lever: Array, weight: Array, centre: Array) -> Array:
        """-A^-1 b [B, 6] along the directions whose curvature is more than what erring normals would fake.

        Elsewhere the residuals know nothing: steps there would only wander, and end elsewhere each time.
        """
        r2 = (lever * weight[:, None]) @ np.swapaxes(lever, -1, -2)
        for axis in self.card.symmetry.axes:
            shift = np.cross(axis.direction, (centre - axis.origin_m) / self.card.diameter_m)
            turn = np.concatenate([shift, np.broadcast_to(axis.direction, shift.shape)], axis=1)
            turn = turn / np.linalg.norm(turn, axis=1, keepdims=True)
            across = np.eye(6) - turn[:, :, None] * turn[:, None]
            A, b = across @ A @ across, np.einsum("bij,bj->bi", across, b)
        value, vector, share = real_curvature(A, weight.sum(axis=1), np.asarray(r2, float), _FREE_RAD)
        gain = share / np.maximum(value, 1e-12)
        return -np.einsum("bij,bj->bi", vector, gain * np.einsum("bji,bj->bi", vector, b))


def _with_overhang(fit: _Fit, offset: Array, slack_m: float) -> _Fit:
    """The fit with N more rows: points that hang over an edge of the surface by more than ``slack_m`` pull it after them.

    Without them a flat face slides along itself for free. offset: [B, N, 3] of the points from the surface.
    """
    across = offset - np.einsum("bni,bni->bn", offset, fit.gradient)[..., None] * fit.gradient
    length = np.sqrt(np.einsum("bni,bni->bn", across, across))
    over = np.maximum(length - slack_m, 0.0)
    # The weight grows from zero with the overhang, so that points at the edge enter without a jump.
    weight = _OVERHANG_WEIGHT * fit.weight * over / (over + slack_m)
    direction = across / np.maximum(length, 1e-12)[..., None]
    return _with_rows(fit, over, direction, weight, fit.x)


def _with_rows(fit: _Fit, residual: Array, gradient: Array, weight: Array, x: Array) -> _Fit:
    """The fit with more rows: residual, weight [B, M], gradient, x [B, M, 3]."""
    return replace(
        fit,
        residual=np.concatenate([fit.residual, residual], axis=1),
        gradient=np.concatenate([fit.gradient, gradient], axis=1),
        weight=np.concatenate([fit.weight, weight], axis=1),
        x=np.concatenate([fit.x, x], axis=1),
    )


def _with_edges(fit: _Fit, T: Array, edges: _Edges) -> _Fit:
    """The fit with a row for each edge of the outline, which pulls the model's outline to it."""
    outline, ray_m = edges.outline, edges.outline.ray_m
    x = (outline.measured_m - T[:, None, :3, 3]) @ T[:, :3, :3]
    residual = np.einsum("bni,ni->bn", x - outline.model_m, outline.normals)
    # One edge against one point of weight 1, by what each tells.
    share = outline.independent / len(outline.model_m)
    one = share / (edges.point_information * (_EDGE_RAYS * ray_m) ** 2)
    swell = one * (_EDGE_RAYS / _SWELL_RAYS) ** 2 / share
    near = _biweight(np.square(residual / (_EDGE_REACH_RAYS * ray_m)))
    offset = one * (near * residual).sum(axis=1, keepdims=True) / (one * near.sum(axis=1, keepdims=True) + swell)
    off = (residual - offset) / (_EDGE_REACH_RAYS * ray_m)
    gradient = np.broadcast_to(outline.normals, x.shape)
    return _with_rows(replace(fit, swell=swell), residual, gradient, one * _biweight(off * off), x)


def _eliminate_swell(J: Array, residual: Array, fit: _Fit) -> None:
    """Take the edges' common offset out of J [B, N, 6] and residual [B, N], in place: the Schur complement, row by row.

    Centring the rows by this share of their weighted mean gives the normal equations that remain when the offset, with
    its prior, has been solved for.
    """
    edges = np.s_[:, 2 * fit.points :]
    weight = fit.weight[edges]
    total = weight.sum(axis=1, keepdims=True)
    share = (1.0 - np.sqrt(fit.swell / (total + fit.swell))) / np.maximum(total, 1e-12)
    J[edges] -= np.einsum("bn,bni->bi", share * weight, J[edges])[:, None]
    residual[edges] -= (share * weight * residual[edges]).sum(axis=1, keepdims=True)


def _biweight(square: Array) -> Array:
    """Tukey's biweight of squared residuals in units of the reach: 1 at none, falling smoothly to 0 at 1 and beyond."""
    return np.square(np.maximum(1.0 - square, 0.0))


def _rms(residual: Array, weight: Array) -> float:
    """Weighted root mean square [N] -> metres; zero where nothing weighs."""
    total = float(weight.sum())
    return float(np.sqrt((weight * residual * residual).sum() / total)) if total > 0.0 else 0.0


def _into_object(T: Array, points: Array, normals: Array) -> tuple[Array, Array]:
    """Points and normals [N, 3] of the cloud's frame in the object frame of each pose T [B, 4, 4]: [B, N, 3] both."""
    R = T[:, :3, :3]
    return (points - T[:, None, :3, 3]) @ R, normals @ R
