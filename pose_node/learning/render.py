"""Ideal depth images of a pinhole camera, by ray casting.

Each mesh has one bounding-volume tree in its own frame. The rays are transformed into that frame, so a new pose needs no new
tree, and only the crop around each instance is cast. Instances are merged by depth. Ray directions have z = 1, so the ray
parameter of a hit is the depth along the optical axis.

Camera frames are optical (x right, y down, z forward); the centre of a pixel is at integer (u, v); lengths are in metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from pose_node.arrays import Array
from pose_node.errors import InputError

NOTHING = -1
PLANE = -2
_NEAR_M = 0.02  # nearer to the camera's centre than this, projections are invalid
_FAR_M = 10.0  # range of the support plane, about that of a depth camera


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of pixels: columns [u0, u0 + width), rows [v0, v0 + height). It may extend beyond the image."""

    u0: int
    v0: int
    width: int
    height: int

    def intersect(self, other: Window) -> Window:
        """The pixels in both (width or height 0 if there are none)."""
        u0, v0 = max(self.u0, other.u0), max(self.v0, other.v0)
        u1 = min(self.u0 + self.width, other.u0 + other.width)
        v1 = min(self.v0 + self.height, other.v0 + other.height)
        return Window(u0, v0, max(u1 - u0, 0), max(v1 - v0, 0))


def raycasting_scene(vertices_m: Array, faces: NDArray) -> o3d.t.geometry.RaycastingScene:
    """A mesh (vertices [V, 3], faces [F, 3]) to cast rays against, or to measure distances from, on one thread."""
    scene = o3d.t.geometry.RaycastingScene(nthreads=1)
    scene.add_triangles(np.asarray(vertices_m, np.float32), np.asarray(faces, np.uint32))
    return scene


class Renderer:
    """One mesh, to be rendered at any pose and scale.

    vertices_m: [V, 3] metres, object frame; faces: [F, 3] indices. The sign of a face's normal is not used, so winding may
    be inconsistent. Raises InputError for arrays of other shapes.
    """

    def __init__(self, vertices_m: Array, faces: NDArray) -> None:
        self.vertices_m = np.ascontiguousarray(vertices_m, dtype=np.float64)
        self.faces = np.ascontiguousarray(faces, dtype=np.uint32)
        if self.vertices_m.ndim != 2 or self.vertices_m.shape[1:] != (3,) or not len(self.faces):
            raise InputError(
                f"mesh to render: found vertices {self.vertices_m.shape} and faces {self.faces.shape}, expected (V, 3) and (F, 3)."
            )
        low, high = self.vertices_m.min(axis=0), self.vertices_m.max(axis=0)
        self.centre_m = (low + high) / 2
        self.radius_m = float(np.linalg.norm(self.vertices_m - self.centre_m, axis=1).max())
        self._scene = raycasting_scene(self.vertices_m, self.faces)

    def __reduce__(self):
        # The tree cannot be pickled: a worker process builds its own.
        return Renderer, (self.vertices_m, self.faces)

    def cast(
        self, T_camera_object: Array, directions: NDArray[np.float32], scale: float = 1.0
    ) -> tuple[NDArray, NDArray]:
        """Depth [...] float32 (inf: no hit) and |cosine of incidence| [...] float32 along ``directions`` [..., 3], z = 1.

        The object's vertices are at ``T_camera_object @ (scale * vertex)``.
        """
        R = T_camera_object[:3, :3]
        # Dividing origin and direction by the scale does not change the ray parameter, the depth.
        rays = np.empty((*directions.shape[:-1], 6), np.float32)
        rays[..., :3] = -(R.T @ T_camera_object[:3, 3]) / scale
        local = rays[..., 3:]
        np.matmul(directions, (R / scale).astype(np.float32), out=local)
        hit = self._scene.cast_rays(o3d.core.Tensor(rays), nthreads=1)
        cosine = np.abs(np.einsum("...i,...i->...", hit["primitive_normals"].numpy(), local))
        cosine *= scale / np.sqrt(np.einsum("...i,...i->...", directions, directions))
        return hit["t_hit"].numpy(), cosine


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """A mesh in the scene: vertices at ``T_camera_object @ (scale * vertex)``."""

    renderer: Renderer
    T_camera_object: Array
    scale: float = 1.0

    @property
    def centre_m(self) -> Array:
        """Centre [3] of the bounding sphere in the camera frame."""
        return self.T_camera_object[:3, :3] @ (self.scale * self.renderer.centre_m) + self.T_camera_object[:3, 3]

    @property
    def radius_m(self) -> float:
        return self.scale * self.renderer.radius_m


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """An infinite support plane: the points x with ``normal @ x == offset_m``, in the camera frame."""

    normal: Array
    offset_m: float


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """The ideal image in a window.

    depth_m: [h, w] float32 along the optical axis, 0 in the background; ids: [h, w] int16, the row of the instance, PLANE or
    NOTHING; cosine: [h, w] float32, |cosine| between ray and surface normal, 0 in the background.
    """

    depth_m: NDArray[np.float32]
    ids: NDArray[np.int16]
    cosine: NDArray[np.float32]
    window: Window


