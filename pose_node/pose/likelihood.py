"""How well a pose explains a view: the model's visible surface against the measured rays, and the segment against the model."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy.spatial import cKDTree

from pose_node.arrays import Array, Indices
from pose_node.config import JudgeConfig
from pose_node.measurement.sampling import evenly_spaced
from pose_node.measurement.view import View
from pose_node.objects.card import ObjectCard
from pose_node.objects.surface_lookup import SurfaceLookup

# Standard deviation of agreement, as a share of the tolerance, in a mask and in any other segment.
_SIGMA_TRUSTED, _SIGMA_UNTRUSTED = 0.6, 0.5
_GRAZING = 4.0  # along the ray a point may lie this many times farther off than across the surface
_VIOLATION_COST = 1.0
_MIN_OBSERVED = (
    0.1,
    0.3,
)  # share of the visible surface that must be observed: score 0 below the first, whole above the second
_OVERFLOW = (0.02, 0.1)  # share of the surface around that a pose may leave out: whole score below, 0 above
_INFORMATIVE = (
    0.075,
    0.12,
)  # tolerance in diameters: agreement within so much is fully informative below, not at all above
_BESIDE_RAYS = 2.0  # a point this many rays beside the model still belongs to it; at twice that it is fully off
_AROUND_REL = 0.06  # points within twice this share of the diameter count as around the model, beyond thrice none does
_BORDER_FREE = 1.5  # a segment point this many tolerances off is as bad as one far away


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores of a batch of poses, each [B] in [0, 1]; names as in ``types.Evidence``.

    observed: share of the surface turned to the viewpoint that was measured (neither hole nor occluded).
    """

    score: Array
    explained: Array
    violated: Array
    occluded: Array
    covered: Array
    observed: Array

    def __getitem__(self, index: Indices | slice | int) -> Scores:
        return Scores(*(getattr(self, f.name)[index] for f in fields(self)))


def tolerance(range_m: Array, config: JudgeConfig) -> Array:
    """Distance [...] in metres within which model and measurement agree at ``range_m`` [...]."""
    return config.tolerance_m + config.tolerance_per_m2 * np.square(range_m)


