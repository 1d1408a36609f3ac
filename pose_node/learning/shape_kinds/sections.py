"""Plane sections, and solids made of them: rounded corners, superellipses, lofts, rings, rounded boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_node.arrays import Array
from pose_node.learning.mesh_building import FACETS, Body, tube


def circle(radius: float, facets: int = 24, centre: Sequence[float] = (0, 0)) -> Array:
    """Points [facets, 2]."""
    at = 2 * np.pi * np.arange(facets) / facets
    return np.stack([np.cos(at), np.sin(at)], 1) * radius + np.asarray(centre, float)


def superellipse(width: float, depth: float, power: float = 2.0, facets: int = 32) -> Array:
    """Points [facets, 2]: an ellipse for ``power`` 2, nearer to a rectangle with more."""
    at = 2 * np.pi * np.arange(facets) / facets
    c, s = np.cos(at), np.sin(at)
    off = (np.abs(c) ** power + np.abs(s) ** power) ** (-1 / power)
    return np.stack([c * off * width / 2, s * off * depth / 2], 1)


def rectangle(width: float, depth: float, centre: Sequence[float] = (0, 0)) -> Array:
    """Corners [4, 2], counter-clockwise."""
    return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (width / 2, depth / 2) + np.asarray(centre, float)


def rounded_rectangle(width: float, depth: float, radius: float, steps: int = 5) -> Array:
    """Points [4 * steps, 2], counter-clockwise; the same count for every size, so that they can be lofted."""
    radius = min(radius, 0.49 * width, 0.49 * depth)
    at = np.linspace(0, np.pi / 2, steps)[None] + (np.pi / 2 * np.arange(4))[:, None]
    signs = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    corner = signs * (width / 2 - radius, depth / 2 - radius)
    return (corner[:, None] + radius * np.stack([np.cos(at), np.sin(at)], -1)).reshape(-1, 2)


def rounded_corners(corners: Array, radius: float | Array, steps: int = 4) -> Array:
    """A polygon [P, 2] with its corners filleted (by parabolas) where there is room for it: [P * steps, 2]."""
    corners = np.asarray(corners, float)
    before, after = np.roll(corners, 1, axis=0) - corners, np.roll(corners, -1, axis=0) - corners
    long_before, long_after = np.linalg.norm(before, axis=1), np.linalg.norm(after, axis=1)
    cut = np.minimum(np.broadcast_to(radius, len(corners)), 0.45 * np.minimum(long_before, long_after))
    start = corners + before * (cut / long_before)[:, None]
    end = corners + after * (cut / long_after)[:, None]
    t = np.linspace(0, 1, steps)[None, :, None]
    return ((1 - t) ** 2 * start[:, None] + 2 * t * (1 - t) * corners[:, None] + t**2 * end[:, None]).reshape(-1, 2)


def clearance(outline: Array, point: Sequence[float] = (0, 0)) -> float:
    """Distance from a point to the nearest edge of an outline [P, 2]."""
    a = outline - np.asarray(point, float)
    along = np.roll(a, -1, axis=0) - a
    t = np.clip(-np.einsum("ij,ij->i", a, along) / np.maximum(np.einsum("ij,ij->i", along, along), 1e-12), 0, 1)
    return float(np.linalg.norm(a + t[:, None] * along, axis=1).min())


def loft(sections: Sequence[Array], heights: Sequence[float] | Array) -> Body:
    """A solid through sections [P, 2] of the same count at ``heights``; up outside and down inside for a hollow."""
    return tube(np.stack([np.column_stack([s, np.full(len(s), z)]) for s, z in zip(sections, heights)]))


def ring(radii: Sequence[float] | Array, heights: Sequence[float] | Array, facets: int = FACETS) -> Body:
    """A closed profile revolved about z: outside upwards, then inside downwards."""
    at = circle(1.0, facets)
    rings = [np.column_stack([r * at, np.full(facets, z)]) for r, z in zip(radii, heights)]
    return tube(np.stack(rings), closed=True)


def rounded_box(size: Sequence[float] | Array, radius: float, steps: int = 4) -> Body:
    """A box [3] with edges and corners rounded by spheres, about the origin."""
    half = np.asarray(size, float) / 2
    radius = min(radius, 0.98 * float(half.min()))
    quarter = np.linspace(0, np.pi / 2, steps)
    latitude = np.concatenate([quarter - np.pi / 2, quarter])
    rings = []
    for lat, lift in zip(latitude, np.repeat([-1.0, 1.0], steps)):
        r = radius * max(np.cos(lat), 0.05)
        inner = 2 * (half[:2] - radius)
        flat = rounded_rectangle(inner[0] + 2 * r, inner[1] + 2 * r, r, steps)
        rings.append(np.column_stack([flat, np.full(len(flat), lift * (half[2] - radius) + radius * np.sin(lat))]))
    return tube(np.stack(rings))
