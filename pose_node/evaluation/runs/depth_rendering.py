"""The depth image of a mesh at a pose, by scan conversion in numpy, for VSD.

A pixel's centre is at integer (u, v), and 1 / z is linear in the image, so depth is exact at each centre. It is written by
hand as the evaluation needs neither a GPU nor a ray tracer: open3d's is part of the learning side, others need OpenGL.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pose_node.arrays import Array
from pose_node.geometry import se3

_CHUNK = 4_000_000  # candidate pixels in memory
_NEAR_M = 1e-3


def render_depth(vertices_m: Array, faces: Any, T_camera_object: Array, K: Array, shape: tuple[int, int]) -> Array:
    """Depth [H, W] in metres along the optical axis, 0 outside the mesh.

    vertices_m [V, 3], faces [F, 3]. Both sides of a face are drawn; faces that reach behind the camera are not.
    """
    at = se3.apply(T_camera_object, vertices_m)
    corners = at[faces][(at[faces][:, :, 2] > _NEAR_M).all(axis=1)]  # [F', 3, 3]
    uv = corners @ K.T
    uv = uv[..., :2] / uv[..., 2:]
    low = np.maximum(np.ceil(uv.min(axis=1)).clip(-1e9, 1e9), 0).astype(np.int64)
    high = np.minimum(np.floor(uv.max(axis=1)).clip(-1e9, 1e9), [shape[1] - 1, shape[0] - 1]).astype(np.int64)
    size = np.maximum(high - low + 1, 0)
    area = _cross(uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0])
    kept = np.flatnonzero((size.prod(axis=1) > 0) & (area != 0))
    nearest = np.full(shape[0] * shape[1], np.inf)
    pixels = size[kept].prod(axis=1)
    for part in np.split(kept, np.flatnonzero(np.diff(np.cumsum(pixels) // _CHUNK)) + 1):
        _draw(nearest, uv[part], 1.0 / corners[part][:, :, 2], area[part], low[part], size[part], shape[1])
    return np.where(np.isfinite(nearest), nearest, 0.0).reshape(shape)


def _draw(nearest: Array, uv: Array, inverse: Array, area: Array, low: Any, size: Any, width: int) -> None:
    """Lower ``nearest`` [H * W] to the triangles uv [F, 3, 2], whose corners have 1 / z ``inverse`` [F, 3]."""
    count = size.prod(axis=1)
    face = np.repeat(np.arange(len(uv)), count)
    within = np.arange(len(face)) - np.repeat(np.cumsum(count) - count, count)
    column, row = low[face, 0] + within % size[face, 0], low[face, 1] + within // size[face, 0]
    pixel = np.stack([column, row], axis=1).astype(np.float64)
    share = [_cross(uv[face, (k + 2) % 3] - uv[face, (k + 1) % 3], pixel - uv[face, (k + 1) % 3]) for k in range(3)]
    weights = np.stack(share, axis=1) / area[face, None]
    inside = (weights >= 0).all(axis=1)
    depth = 1.0 / np.einsum("pk,pk->p", weights[inside], inverse[face[inside]])
    np.minimum.at(nearest, row[inside] * width + column[inside], depth)


def _cross(a: Array, b: Array) -> Array:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
