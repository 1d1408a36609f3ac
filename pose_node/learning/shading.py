"""A mesh shaded as a picture, by parallel rays: for onboarding pictures and sheets of shapes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pose_node.arrays import Array
from pose_node.learning.render import raycasting_scene


def picture_axes(side: Array) -> tuple[Array, Array]:
    """Right and up of a picture [2, 3] and the viewing direction [3], looking from ``side`` [3] with z upwards."""
    forward = -np.asarray(side, float) / np.linalg.norm(side)
    up = np.array([0.0, 0.0, 1.0]) if abs(forward[2]) < 0.8 else np.array([0.0, 1.0, 0.0])
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(right, forward)]), forward


def shade(
    vertices_m: Array, faces: NDArray, project: Array, forward: Array, extent: tuple[float, ...], pixels: int
) -> Array:
    """Grey values [pixels, pixels] between 0 and 1, white in the background.

    project, forward: of ``picture_axes``; extent: left, right, low and high of the picture in metres along them.
    """
    scene = raycasting_scene(vertices_m, faces)
    u, v = np.meshgrid(np.linspace(extent[0], extent[1], pixels), np.linspace(extent[3], extent[2], pixels))
    behind = (vertices_m @ forward).min() - float(np.linalg.norm(np.ptp(vertices_m, axis=0)))
    start = u[..., None] * project[0] + v[..., None] * project[1] + behind * forward
    rays = np.concatenate([start, np.broadcast_to(forward, start.shape)], -1).astype(np.float32)
    hit = scene.cast_rays(rays, nthreads=1)
    light = -forward + 0.5 * project[1] - 0.35 * project[0]
    light /= np.linalg.norm(light)
    facing = np.abs(hit["primitive_normals"].numpy() @ light)
    return np.where(np.isfinite(hit["t_hit"].numpy()), 0.25 + 0.65 * facing, 1.0)
