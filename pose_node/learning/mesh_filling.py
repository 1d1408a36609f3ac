"""Outlines with holes raised to a solid: a Delaunay triangulation whose missing boundary edges are split until it has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import Delaunay

from pose_node.arrays import Array
from pose_node.learning.mesh_building import Body, Faces

_JITTER = 1e-7  # of the size: breaks ties between points on one circle or line; the returned points are without it
_ROUNDS = 20


def extrude(outline: Array, height: float, holes: Sequence[Array] = (), lines: Sequence[Array] = ()) -> Body:
    """The area within ``outline`` [P, 2] and outside of ``holes`` as a solid between z = 0 and ``height``.

    Along ``lines`` [P, 2] (inside, or from vertex to vertex of the outline) run edges of the faces, so that it can be bent
    there. Raises ValueError when loops cross.
    """
    points, triangles, edges = fill(outline, holes, lines)
    flat = len(points)
    vertices = np.concatenate([np.column_stack([points, np.full(flat, z)]) for z in (0.0, height)])
    a, b = edges.T
    walls = (np.stack([a, b, b + flat], 1), np.stack([a, b + flat, a + flat], 1))
    return vertices, np.concatenate([triangles[:, ::-1], triangles + flat, *walls])


def fill(outline: Array, holes: Sequence[Array] = (), lines: Sequence[Array] = ()) -> tuple[Array, Faces, Faces]:
    """Points [P, 2], triangles [T, 3] (counter-clockwise) and boundary edges [E, 2] (inside on the left) of the area.

    Raises ValueError when loops cross.
    """
    loops = [_turned(np.asarray(outline, float), 1.0), *(_turned(np.asarray(h, float), -1.0) for h in holes)]
    chains = [*(np.concatenate([loop, loop[:1]]) for loop in loops), *(np.asarray(line, float) for line in lines)]
    size = float(np.ptp(loops[0], axis=0).max())
    ends = np.concatenate([np.stack([c[:-1], c[1:]], 1) for c in chains])
    is_boundary = np.repeat([k < len(loops) for k in range(len(chains))], [len(c) - 1 for c in chains])
    _, first, back = np.unique(np.round(ends.reshape(-1, 2) / size, 9), axis=0, return_index=True, return_inverse=True)
    points, edges = ends.reshape(-1, 2)[first], back.reshape(-1, 2)
    rng = np.random.default_rng(0)
    for _ in range(_ROUNDS):
        near = points + _JITTER * size * rng.standard_normal(points.shape)
        triangles = Delaunay(near).simplices.astype(np.int64)
        sides = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
        missing = ~np.isin(_key(edges, len(points)), _key(sides, len(points)))
        if not missing.any():
            break
        middle = len(points) + np.arange(missing.sum())
        a, b = edges[missing].T
        points = np.concatenate([points, (points[a] + points[b]) / 2])
        kept, kind = edges[~missing], is_boundary[missing]
        edges = np.concatenate([kept, np.stack([a, middle], 1), np.stack([middle, b], 1)])
        is_boundary = np.concatenate([is_boundary[~missing], kind, kind])
    else:
        raise ValueError(f"outline to fill: found edges that still cross after {_ROUNDS} rounds, expected apart loops.")
    edges = edges[is_boundary]
    corner = near[triangles]
    triangles = triangles[_is_inside(corner.mean(axis=1), near[edges])]
    u, v = near[triangles[:, 1]] - near[triangles[:, 0]], near[triangles[:, 2]] - near[triangles[:, 0]]
    flipped = u[:, 0] * v[:, 1] < u[:, 1] * v[:, 0]
    triangles[flipped] = triangles[flipped][:, ::-1]
    return points, triangles, edges


def _turned(loop: Array, sign: float) -> Array:
    x, y = loop.T
    area = float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))
    return loop if area * sign > 0 else loop[::-1]


def _key(edges: Faces, count: int) -> Faces:
    return edges.min(axis=1) * count + edges.max(axis=1)


def _is_inside(points: Array, edges: Array) -> Array:
    """Which of ``points`` [N, 2] a ray in +x leaves through an odd number of ``edges`` [E, 2, 2]."""
    (x0, y0), (x1, y1) = edges[:, 0].T, edges[:, 1].T
    x, y = points[:, :1], points[:, 1:]
    spans = (y0 > y) != (y1 > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
    return (spans & (x < at)).sum(axis=1) % 2 == 1
