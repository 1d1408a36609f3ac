"""Surface normals of measured points, from neighbourhoods of a given radius rather than of a number of points.

A rigid motion of points and viewpoint turns the normals with it, up to rounding, and the order of the points changes no bit:
neighbours are taken from a canonical order, and their weights fall smoothly to zero at the edge of the neighbourhood, so that
the normal is continuous in the points.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from pose_node.arrays import Array

_NEIGHBOURS = 48
LEAST = 20  # neighbours that most points have within the radius, however sparse the points are: 2.5 spacings on a grid
_LINE = 1e-6  # spread across a line over that along it below which the former is rounding
EDGE_ON = 0.03  # cosine to the viewing direction below which no camera sees a plane: it is noise


def normals(points_m: Array, query_m: Array, viewpoint_m: Array, radius_m: float) -> Array:
    """Unit normals at ``query_m`` [Q, 3] from the plane through the points [N, 3] within ``radius_m``, [Q, 3].

    Where most points have hardly a neighbour so near, the radius grows with their spacing.

    They point to ``viewpoint_m`` [3]. A query with fewer than three neighbours, or with a plane seen edge-on, gets the
    direction to the viewpoint.
    """
    to_viewpoint = viewpoint_m - query_m
    to_viewpoint = to_viewpoint / np.linalg.norm(to_viewpoint, axis=1, keepdims=True)
    if len(points_m) < 3 or len(query_m) == 0:
        return to_viewpoint
    points = points_m[np.lexsort(points_m.T)]
    k = min(_NEIGHBOURS, len(points))
    tree = cKDTree(points)
    radius_m = max(
        radius_m, float(np.median(tree.query(query_m[:: max(len(query_m) // 64, 1)], k=min(LEAST, k))[0][:, -1]))
    )
    distance, index = tree.query(query_m, k=k, distance_upper_bound=radius_m)
    found = np.isfinite(distance)
    # Where more than k points lie within the radius, the distance of the k-th is the radius.
    edge = np.where(found[:, -1], distance[:, -1], radius_m)[:, None]
    weight = np.where(found, np.square(1.0 - np.square(np.where(found, distance, 0.0) / np.maximum(edge, 1e-12))), 0.0)
    offset = points.T[:, np.where(found, index, 0)] - query_m.T[..., None]
    return plane_normals(offset, weight, to_viewpoint)


def plane_normals(offset: Array, weight: Array, to_viewpoint: Array) -> Array:
    """Unit normals [Q, 3] of the planes through neighbours, towards the viewpoint; ``to_viewpoint`` where there is no plane.

    offset: [3, Q, K] of K neighbours from each query, overwritten. weight: [Q, K]. to_viewpoint: [Q, 3] unit vectors.
    """
    # Coordinates come first, [3, Q, K], because numpy is faster on few long rows than on many of length three.
    total = np.maximum(weight.sum(axis=1), 1e-12)
    offset -= (np.einsum("qk,iqk->iq", weight, offset) / total)[..., None]
    weighted = offset * weight
    scatter = np.stack([[np.einsum("qk,qk->q", a, b) for b in offset] for a in weighted]).T / total[:, None, None]
    spread, axes = np.linalg.eigh(scatter)
    normal = axes[..., 0]
    towards = np.einsum("qi,qi->q", normal, to_viewpoint)
    normal = np.where(towards[:, None] < 0.0, -normal, normal)
    # Points of one image row lie in a plane with the viewpoint, which no camera sees; those of a line in no plane at all.
    line = spread[:, 1] <= _LINE * spread[:, 2]
    valid = ((weight > 0.0).sum(axis=1) >= 3) & ~line & (np.abs(towards) > EDGE_ON)
    return np.where(valid[:, None], normal, to_viewpoint)
