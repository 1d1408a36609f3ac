"""Mesh -> samples of its visible surface, with outward normals, in farthest-point order, and the directions that see each."""

from __future__ import annotations

from typing import Any

import numpy as np
import trimesh
from scipy.spatial import cKDTree

from pose_node.arrays import Array
from pose_node.errors import MeshError
from pose_node.learning.mesh import Mesh
from pose_node.learning.render import raycasting_scene
from pose_node.objects.surface import Surface

CANDIDATES = 40_000
SAMPLES = 8192
VISIBLE_SAMPLES = 2048
VIEW_SUBDIVISIONS = 3  # 642 directions
VIEW_DISTANCE_REL = 5.0
_LIFT_REL = 2e-4  # rays start this far off the surface, in diameters
_SEARCH_SUBDIVISIONS = 2  # 162 directions decide what is visible at all
_MIN_VIEWS = 2  # of 162: a sample seen from fewer directions is seen through a crack in the mesh
_NORMAL_WEIGHT_REL = 0.05  # separates the two sides of a thin wall when samples are spread


def sample_surface(
    mesh: Mesh,
    seed: int = 0,
    candidates: int = CANDIDATES,
    samples: int = SAMPLES,
    subdivisions: int = VIEW_SUBDIVISIONS,
) -> Surface:
    """Samples of the surface visible from outside: 8192, the first 2048 with their visibility from 642 directions.

    Visibility, not the mesh's winding, decides which side of a triangle is outside; a sheet visible from both sides gets
    samples on both. Interior surface has none. Raises MeshError when nothing is visible.
    """
    points, normals = _area_samples(mesh, candidates, np.random.default_rng(seed))
    centre = 0.5 * (mesh.vertices_m.min(axis=0) + mesh.vertices_m.max(axis=0))
    directions = icosphere(subdivisions)
    distance_m = VIEW_DISTANCE_REL * mesh.diameter_m
    searched = centre + distance_m * icosphere(_SEARCH_SUBDIVISIONS)
    few = slice(None, None, 16)
    if _seen_often(mesh, points[few], -normals[few], searched).any():  # a sheet, or inconsistent winding
        points, normals = np.concatenate([points, points]), np.concatenate([normals, -normals])
    seen = _seen_often(mesh, points, normals, searched)
    if seen.sum() < 100:
        raise MeshError("mesh: hardly any of its surface is visible from outside, expected an object.")
    points, normals = points[seen], normals[seen]
    order = farthest_point_order(
        np.concatenate([points, _NORMAL_WEIGHT_REL * mesh.diameter_m * normals], axis=1), min(samples, len(points))
    )
    # The samples are stored as float32; their visibility must be that of the stored values.
    points, normals = points[order].astype(np.float32).astype(float), normals[order].astype(np.float32).astype(float)
    scene = raycasting_scene(mesh.vertices_m, mesh.faces)
    first = slice(0, VISIBLE_SAMPLES)
    lift = _LIFT_REL * mesh.diameter_m
    visible = np.stack(
        [_visible(scene, points[first], normals[first], centre + distance_m * d, lift) for d in directions]
    )
    return Surface(points, normals, directions, visible)


def icosphere(subdivisions: int) -> Array:
    """Directions [10 * 4**n + 2, 3] spread evenly over the sphere."""
    return np.asarray(trimesh.creation.icosphere(subdivisions=subdivisions).vertices, dtype=np.float64)


def farthest_point_order(features: Array, count: int) -> Any:
    """Indices [count]: each next row of ``features`` [N, F] is the one farthest from those before it.

    It starts with the row farthest from the mean; ties go to the lowest index.
    """
    features = np.ascontiguousarray(features, dtype=np.float32)
    tree = cKDTree(features)
    nearest = np.full(len(features), np.inf, dtype=np.float32)  # squared distance to the rows taken so far
    order = np.empty(count, dtype=np.intp)
    order[0] = np.argmax(np.sum((features - features.mean(axis=0)) ** 2, axis=1))
    for i in range(1, count):
        new = features[order[i - 1]]
        # Only rows nearer to the new one than the farthest row is to any can change.
        near = slice(None) if i < 256 else tree.query_ball_point(new, 1.001 * float(np.sqrt(nearest[order[i - 1]])))
        gap = features[near] - new
        nearest[near] = np.minimum(nearest[near], np.einsum("ij,ij->i", gap, gap))
        order[i] = np.argmax(nearest)
    return order


def _area_samples(mesh: Mesh, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Points [count, 3] spread evenly by area, with the triangles' normals [count, 3].

    Stratified over the triangles, so steadier than trimesh's independent draws.
    """
    corners = mesh.vertices_m[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    double_area = np.linalg.norm(normals, axis=1)
    share = np.cumsum(double_area) / double_area.sum()
    face = np.minimum(np.searchsorted(share, (np.arange(count) + rng.random(count)) / count), len(share) - 1)
    u, v = rng.random((2, count))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    a, b, c = (corners[face, i] for i in range(3))
    return a + u[:, None] * (b - a) + v[:, None] * (c - a), normals[face] / double_area[face, None]


def _visible(scene: Any, points: Array, normals: Array, viewpoint: Array, lift: float) -> Any:
    """Which points [N] face ``viewpoint`` and are not occluded."""
    ray = viewpoint - points
    facing = np.einsum("ij,ij->i", ray, normals) > 0
    start = points[facing] + lift * normals[facing]
    free = ~scene.test_occlusions(
        np.concatenate([start, viewpoint - start], axis=1).astype(np.float32), tfar=1.0
    ).numpy()
    visible = np.zeros(len(points), dtype=bool)
    visible[facing] = free
    return visible


def _seen_often(mesh: Mesh, points: Array, normals: Array, viewpoints: Array) -> Any:
    """Which points [N] are visible from ``_MIN_VIEWS`` viewpoints or more; those are not tested any further."""
    scene = raycasting_scene(mesh.vertices_m, mesh.faces)
    lift = _LIFT_REL * mesh.diameter_m
    count = np.zeros(len(points), dtype=int)
    for viewpoint in viewpoints[np.random.default_rng(0).permutation(len(viewpoints))]:
        undecided = np.flatnonzero(count < _MIN_VIEWS)
        count[undecided] += _visible(scene, points[undecided], normals[undecided], viewpoint, lift)
    return count >= _MIN_VIEWS
