"""What a depth camera's matching window makes of a curved surface: it reads the mean depth around a pixel, so bulges are
read too low and flanks the more so.

A part of a millimetre, below one look's noise. But it turns with the view and is alike in all looks from there, so no number
of looks averages it out, and a track's last tenths of a degree hang on it.
"""

from __future__ import annotations

import numpy as np

from pose_node.arrays import Array, Indices
from pose_node.objects.surface_lookup import SurfaceLookup

_SAME_SIDE = 0.5  # cosine between normals beyond which a neighbour is round an edge, which is no curvature
_RIDGE = 0.3  # of a spacing, by which a plane's samples may lie beside it: keeps the fit of few neighbours sound
# The second order holds for surfaces that bend little within a window: where its width times the curvature is this, a handle
# or an edge, half of the offset is believed, beyond it less.
_BENDING = 0.4
_STEEPEST = 0.25  # cosine of the incidence from which on it says nothing
_MOST = 0.35  # of the window's width: more than that no surface loses
_UNSURE = 0.3  # of the window's width: an offset of this size is known to about itself, and its reading counts half


class Smoothing:
    """How much lower than the surface of one object a camera reads it."""

    def __init__(self, lookup: SurfaceLookup) -> None:
        self._principal, directions = _curvature(lookup)
        self._first, self._second = (np.ascontiguousarray(directions[:, k]) for k in range(2))

    def of(self, near: Indices, gradient: Array, ray: Array, width_m: Array) -> tuple[Array, Array]:
        """Offset [N] in metres along the normal of what is read, and the weight [N] that a reading deserves.

        near: [N] the surface's samples there. gradient, ray: [N, 3] unit normals of the surface, and unit directions from the
        camera, in the object frame. width_m: [N] standard deviation of the window on a plane square to the ray.

        For depth z over the image's plane, the mean over a window of variance s^2 is off by s^2 / 2 times the Laplacian of z.
        Along the normal, for the surface's curvature H, that is -s^2 / 2 (tr H + d'H d / cos^2) with the ray d.
        """
        cosine = -np.einsum("ni,ni->n", ray, gradient)
        first, second = self._principal[near].T
        along = first * np.square(np.einsum("ni,ni->n", ray, self._first[near]))
        along += second * np.square(np.einsum("ni,ni->n", ray, self._second[near]))
        bending = width_m / _BENDING * np.hypot(first, second)
        offset = -0.5 * width_m * width_m * (first + second + along / np.square(np.maximum(cosine, _STEEPEST)))
        offset = offset / (1.0 + bending * bending)
        most, unsure = _MOST * width_m + 1e-12, _UNSURE * width_m + 1e-12
        return most * np.tanh(offset / most), 1.0 / (1.0 + np.square(offset / unsure))


def _curvature(lookup: SurfaceLookup) -> tuple[Array, Array]:
    """Principal curvatures [S, 2] in 1/m at each sample and their directions [S, 2, 3]: by least squares, how the normal turns
    along the surface to its neighbours."""
    neighbours = lookup.neighbours
    turned, step = lookup.normals[neighbours], lookup.points_m[neighbours] - lookup.points_m[:, None]
    same = np.einsum("ski,si->sk", turned, lookup.normals) > _SAME_SIDE
    # Two directions along the surface, whichever: the result does not depend on them.
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
    middle, half = 0.5 * (h_uu + h_vv), np.hypot(0.5 * (h_uu - h_vv), h_uv)
    angle = 0.5 * np.arctan2(2.0 * h_uv, h_uu - h_vv)[:, None]
    directions = np.stack([np.cos(angle) * u + np.sin(angle) * v, np.cos(angle) * v - np.sin(angle) * u], axis=1)
    return np.stack([middle + half, middle - half], axis=1), directions
