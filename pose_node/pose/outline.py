"""The measured outline of an object, against its model's.

Depth errors of stereo cameras are correlated over many pixels, so they rotate a fitted surface; they do not displace the
outline. Along the model's outline, seen from the viewpoint, short runs of rays across it are searched for the last one that
belongs to the object. (Search along contour normals: Harris and Stennett, "RAPID, a video rate object tracker", BMVC 1990;
here in depth.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from pose_node.arrays import Array
from pose_node.geometry.se3 import apply
from pose_node.measurement.sampling import evenly_spaced
from pose_node.measurement.sensor import Sensor
from pose_node.measurement.view import Rays, View
from pose_node.objects.surface import Surface

_PLACES = 192  # of the outline that are searched
_NEIGHBOURS = 6
_SAME_SHEET = -0.2  # cosine between normals below which neighbouring samples are the two sides of a thin wall
# In sample spacings: a disc of the second radius, the first beyond a place, is checked for more of the surface.
_SLACK_SPACINGS, _BEYOND_SPACINGS = 0.5, 1.0
_BEYOND_SAMPLES = 8
_LAYER = 3.0  # surface more tolerances behind than this does not blur the edge
_REACH = 4  # rays searched to either side, and the widest gap without a reading that still makes an edge
_MIN_EDGES = 6
_SOLID = 3  # rays inside the edge, most of which must be the object's
_INDEPENDENT_RAYS = 6.0  # errors of edges nearer to each other than this are correlated


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """Measured edges of one object.

    model_m, normals: [E, 3] points of the model's outline and its outward directions, object frame.
    measured_m:       [E, 3] the edges, in the cloud's frame, at the model points' ranges.
    ray_m:            distance between neighbouring rays at the object, which is about the error of an edge.
    independent:      number of independent edges that they amount to.
    """

    model_m: Array
    normals: Array
    measured_m: Array
    ray_m: float
    independent: float


class Contour:
    """The places where a surface turns away from a viewpoint: between a sample that faces it and one that does not.

    spacing_m: distance between neighbouring samples of the surface. sensor: that sees it.
    """

    def __init__(self, surface: Surface, spacing_m: float, sensor: Sensor) -> None:
        self.sensor = sensor
        self._points_m, self._normals, self._spacing_m = surface.points_m, surface.normals, spacing_m
        count = len(self._points_m)
        k = min(_NEIGHBOURS + 1, count)
        first = np.repeat(np.arange(count), k)
        second = cKDTree(self._points_m).query(self._points_m, k=k)[1].reshape(-1)
        alike = np.einsum("ni,ni->n", self._normals[first], self._normals[second])
        keep = (first < second) & (alike > _SAME_SHEET)
        self._first, self._second = first[keep], second[keep]

    def seen_from(self, eye_m: Array) -> tuple[Array, Array, float]:
        """Up to 192 points [C, 3] of the outline from ``eye_m`` [3], their outward directions [C, 3], and its length in metres.

        All in the object frame.
        """
        ray = eye_m - self._points_m
        facing = np.einsum("ni,ni->n", self._normals, ray) / np.sqrt(np.einsum("ni,ni->n", ray, ray))
        turns = np.flatnonzero((facing[self._first] > 0.0) != (facing[self._second] > 0.0))
        first, second = self._first[turns], self._second[turns]
        a, b = np.abs(facing[first]), np.abs(facing[second])
        share = (b / np.maximum(a + b, 1e-12))[:, None]
        points = share * self._points_m[first] + (1.0 - share) * self._points_m[second]
        normal = share * self._normals[first] + (1.0 - share) * self._normals[second]
        ray = eye_m - points
        ray = ray / np.linalg.norm(ray, axis=1, keepdims=True)
        normal = normal - np.einsum("ni,ni->n", normal, ray)[:, None] * ray
        normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        last = np.flatnonzero(self._nothing_beyond(points, normal, eye_m))
        length_m = 0.5 * self._spacing_m * len(np.unique([first[last], second[last]]))
        last = last[evenly_spaced(len(last), _PLACES)]
        return points[last], normal[last], length_m

    def _nothing_beyond(self, points: Array, normals: Array, eye_m: Array) -> Any:
        """Which places [C] have no surface beyond them, neither nearer nor just behind: only there a sensor sees an edge."""
        reach_m = _BEYOND_SPACINGS * self._spacing_m
        beyond = points + normals * (_SLACK_SPACINGS * self._spacing_m + reach_m)
        samples = self._points_m - eye_m
        range_m = np.linalg.norm(samples, axis=1)
        away_m = range_m.mean()  # at this distance, directions are as far apart as the samples
        tree = cKDTree(samples * (away_m / range_m)[:, None], compact_nodes=False, balanced_tree=False)
        look = beyond - eye_m
        look *= away_m / np.linalg.norm(look, axis=1, keepdims=True)
        near = tree.query(look, k=_BEYOND_SAMPLES, distance_upper_bound=reach_m)[1]
        own_m = np.linalg.norm(points - eye_m, axis=1)[:, None]
        return (np.append(range_m, np.inf)[near] - own_m > _LAYER * self.sensor.tolerance_m(own_m)).all(axis=1)


def find_outline(contour: Contour, T: Array, view: View, rays: Rays) -> Outline | None:
    """The measured edges near the outline of pose T [4, 4], or None when fewer than six are seen.

    An edge is where the segment's readings end and the readings beyond lie behind them; where those lie in front, the edge
    is occluded.
    """
    R = T[:3, :3]
    model, normal, length_m = contour.seen_from(R.T @ (view.viewpoint_m - T[:3, 3]))
    if len(model) < _MIN_EDGES:
        return None
    relative, across = apply(T, model) - view.viewpoint_m, normal @ R.T
    range_m = np.linalg.norm(relative, axis=1)
    steps = np.arange(-_REACH, _REACH + 1)
    ray_m = view.pitch * range_m
    look = relative[:, None] + across[:, None] * (steps * ray_m[:, None])[..., None]
    ray, hole = rays.nearest(look)
    behind_m = view.ray_range_m[ray] - range_m[:, None]
    allowed = contour.sensor.tolerance_m(float(np.median(range_m)))
    own = view.ray_untrimmed[ray]
    mine = ~hole & own & (behind_m < allowed)
    beyond = ~hole & ((behind_m > allowed) | (~own & (behind_m > -allowed)))
    edge, seen = _transitions(mine, beyond, hole)
    if np.count_nonzero(seen) < _MIN_EDGES:
        return None
    measured = relative + across * ((edge - _REACH) * ray_m)[:, None] + view.viewpoint_m
    mean_ray_m = float(ray_m.mean())
    independent = length_m / (_INDEPENDENT_RAYS * mean_ray_m) * float(seen.mean())
    return Outline(model[seen], normal[seen], measured[seen], mean_ray_m, independent)


def _transitions(mine: Any, beyond: Any, hole: Any) -> tuple[Array, Any]:
    """Of runs of rays [C, K] from inside to outside: the step [C] at which the object ends, and in which runs [C] that is seen.

    mine, beyond, hole: [C, K] rays of the object, of what lies beyond it, and without a reading. Where there is a gap of
    holes between object and background, the place in it that is nearest to the model's outline is taken.
    """
    steps = np.arange(mine.shape[1])
    last = np.where(mine, steps, -1).max(axis=1)
    after = steps > last[:, None]
    first = np.where(beyond & after, steps, mine.shape[1] + _REACH + 1).min(axis=1)
    other = ~(mine | beyond | hole) & after & (steps < first[:, None])
    inner = mine & (steps > (last - _SOLID)[:, None])
    seen = (last >= 1) & (first - last <= _REACH) & ~other.any(axis=1) & (2 * inner.sum(axis=1) > _SOLID)
    return np.clip(float(_REACH), last + 0.5, first - 0.5), seen
