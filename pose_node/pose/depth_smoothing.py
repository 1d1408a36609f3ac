"""How a depth camera's smoothing displaces a curved surface: a reading is the mean depth over a window around its pixel, so
bulges are read too low, and flanks more so.

The error is a fraction of a millimetre, below the noise of one frame. But it depends on the viewing direction alone, so
averaging frames from there does not reduce it, and the last tenths of a degree of a track depend on it.
"""

from __future__ import annotations

import numpy as np

from pose_node.arrays import Array, Indices
from pose_node.objects.surface_lookup import SurfaceLookup

_SAME_SIDE = 0.5  # cosine between normals below which a neighbour lies round an edge, which is no curvature
_RIDGE = 0.3  # in sample spacings: noise of a plane's samples; regularises fits with few neighbours
# The second-order formula holds for surfaces that bend little within a window. Where the window's width times the curvature
# is this (a handle, an edge) half of the offset is applied, beyond it less.
_BENDING = 0.4
_MIN_COSINE = 0.25  # of the incidence; the formula does not hold at flatter angles
_MAX_OFFSET = 0.35  # in window widths
_UNSURE = 0.3  # in window widths: a reading with an offset of this size gets half the weight


class DepthSmoothing:
    """Offsets between the surface of one object and what a smoothing camera reads of it."""

    def __init__(self, lookup: SurfaceLookup) -> None:
        self._principal, directions = _curvature(lookup)
        self._first, self._second = (np.ascontiguousarray(directions[:, k]) for k in range(2))

    def offsets(self, near: Indices, gradient: Array, ray: Array, width_m: Array) -> tuple[Array, Array]:
        """Offset [N] in metres of readings along the surface normal, and the weight [N] of each reading.

        near: [N] nearest samples of the surface. gradient, ray: [N, 3] unit normals of the surface, and unit directions from
        the camera, in the object frame. width_m: [N] standard deviation of the window on a plane square to the ray.

        The mean of depth z over an image window of variance s^2 is off by s^2 / 2 times the Laplacian of z. Along the normal,
        for the surface's curvature H and ray d, that is -s^2 / 2 (tr H + d'H d / cos^2).
        """
        cosine = -np.einsum("ni,ni->n", ray, gradient)
        first, second = self._principal[near].T
        along = first * np.square(np.einsum("ni,ni->n", ray, self._first[near]))
        along += second * np.square(np.einsum("ni,ni->n", ray, self._second[near]))
        bending = width_m / _BENDING * np.hypot(first, second)
        offset = -0.5 * width_m * width_m * (first + second + along / np.square(np.maximum(cosine, _MIN_COSINE)))
        offset = offset / (1.0 + bending * bending)
        most, unsure = _MAX_OFFSET * width_m + 1e-12, _UNSURE * width_m + 1e-12
        return most * np.tanh(offset / most), 1.0 / (1.0 + np.square(offset / unsure))


def _curvature(lookup: SurfaceLookup) -> tuple[Array, Array]:
    """Principal curvatures [S, 2] in 1/m at each sample and their directions [S, 2, 3].

    A least-squares fit of how the normal turns from the sample to its neighbours.
    """
    neighbours = lookup.neighbours
    turned, step = lookup.normals[neighbours], lookup.points_m[neighbours] - lookup.points_m[:, None]
    same = np.einsum("ski,si->sk", turned, lookup.normals) > _SAME_SIDE
    # Any two directions along the surface: the result does not depend on them.
    u = np.cross(lookup.normals, np.eye(3)[np.abs(lookup.normals).argmin(axis=1)])
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    v = np.cross(lookup.normals, u)
    x, y, p, q = (np.where(same, np.einsum("ski,si->sk", of, on), 0.0) for of in (step, turned) for on in (u, v))
    ridge = (_RIDGE * lookup.spacing_m) ** 2
    xx, xy, yy = (x * x).sum(axis=1) + ridge, (x * y).sum(axis=1), (y * y).sum(axis=1) + ridge
    xp, xq, yp, yq = ((a * b).sum(axis=1) for a in (x, y) for b in (p, q))
    # The symmetric part of the 2x2 matrix that takes steps to turns, in closed form, and its eigenvectors.
    det = xx * yy - xy * xy
    h_uu, h_vv = (yy * xp - xy * yp) / det, (xx * yq - xy * xq) / det
    h_uv = 0.5 * ((yy * xq - xy * yq) + (xx * yp - xy * xp)) / det
    mean, half = 0.5 * (h_uu + h_vv), np.hypot(0.5 * (h_uu - h_vv), h_uv)
    angle = 0.5 * np.arctan2(2.0 * h_uv, h_uu - h_vv)[:, None]
    directions = np.stack([np.cos(angle) * u + np.sin(angle) * v, np.cos(angle) * v - np.sin(angle) * u], axis=1)
    return np.stack([mean + half, mean - half], axis=1), directions
