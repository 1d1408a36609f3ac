"""A pose against a view, in numbers that no frame enters: the model's samples against the rays, the segment's points against the
model. The scorer reads them, and the shares of ``types.Evidence`` are counted from them.

Lengths come in units of the sensor's error where they are read along a ray (noise and bias together), of the raster's pitch where
they are read across it, and of the object's diameter.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose_node.arrays import Array, Indices
from pose_node.measurement.sampling import evenly_spaced
from pose_node.measurement.sensor import Sensor
from pose_node.measurement.view import View
from pose_node.objects.card import ObjectCard
from pose_node.objects.surface_lookup import SurfaceLookup

Floats = NDArray[np.float32]

SAMPLE_CHANNELS = (
    "gap", "gap_rel", "across", "facing", "hit", "own", "border", "in_raster", "gap_of_other_ray",
)  # fmt: skip
POINT_CHANNELS = ("across", "along", "beside", "distance_rel", "facing", "turned_away")
CONTEXT_CHANNELS = ("mask", "box", "cluster", "track", "refined", "observed")
_SOURCES = {"mask": 0, "box": 1, "votes": 1, "cluster": 2, "track": 3}
_AGREES = float(np.arcsinh(2.6))  # 99 % of a correct model's readings are nearer
_FACES = 0.5  # cosine between the normals of a point and of the surface that it lies on
_STEEP = 5.0  # lengths of a fifth of the diameter are far


@dataclass(frozen=True, slots=True, eq=False)
class Invariants:
    """Of B poses; the names of the channels are those of ``SAMPLE_CHANNELS``, ``POINT_CHANNELS`` and ``CONTEXT_CHANNELS``.

    samples: [B, S, 9] the model's samples that may be visible, each against its ray; weight: [B, S] the image area that each stands
             for, in a sum of one; samples that are filled in or face away have none.
    points:  [B, P, 6] the segment's points, each against the model's nearest surface that faces like it.
    context: [B, 6] where the segment comes from, whether the poses are refined, the share of the visible surface with a reading.
    """

    samples: Floats
    weight: Floats
    points: Floats
    context: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """Plain shares [B] of a batch of poses, names as in ``types.Evidence``; agreement is ``Sensor.tolerance_m``.

    observed: share of the surface turned to the viewpoint that was measured (neither hole nor occluded).
    """

    explained: Array
    violated: Array
    occluded: Array
    covered: Array
    observed: Array

    def __getitem__(self, index: Indices | slice | int) -> Shares:
        return Shares(*(getattr(self, f.name)[index] for f in fields(self)))


def shares(invariants: Invariants) -> Shares:
    """The shares of each pose."""
    w, x, y = invariants.weight, invariants.samples, invariants.points
    gap, across, hit, own = x[..., 0], np.abs(x[..., 2]), x[..., 4] > 0.5, x[..., 5] > 0.5
    agrees = across < _AGREES

    def share(condition: NDArray[np.bool_]) -> Array:
        return np.einsum("bs,bs->b", w, condition, dtype=float)

    occluded = share(hit & ~own & ~agrees & (gap < 0.0))
    observed = np.maximum(share(hit) - occluded, 1e-12)
    on = (np.abs(y[..., 0]) < _AGREES) & (y[..., 1] < _AGREES) & (y[..., 4] > _FACES)
    return Shares(
        explained=share(own & agrees) / observed,
        violated=share(hit & ~agrees & (gap > 0.0)) / observed,
        occluded=occluded,
        covered=on.mean(axis=1),
        observed=observed,
    )


class Extractor:
    """Invariants of poses of one object."""

    def __init__(self, card: ObjectCard, lookup: SurfaceLookup, sensor: Sensor) -> None:
        self.card, self.lookup, self.sensor = card, lookup, sensor
        visible = np.asarray(card.surface.visible, dtype=bool)
        self._visible = visible
        # Of each direction the visible samples first, in ascending order: those among the first n samples are a prefix.
        self._order = np.argsort(~visible, axis=1, kind="stable")
        self._points, self._normals = lookup.points_m.astype(np.float32), lookup.normals.astype(np.float32)

    def extract(self, T: Array, view: View, samples: int, points: int, refined: bool) -> Invariants:
        """Of poses T [B, 4, 4], with the first ``samples`` of the model's surface and ``points`` of the segment.

        refined: the poses have converged, so that small residuals count against them.
        """
        x, weight = self._samples(T, view, samples)
        context = np.zeros((len(T), len(CONTEXT_CHANNELS)), dtype=np.float32)
        context[:, _SOURCES[view.source]] = 1.0
        context[:, 4] = refined
        context[:, 5] = np.einsum("bs,bs->b", weight, x[..., 4])
        return Invariants(x, weight, self._points_to_model(T, view, points), context)

    def _error_m(self, range_m: Any) -> Floats:
        """Standard deviation [...] in metres of noise and bias together."""
        error: Floats = np.hypot(self.sensor.sigma_m(range_m), self.sensor.bias_m(range_m)).astype(np.float32)
        return error

    def _samples(self, T: Array, view: View, samples: int) -> tuple[Floats, Floats]:
        """``Invariants.samples`` and ``weight``."""
        surface = self.card.surface
        samples = min(samples, self._visible.shape[1])
        R, eye = _viewed(T, view)
        nearest = np.argmax((eye - self.card.centre_m) @ np.asarray(surface.view_directions).T, axis=1)
        count = self._visible[nearest, :samples].sum(axis=1)
        most = max(int(count.max()), 1)
        row = self._order[nearest, :most]
        there = np.arange(most) < count[:, None]
        normal = self._normals[row]
        from_eye = self._points[row] - eye[:, None]
        range_m = _length(from_eye)
        facing = -_dot(from_eye, normal) / range_m
        weight = np.where(there, np.maximum(facing, 0.0), 0.0)
        share = weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-12)

        relative = from_eye @ np.swapaxes(R, -1, -2)
        cell, inside = view.cells(relative)
        ray = view.rays[:, cell]  # [2, B, K]: the nearest and the farthest reading of the cell
        hit = (ray[0] >= 0) & inside
        gap = view.ray_range_m.astype(np.float32)[ray] - range_m
        turned = normal @ np.swapaxes(R, -1, -2)
        across = np.abs(_dot(view.ray_points_m.astype(np.float32)[ray] - relative, turned))
        farther_fits = across[1] < across[0]
        per_error = np.float32(1.0) / self._error_m(range_m)
        x = np.zeros((*weight.shape, len(SAMPLE_CHANNELS)), dtype=np.float32)
        best = np.where(farther_fits, gap[1], gap[0])
        own = view.ray_inside[np.where(farther_fits, ray[1], ray[0])]
        x[..., 0] = np.arcsinh(best * per_error)
        x[..., 1] = np.tanh(np.float32(_STEEP / self.card.diameter_m) * best)
        x[..., 2] = np.arcsinh(across.min(axis=0) * per_error)
        x[..., 5] = own
        x[..., 8] = np.arcsinh((gap[0] + gap[1] - best) * per_error)
        x *= hit[..., None]
        x[..., 3] = facing
        x[..., 4] = hit
        x[..., 6] = view.border[cell] & ~(own & hit) & inside
        x[..., 7] = inside
        x *= there[..., None]
        return x, share

    def _points_to_model(self, T: Array, view: View, points: int) -> Floats:
        """``Invariants.points``."""
        pick = evenly_spaced(len(view.points_m), points)
        normal = view.normals[pick].astype(np.float32)
        R, eye = _viewed(T, view)
        from_eye = (view.points_m[pick] - view.viewpoint_m).astype(np.float32) @ R
        turned = normal @ R
        x = from_eye + eye[:, None]
        near = self.lookup.nearest(x, turned)
        offset = x - self._points[near]
        model_normal = self._normals[near]
        across = _dot(offset, model_normal)
        distance2 = _dot(offset, offset)
        range_m = _length(from_eye)
        deep = _dot(offset, from_eye) / range_m
        per_lateral = np.float32(1.0) / (np.float32(view.pitch) * range_m + np.float32(self.lookup.table_error_m))
        y = np.empty((*across.shape, len(POINT_CHANNELS)), dtype=np.float32)
        y[..., 0] = np.arcsinh(across / self._error_m(range_m))
        y[..., 1] = np.arcsinh(np.sqrt(np.maximum(distance2 - across * across, 0.0)) * per_lateral)
        y[..., 2] = np.arcsinh(np.sqrt(np.maximum(distance2 - deep * deep, 0.0)) * per_lateral)
        y[..., 3] = np.tanh(np.float32(_STEEP / self.card.diameter_m) * np.sqrt(distance2))
        y[..., 4] = _dot(turned, model_normal)
        y[..., 5] = -_dot(from_eye, model_normal) / range_m
        return y


def _viewed(T: Array, view: View) -> tuple[Floats, Floats]:
    """Rotations [B, 3, 3] of poses T [B, 4, 4], and the viewpoint [B, 3] in the object frame, in single precision."""
    eye = np.einsum("bji,bj->bi", T[:, :3, :3], view.viewpoint_m - T[:, :3, 3])
    return T[:, :3, :3].astype(np.float32), eye.astype(np.float32)


def _dot(a: Any, b: Any) -> Any:
    """[...] of vectors [..., 3]."""
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]


def _length(a: Any) -> Any:
    return np.sqrt(_dot(a, a))
