"""What a depth camera's matching window makes of a curved surface: it reads the mean depth around a pixel, so bulges are
read too low and flanks the more so.

A part of a millimetre, below one look's noise. But it turns with the view and is alike in all looks from there, so no number
of looks averages it out, and a track's last tenths of a degree hang on it.
"""

from __future__ import annotations

import numpy as np

from pose_node.lookup import Lookup
from pose_node.types import Array, Indices

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

    def __init__(self, lookup: Lookup) -> None:
        # The curvature as its two principal ones, [S, 2] in 1/m, and their directions, [S, 2, 3].
        value, vector = np.linalg.eigh(_curvature(lookup))
        rows, two = np.arange(len(value))[:, None], np.argsort(-np.abs(value), axis=1)[:, :2]
        self._principal = value[rows, two]
        self._first, self._second = (np.ascontiguousarray(vector[rows[:, 0], :, two[:, k]]) for k in range(2))

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


def _curvature(lookup: Lookup) -> Array:
    """[S, 3, 3] in 1/m: how the normal turns along the surface at each sample, by least squares over its neighbours."""
    neighbours = lookup.neighbours
    step = lookup.points_m[neighbours] - lookup.points_m[:, None]
    turned = lookup.normals[neighbours]
    same = np.einsum("ski,si->sk", turned, lookup.normals) > _SAME_SIDE
    # Two directions along the surface, whichever: the result does not depend on them.
    aside = np.eye(3)[np.abs(lookup.normals).argmin(axis=1)]
    first = np.cross(lookup.normals, aside)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    along = np.stack([first, np.cross(lookup.normals, first)], axis=1)
    x = np.einsum("ski,sai,sk->ska", step, along, same)
    y = np.einsum("ski,sai,sk->ska", turned, along, same)
    squares = np.einsum("ska,skb->sab", x, x) + (_RIDGE * lookup.spacing_m) ** 2 * np.eye(2)
    H = np.linalg.solve(squares, np.einsum("ska,skb->sab", x, y))
    found: Array = np.einsum("sai,sab,sbj->sij", along, (H + np.swapaxes(H, 1, 2)) / 2.0, along)
    return found