class Likelihood:
    """How well poses of one object explain a view, as a score in [0, 1]."""

    def __init__(self, card: ObjectCard, lookup: SurfaceLookup, config: JudgeConfig) -> None:
        self.card, self.lookup, self.config = card, lookup, config
        self._tree = cKDTree(lookup.points_m)
        self._visible = np.asarray(card.surface.visible, dtype=bool)

    def score(self, T: Array, view: View, samples: int = 512, points: int = 256, exact: bool = False) -> Scores:
        """Scores of poses T [B, 4, 4] with ``samples`` of the model's surface and ``points`` of the segment.

        samples: the first of the surface's samples, whose every prefix covers it evenly. exact: T is converged, so that
        surface which continues beside the model counts against it (``_containment``).
        """
        explained, violated, occluded, observed = self._model_to_rays(T, view, samples)
        covered = self._points_to_model(T, view, points)
        score = np.clip(explained - _VIOLATION_COST * violated, 0.0, 1.0)
        if view.trusted:
            score = score * covered
        else:
            # Without a mask, a pose of which little is observed fits by chance.
            low, high = _MIN_OBSERVED
            score = score * np.sqrt(covered) * np.clip((observed - low) / (high - low), 0.0, 1.0)
        if len(view.off_support_m):
            score = score * self._informativeness(view) * (self._containment(T, view, points) if exact else 1.0)
        return Scores(score, explained, violated, occluded, covered, observed)

    def _model_to_rays(self, T: Array, view: View, samples: int) -> tuple[Array, Array, Array, Array]:
        """Explained, violated, occluded and observed share [B] of the model's visible surface, each sample against its ray."""
        surface = self.card.surface
        samples = min(samples, self._visible.shape[1])
        R = T[:, :3, :3]
        eye = np.einsum("bji,bj->bi", R, view.viewpoint_m - T[:, :3, 3])  # viewpoint in the object frame
        towards = eye - self.card.centre_m
        nearest = np.argmax(towards @ np.asarray(surface.view_directions).T, axis=1)
        model = surface.points_m[:samples]
        normal = surface.normals[:samples]
        to_eye = eye[:, None] - model
        range_m = np.sqrt(np.einsum("bsi,bsi->bs", to_eye, to_eye))
        facing = np.einsum("bsi,si->bs", to_eye, normal) / range_m
        # A sample counts as much as the image area that it stands for.
        weight = np.where(self._visible[nearest, :samples], np.maximum(facing, 0.0), 0.0)

        relative = model @ np.swapaxes(R, -1, -2) + (T[:, :3, 3] - view.viewpoint_m)[:, None]
        turned = normal @ np.swapaxes(R, -1, -2)
        cell, inside = view.cells(relative)
        ray = view.rays[:, cell]  # [2, B, S]
        hit = (ray >= 0) & inside
        gap = np.where(hit, view.ray_range_m[ray] - range_m, np.inf)
        across = np.abs(np.einsum("cbsi,bsi->cbs", view.ray_points_m[ray] - relative, turned))
        miss = np.maximum(across, np.abs(gap) / _GRAZING)
        better = (miss[1] < miss[0]).astype(np.intp)[None]
        gap, miss, ray, hit = (np.take_along_axis(a, better, axis=0)[0] for a in (gap, miss, ray, hit))
        own = view.ray_inside[ray]

        allowed = tolerance(range_m, self.config)
        agree = np.where(hit, np.exp(-0.5 * np.square(miss / (_sigma(view) * allowed))), 0.0)
        behind = gap < 0.0  # the model lies behind the measurement
        # Agreement outside the segment: at its border the mask may be wrong; farther off, and around segments that
        # are not masks, it is no evidence either way.
        neutral = np.where(own, 0.0, agree if not view.trusted else agree * view.border[cell])
        # Hidden behind something that is not part of the segment. Behind points of its border the mask is not reliable.
        neutral = np.where(behind & ~own, np.maximum(neutral, 1.0 - agree), neutral)
        neutral = np.where(hit, neutral, 1.0)
        agree = np.where(own, agree, 0.0)
        violated = np.where(hit & ~behind, 1.0 - np.exp(-0.5 * np.square(miss / allowed)), 0.0) * (1.0 - neutral)

        total = np.maximum(weight.sum(axis=1), 1e-12)
        counted = np.einsum("bs,bs->b", weight, 1.0 - neutral)
        occluded = np.einsum("bs,bs->b", weight, np.where(hit & behind & ~own, 1.0 - agree, 0.0)) / total
        basis = np.maximum(counted, 0.05 * total)
        explained = np.einsum("bs,bs->b", weight, agree) / basis
        return explained, np.einsum("bs,bs->b", weight, violated) / basis, occluded, counted / total

    def _points_to_model(self, T: Array, view: View, points: int) -> Array:
        """Share [B] of the segment's points that lie on the model's surface and face as it does."""
        pick = evenly_spaced(len(view.points_m), points)
        measured, normal = view.points_m[pick], view.normals[pick]
        R = T[:, :3, :3]
        x = (measured - T[:, None, :3, 3]) @ R
        turned = normal @ R
        near = self.lookup.nearest(x, turned)
        offset = x - self.lookup.points_m[near]
        model_normal = self.lookup.normals[near]
        across = np.einsum("bpi,bpi->bp", offset, model_normal)
        distance = np.sqrt(np.einsum("bpi,bpi->bp", offset, offset))
        allowed = tolerance(np.linalg.norm(measured - view.viewpoint_m, axis=1), self.config)
        beyond = np.maximum(distance - self.lookup.table_error_m, 0.0) / _BORDER_FREE
        miss = np.maximum(np.abs(across), beyond)
        facing = np.clip(1.5 * np.einsum("bpi,bpi->bp", turned, model_normal) - 0.2, 0.0, 1.0)
        return (np.exp(-0.5 * np.square(miss / (_sigma(view) * allowed))) * facing).mean(axis=1)

    def _informativeness(self, view: View) -> float:
        """How much agreement counts, in [0, 1]: nothing where the tolerance is large against the object."""
        fine, coarse = _INFORMATIVE
        noise = float(tolerance(np.array(view.range_m), self.config)) / self.card.diameter_m
        return float(np.clip((coarse - noise) / (coarse - fine), 0.0, 1.0))

    def _containment(self, T: Array, view: View, points: int) -> Array:
        """1 where the model contains the measured surface around it, less where that continues beside the model: [B].

        No crease or gap divides the surface of a found segment, so all of it is one object: a small box that fits into the
        face of a larger one is refused because of the rest of that face.
        """
        few, many = _OVERFLOW
        return np.clip((many - self._overflow(T, view, points)) / (many - few), 0.0, 1.0)

    def _overflow(self, T: Array, view: View, points: int) -> Array:
        """Share [B] of the segment's surface near a pose that lies beside the model, as seen from the viewpoint."""
        measured = view.off_support_m[evenly_spaced(len(view.off_support_m), points)]
        x = (measured - T[:, None, :3, 3]) @ T[:, :3, :3]
        distance, near = self._tree.query(x.reshape(-1, 3))
        offset = (x - self.lookup.points_m[near].reshape(x.shape)) @ np.swapaxes(T[:, :3, :3], -1, -2)
        distance = distance.reshape(x.shape[:2])
        # Across the ray a camera is as accurate as its pixels, whatever its noise along the ray.
        to_point = measured - view.viewpoint_m
        range_m = np.linalg.norm(to_point, axis=1)
        along = np.einsum("bwi,wi->bw", offset, to_point / range_m[:, None])
        beside = np.sqrt(np.maximum(np.einsum("bwi,bwi->bw", offset, offset) - along * along, 0.0))
        exact = _BESIDE_RAYS * view.pitch * range_m + self.lookup.spacing_m
        off = np.clip(beside / exact - 1.0, 0.0, 1.0)
        around = np.clip(3.0 - distance / (_AROUND_REL * self.card.diameter_m), 0.0, 1.0)
        return (off * around).sum(axis=1) / np.maximum(around.sum(axis=1), 1.0)


def _sigma(view: View) -> float:
    return _SIGMA_TRUSTED if view.trusted else _SIGMA_UNTRUSTED
