"""A mask without the background and the flying pixels at its border."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from pose_node.arrays import Array, Indices
from pose_node.detection.neighbourhood import MIN_POINTS
from pose_node.detection.tolerances import gap
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.sampling import even_subset
from pose_node.measurement.sensor import Sensor

FLYING_SHARE = 0.03  # pieces that are a smaller share of the points are flying pixels
_SUBSET = 1500  # points of a mask that are divided into pieces
_NEIGHBOURS = 8


def main_bodies(cloud: Cloud, rows: Indices, diameter_m: float, sensor: Sensor) -> Indices:
    """The ``rows`` [M] of a mask without background far behind or in front of the object and without flying pixels.

    diameter_m: the object's.
    """
    if len(rows) < MIN_POINTS:
        return rows
    points = cloud.points_m[rows]
    subset = even_subset(points, _SUBSET)
    if len(subset) < 2:  # all at one place
        return rows
    gap_m = float(gap(float(np.linalg.norm(subset.mean(axis=0) - cloud.viewpoint_m)), sensor))
    label, spacing_m = _components(subset, gap_m)
    size = np.bincount(label)
    main = int(size.argmax())
    if size[main] == len(subset):
        return rows
    centre = np.array([subset[label == i].mean(axis=0) for i in range(len(size))])
    # A part that an occluder cut off lies within a diameter of the main body.
    keep = (size >= FLYING_SHARE * len(subset)) & (np.linalg.norm(centre - centre[main], axis=1) < diameter_m)
    distance, nearest = cKDTree(subset).query(points)
    return rows[keep[label[nearest]] & (distance < max(gap_m, 2.0 * spacing_m))]


def _components(points: Array, gap_m: float) -> tuple[Indices, float]:
    """Labels [N] of the pieces divided by gaps of ``gap_m`` (or twice the points' own spacing), and that spacing in metres."""
    k = min(_NEIGHBOURS + 1, len(points))
    distance, near = cKDTree(points).query(points, k=k)
    spacing_m = float(np.median(distance[:, -1]))
    linked = distance < max(gap_m, 2.0 * spacing_m)
    row = np.broadcast_to(np.arange(len(points))[:, None], near.shape)[linked]
    graph = coo_matrix((np.ones(len(row), dtype=np.int8), (row, near[linked])), shape=(len(points),) * 2)
    return connected_components(graph, directed=False)[1].astype(np.intp), spacing_m
