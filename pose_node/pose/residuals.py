"""The rows of one least-squares problem: points on the surface, points that overhang its edges, edges of the outline."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pose_node.arrays import Array, Indices
from pose_node.pose.outline import Outline

_OVERHANG_WEIGHT = 0.5  # of a point far beyond an edge, against one on the surface
# Standard deviation of one edge of the outline, in rays, and of their common offset: masks and cameras swell or shrink objects.
_EDGE_RAYS = 1.5
_EDGE_REACH_RAYS = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """One linearisation of B poses with N rows, in the object frame.

    residual: [B, N] metres. gradient: [B, N, 3] of the residual. weight: [B, N]. x: [B, N, 3] points.
    points:   the first this many rows are measured points on the surface, as many more are their overhangs, the rest are
              edges of the outline, which share an unknown offset.
    near:     [B * points] nearest samples of the surface.
    swell:    weight of the prior that this offset is zero.
    """

    residual: Array
    gradient: Array
    weight: Array
    x: Array
    points: int
    near: Indices | None = None
    swell: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """A measured outline, and the information of one point of the surface beside it (1/m^2)."""

    outline: Outline
    point_information: float


def with_overhang(fit: Residuals, offset: Array, slack_m: float) -> Residuals:
    """``fit`` with N more rows, one for each point: by how much it overhangs an edge of the surface, less ``slack_m``.

    Without them a flat face could slide along itself at no cost. offset: [B, N, 3] of the points from the surface.
    """
    across = offset - np.einsum("bni,bni->bn", offset, fit.gradient)[..., None] * fit.gradient
    length = np.sqrt(np.einsum("bni,bni->bn", across, across))
    over = np.maximum(length - slack_m, 0.0)
    # The weight grows from zero with the overhang, so that points at the edge enter without a jump.
    weight = _OVERHANG_WEIGHT * fit.weight * over / (over + slack_m)
    direction = across / np.maximum(length, 1e-12)[..., None]
    return _with_rows(fit, over, direction, weight, fit.x)


def with_edges(fit: Residuals, T: Array, edges: Edges) -> Residuals:
    """``fit`` of poses T [B, 4, 4] with a row for each edge of the outline: its distance from the model's outline."""
    outline, ray_m = edges.outline, edges.outline.ray_m
    x = (outline.measured_m - T[:, None, :3, 3]) @ T[:, :3, :3]
    residual = np.einsum("bni,ni->bn", x - outline.model_m, outline.normals)
    # Weight of one edge: its information over that of a point of weight 1.
    share = outline.independent / len(outline.model_m)
    one = share / (edges.point_information * (_EDGE_RAYS * ray_m) ** 2)
    swell = one / share
    near = biweight(np.square(residual / (_EDGE_REACH_RAYS * ray_m)))
    offset = one * (near * residual).sum(axis=1, keepdims=True) / (one * near.sum(axis=1, keepdims=True) + swell)
    off = (residual - offset) / (_EDGE_REACH_RAYS * ray_m)
    gradient = np.broadcast_to(outline.normals, x.shape)
    return _with_rows(replace(fit, swell=swell), residual, gradient, one * biweight(off * off), x)


def biweight(square: Array) -> Array:
    """Tukey's biweight [...] of squared residuals [...] in units of the reach: 1 at zero, falling smoothly to 0 at 1 and beyond."""
    return np.square(np.maximum(1.0 - square, 0.0))


def weighted_rms(residual: Array, weight: Array) -> float:
    """Weighted root mean square in metres of ``residual`` [N]; zero where no row has weight."""
    total = float(weight.sum())
    return float(np.sqrt((weight * residual * residual).sum() / total)) if total > 0.0 else 0.0


def _with_rows(fit: Residuals, residual: Array, gradient: Array, weight: Array, x: Array) -> Residuals:
    """``fit`` with M more rows: residual, weight [B, M], gradient, x [B, M, 3]."""
    return replace(
        fit,
        residual=np.concatenate([fit.residual, residual], axis=1),
        gradient=np.concatenate([fit.gradient, gradient], axis=1),
        weight=np.concatenate([fit.weight, weight], axis=1),
        x=np.concatenate([fit.x, x], axis=1),
    )