def directions(K: Array, window: Window, stride: int = 1) -> NDArray[np.float32]:
    """Ray directions [h, w, 3] with z = 1 through every ``stride``-th pixel centre of the window."""
    u = np.arange(window.u0, window.u0 + window.width, stride)
    v = np.arange(window.v0, window.v0 + window.height, stride)
    out = np.ones((len(v), len(u), 3), np.float32)
    y = (v - K[1, 2]) / K[1, 1]
    out[..., 1] = y[:, None]
    out[..., 0] = (u[None, :] - K[0, 2] - K[0, 1] * y[:, None]) / K[0, 0]
    return out


def sphere_window(centre_m: Array, radius_m: float, K: Array) -> Window:
    """The smallest window that holds the projection of a sphere (exact, also far off the optical axis).

    Raises InputError when the sphere reaches the plane of the camera's centre.
    """
    if centre_m[2] - radius_m < _NEAR_M:
        raise InputError(
            f"sphere to project: found depth {centre_m[2]:.3f} m and radius {radius_m:.3f} m, expected it in front of the camera."
        )
    edges = []
    for axis in (0, 1):
        # Tangents from the camera's centre to the section of the sphere in the (axis, z) plane.
        towards = np.arctan2(centre_m[axis], centre_m[2])
        half = np.arcsin(min(radius_m / np.hypot(centre_m[axis], centre_m[2]), 1.0))
        edges.append(np.tan([towards - half, towards + half]))
    (x0, x1), (y0, y1) = edges
    skew = sorted((K[0, 1] * y0, K[0, 1] * y1))
    u0, u1 = K[0, 0] * x0 + skew[0] + K[0, 2], K[0, 0] * x1 + skew[1] + K[0, 2]
    v0, v1 = K[1, 1] * y0 + K[1, 2], K[1, 1] * y1 + K[1, 2]
    u0, v0, u1, v1 = int(np.floor(u0)), int(np.floor(v0)), int(np.ceil(u1)), int(np.ceil(v1))
    return Window(u0, v0, u1 - u0 + 1, v1 - v0 + 1)


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """The ideal image of one instance alone: depth (inf: no hit) and cosine in ``rows`` and ``columns`` of the window."""

    rows: slice
    columns: slice
    depth_m: NDArray[np.float32]
    cosine: NDArray[np.float32]


def cast(instance: Instance, rays: NDArray[np.float32], K: Array, window: Window, stride: int = 1) -> Layer:
    """Render one instance into a window with ``rays`` of ``directions(K, window, stride)``."""
    rows, columns = _patch(instance, K, window, stride)
    part = rays[rows, columns]
    if not part.size:
        return Layer(rows, columns, part[..., 0], part[..., 0])
    return Layer(rows, columns, *instance.renderer.cast(instance.T_camera_object, part, instance.scale))


def compose(layers: Sequence[Layer], rays: NDArray[np.float32], window: Window, plane: Plane | None = None) -> Shot:
    """The nearest surface of all layers and the plane at each pixel; ids are rows of ``layers``."""
    depth = np.full(rays.shape[:2], np.inf, np.float32)
    ids = np.full(rays.shape[:2], NOTHING, np.int16)
    cosine = np.zeros(rays.shape[:2], np.float32)
    if plane is not None:
        slope = rays @ plane.normal.astype(np.float32)
        with np.errstate(divide="ignore"):
            t = np.float32(plane.offset_m) / slope
        below = (t > 0) & (t < _FAR_M)
        np.copyto(depth, t, where=below)
        ids[below] = PLANE
        np.copyto(cosine, np.abs(slope) / np.sqrt(np.einsum("hwi,hwi->hw", rays, rays)), where=below)
    for row, layer in enumerate(layers):
        at = (layer.rows, layer.columns)
        wins = layer.depth_m < depth[at]
        np.copyto(depth[at], layer.depth_m, where=wins)
        np.copyto(cosine[at], layer.cosine, where=wins)
        ids[at][wins] = row
    depth[ids == NOTHING] = 0
    return Shot(depth, ids, cosine, window)


def render(
    instances: Sequence[Instance], K: Array, window: Window, plane: Plane | None = None, stride: int = 1
) -> Shot:
    """The ideal image of all instances and the plane; with ``stride`` > 1, of every stride-th pixel."""
    rays = directions(K, window, stride)
    return compose([cast(i, rays, K, window, stride) for i in instances], rays, window, plane)


def _patch(instance: Instance, K: Array, window: Window, stride: int) -> tuple[slice, slice]:
    """The rows and columns of the (strided) window that an instance may cover."""
    if instance.centre_m[2] - instance.radius_m < _NEAR_M:
        return slice(None), slice(None)
    part = sphere_window(instance.centre_m, instance.radius_m, K).intersect(window)
    v0, u0 = -(-(part.v0 - window.v0) // stride), -(-(part.u0 - window.u0) // stride)
    v1, u1 = -(-(part.v0 + part.height - window.v0) // stride), -(-(part.u0 + part.width - window.u0) // stride)
    return (slice(v0, v1), slice(u0, u1)) if part.width and part.height else (slice(0, 0), slice(0, 0))
