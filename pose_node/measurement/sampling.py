"""An even, repeatable sample of a segment: its points, normals and centres.

Neither the order of the points nor a rigid motion changes it. Points are first put into lexicographic order, so a permutation of the input gives the same
bytes. Every choice after that is made by an invariant: subsets by the distance to the centroid, centres by farthest-point
sampling whose near-ties are settled by that distance. A rigid motion of points and viewpoint therefore picks the same
points, up to exact ties.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose_node.arrays import Array, Indices
from pose_node.geometry.normals import normals as estimate_normals
from pose_node.measurement.sensor import DEFAULT, Sensor

POINTS = 1024  # input points of the network, at most
CENTRES = 128  # points that have features in the network, at most; the first 32 are its coarse level
LEAST_POINTS = 32  # that the network needs
_POOL = 4096  # points that normals are estimated from
_TIE_REL2 = 1e-9  # squared distances nearer than this share of the largest are a tie


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A segment's sample, the same for all objects: made once, then scaled for each (``network.input.scaled``).

    points:    [n <= POINTS, 3] metres, relative to ``centre_m``; all different.
    normals:   [n, 3] unit vectors towards the viewpoint.
    viewpoint: [3] metres, relative to ``centre_m``.
    centres:   [min(CENTRES, n)] rows of ``points`` in farthest-point order.
    centre_m:  [3] the sample's centroid, in the cloud's frame.
    """

    points: Array
    normals: Array
    viewpoint: Array
    centres: NDArray[np.int64]
    centre_m: Array


def sample_segment(
    points_m: Array, viewpoint_m: Array, count: int = POINTS, centres: int = CENTRES, sensor: Sensor = DEFAULT
) -> Sample:
    """At most ``count`` of a segment's points [M >= 1, 3] seen from ``viewpoint_m`` [3], and ``centres`` of the sample.

    sensor: whose noise the normals' neighbourhoods average out.
    """
    pool = even_subset(points_m, _POOL)
    sample = pool[evenly_spaced(len(pool), count)]
    centre_m = sample.mean(axis=0)
    radius_m = sensor.normal_radius_m(float(np.linalg.norm(centre_m - viewpoint_m)))
    normals = estimate_normals(pool, sample, viewpoint_m, radius_m)
    points = sample - centre_m
    chosen = farthest_points(points, min(centres, len(points)))
    return Sample(points, normals, viewpoint_m - centre_m, chosen, centre_m)


def even_subset(points_m: Array, count: int) -> Array:
    """At most ``count`` different ones of the points [N, 3], evenly spaced in their order by distance to the centroid.

    The distance is invariant, so a rigid motion does not change the choice; neighbours in this order lie anywhere on the
    surface, so the stride does not alias with the image grid.
    """
    points = points_m[np.lexsort(points_m.T[::-1])]
    points = points[np.append(True, (points[1:] != points[:-1]).any(axis=1))]
    distance2 = np.sum((points - points.mean(axis=0)) ** 2, axis=1)
    points = points[np.argsort(distance2, kind="stable")]
    return points[evenly_spaced(len(points), count)]


def evenly_spaced(length: int, count: int) -> Indices:
    """At most ``count`` of ``length`` rows, evenly spaced, first and last among them."""
    if length <= count:
        return np.arange(length)
    return np.linspace(0, length - 1, count).round().astype(np.intp)


def farthest_points(points: Array, count: int) -> NDArray[np.int64]:
    """Farthest-point sampling of points [N, 3] relative to their centroid -> [count] rows, starting with the farthest from it.

    Rows must come ordered by distance to the centroid: among near-ties the first wins, so rounding cannot choose.
    ``count`` is at most N.
    """
    chosen = np.empty(count, dtype=np.int64)
    x, y, z = np.ascontiguousarray(points.T)
    nearest = x * x + y * y + z * z
    tie = _TIE_REL2 * nearest.max()
    for i in range(count):
        row = int((nearest >= nearest.max() - tie).argmax())
        chosen[i] = row
        dx, dy, dz = x - x[row], y - y[row], z - z[row]
        distance2 = dx * dx + dy * dy + dz * dz
        nearest = distance2 if i == 0 else np.minimum(nearest, distance2)
    return chosen
