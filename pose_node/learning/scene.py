"""Where everything is in a rendered view: object, support, clutter and camera, all from one seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.transform import Rotation

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.geometry import se3
from pose_node.learning.noise import SimulatedSensor
from pose_node.learning.render import Instance, Plane, Renderer, cast, compose, directions, sphere_window
from pose_node.learning.view_settings import ViewSettings

Mesh = tuple[str, Array, NDArray]
OBJECT = 0  # row of the object among a scene's instances


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Everything in the camera frame. ``instances[0]`` is the object, or the segmented clutter body of a view without it.

    target_m [3], reach_m: centre and radius of the sphere that the crop shows; visible_share: estimated at low resolution.
    """

    instances: tuple[Instance, ...]
    plane: Plane | None
    K: Array
    target_m: Array
    reach_m: float
    sensor: SimulatedSensor
    visible_share: float
    has_object: bool
    seed: int


class Body:
    """A mesh to render, with the vertices of its convex hull [H, 3] to place it against other bodies."""

    def __init__(self, name: str, vertices_m: Array, faces: NDArray) -> None:
        self.name = name
        self.renderer = Renderer(vertices_m, faces)
        vertices = self.renderer.vertices_m
        try:
            self.hull = vertices[ConvexHull(vertices).vertices]
        except QhullError:  # a flat mesh has no hull
            self.hull = vertices


class SceneSampler:
    """Scenes of one object among clutter; arguments and errors as for ``ViewSampler``."""

    def __init__(
        self,
        vertices_m: Array,
        faces: NDArray,
        diameter_m: float,
        centre_m: Array,
        clutter: Sequence[Mesh | Body],
        settings: ViewSettings,
    ) -> None:
        if settings.clutter_count[0] > 0 and not clutter:
            raise InputError(
                "clutter: found no mesh, expected at least one, because the settings always place clutter."
            )
        self.settings = settings
        self.diameter_m = float(diameter_m)
        self.centre_m = np.asarray(centre_m, float)
        self.object = Body("object", vertices_m, faces)
        self.clutter = [body if isinstance(body, Body) else Body(*body) for body in clutter]

    def scene(self, seed: int, has_object: bool = True) -> Scene:
        """The scene of a seed. Consecutive seeds use the sensors in turn.

        Raises InputError for a scene without the object when there is no clutter.
        """
        s = self.settings
        rng = np.random.default_rng([seed, int(has_object)])
        sensor = s.sensors[seed % len(s.sensors)]
        K = _camera(s, rng)
        low, high = s.clutter_count
        count = int(rng.integers(low, high + 1)) if self.clutter else 0
        if has_object:
            body, scale = self.object, 1.0
            centre, reach = self.centre_m, self.diameter_m / 2
        else:
            if not self.clutter:
                raise InputError("clutter: found no mesh, expected at least one to make a view without the object.")
            body, scale = self._pick(rng)
            centre, reach = body.renderer.centre_m * scale, body.renderer.radius_m * scale
        R = _rotation(rng)
        far = min(s.distance_m[1], 2 * reach * K[0, 0] / s.min_object_px)
        target = _place(K, rng.uniform(min(s.distance_m[0], far), far), reach, rng)
        first = Instance(body.renderer, se3.transform(R, target - R @ centre), scale)
        plane = _support(first, body, target, rng) if rng.random() < s.support_share else None
        around, share = self._clutter(first, body, plane, count, K, target, reach, rng)
        return Scene((first, *around), plane, K, target, reach, sensor, share, has_object, seed)

    def _clutter(
        self,
        first: Instance,
        body: Body,
        plane: Plane | None,
        count: int,
        K: Array,
        target: Array,
        reach: float,
        rng: np.random.Generator,
    ) -> tuple[list[Instance], float]:
        """Clutter that leaves about a drawn share of the object visible: the best of a few placements at low resolution."""
        s = self.settings
        wanted = rng.uniform(*s.visible_share)
        if not count:
            return [], 1.0
        window = sphere_window(target, min(reach * (1 + s.margin), 0.9 * target[2]), K)
        stride = max(max(window.width, window.height) // 30, 1)
        rays = directions(K, window, stride)
        own = cast(first, rays, K, window, stride)
        alone = max(int((compose([own], rays, window).ids == OBJECT).sum()), 1)
        share_of_clutter = s.foreign[1] / (1 - s.foreign[1]) if s.foreign_clutter else 0.0
        best, best_share, least = [], 1.0, np.inf
        for attempt in range(8):
            # Fewer bodies after failed attempts. Without any success there is no clutter, which is always valid.
            around = self._surround(first, body, plane, max(count - attempt // 3, s.clutter_count[0], 1), rng)
            layers = [own, *(cast(i, rays, K, window, stride) for i in around)]
            ids = compose(layers, rays, window, plane).ids
            share = float((ids == OBJECT).sum() / alone)
            if not s.visible_share[0] + 0.03 <= share <= s.visible_share[1]:
                continue
            # Segments that must include clutter need enough of it in the crop.
            too_little = (ids > OBJECT).sum() < 1.3 * share_of_clutter * share * alone
            miss = abs(share - wanted) + 2.0 * too_little
            if miss < least:
                best, best_share, least = around, share, miss
            if least < 0.15 or (attempt >= 3 and least < 1.0):
                break
        return best, best_share

    def _pick(self, rng: np.random.Generator) -> tuple[Body, float]:
        """A clutter body and its scale: if its size differs much from the object's, 0.4 to 1.6 of the object's diameter."""
        body = self.clutter[int(rng.integers(len(self.clutter)))]
        natural = 2 * body.renderer.radius_m / self.diameter_m
        wanted = rng.uniform(0.4, 1.6)
        return body, 1.0 if 0.5 < natural < 1.8 else float(wanted / natural)

    def _surround(
        self, first: Instance, body: Body, plane: Plane | None, count: int, rng: np.random.Generator
    ) -> list[Instance]:
        """Up to ``count`` clutter bodies that touch or nearly touch the object, or occlude it."""
        placed = []
        away = -first.centre_m / np.linalg.norm(first.centre_m)
        normal = plane.normal if plane is not None else None
        hull = first.T_camera_object[:3, :3] @ (first.scale * body.hull.T)
        for _ in range(count):
            other, scale = self._pick(rng)
            R = _rotation(rng)
            side = rng.normal(size=3)
            occludes = rng.random() < 0.6
            if occludes:
                side = away + 0.8 * side / np.linalg.norm(side)
            # Half of the occluding bodies need not stand on the support: they lean, hang or are held.
            stands = normal is not None and not (occludes and rng.random() < 0.5)
            if stands:
                side = side - normal * (side @ normal)
            side /= np.linalg.norm(side)
            mine, theirs = side @ hull, side @ (R @ (scale * other.hull.T))
            # The hulls are separated along ``side`` by the gap, so that bodies never intersect.
            gap = rng.uniform(0, 0.01) if rng.random() < 0.6 else rng.uniform(0, 0.15 if occludes else 0.08)
            across = rng.normal(size=3) * self.diameter_m * 0.35
            across -= side * (across @ side)
            centre_offset = R @ (scale * other.renderer.centre_m)
            t = first.centre_m - centre_offset + across
            along = side @ first.T_camera_object[:3, 3] + mine.max() + gap - theirs.min()
            t += side * (along - side @ t)
            if normal is not None:
                above = normal @ t + (normal @ (R @ (scale * other.hull.T))).min() - plane.offset_m
                t -= normal * (above if stands else min(above, 0.0))
            instance = Instance(other.renderer, se3.transform(R, t), scale)
            if instance.centre_m[2] - instance.radius_m > 0.15 and not any(
                np.linalg.norm(instance.centre_m - p.centre_m) < 0.6 * (instance.radius_m + p.radius_m) for p in placed
            ):
                placed.append(instance)
        return placed


def rolled(angle_rad: float) -> Array:
    """T_new_old of a camera rotated about its optical axis."""
    return se3.transform(se3.exp_so3(np.array([0.0, 0.0, -angle_rad])), np.zeros(3))


def arced(target_m: Array, angle_rad: float, direction_rad: float = 0.0) -> Array:
    """T_new_old of a camera moved on an arc about ``target_m`` [3] (old frame), with the same distance and view of it.

    ``direction_rad``: 0 moves it sideways, pi/2 up or down.
    """
    axis = np.array([-np.sin(direction_rad), np.cos(direction_rad), 0.0])
    ahead = target_m / np.linalg.norm(target_m)
    axis = axis - ahead * (axis @ ahead)
    R = se3.exp_so3(axis / np.linalg.norm(axis) * angle_rad)
    return se3.transform(R, target_m - R @ target_m)


def seen_from(scene: Scene, T_new_old: Array) -> Scene:
    """The same scene in the frame of another camera."""
    instances = tuple(Instance(i.renderer, T_new_old @ i.T_camera_object, i.scale) for i in scene.instances)
    plane = scene.plane
    if plane is not None:
        normal = T_new_old[:3, :3] @ plane.normal
        plane = Plane(normal, plane.offset_m + float(normal @ T_new_old[:3, 3]))
    target_m = se3.apply(T_new_old, scene.target_m[None])[0]
    return replace(scene, instances=instances, plane=plane, target_m=target_m)


def _camera(settings: ViewSettings, rng: np.random.Generator) -> Array:
    """Intrinsics of a 640 x 480 image."""
    focal = np.exp(rng.uniform(*np.log(settings.focal_px)))
    if settings.K is not None:
        return np.asarray(settings.K, float)
    u, v = 319.5 + rng.uniform(-15, 15), 239.5 + rng.uniform(-15, 15)
    return np.array([[focal, 0.0, u], [0.0, focal * rng.uniform(0.995, 1.005), v], [0.0, 0.0, 1.0]])


def _rotation(rng: np.random.Generator) -> Array:
    """A rotation, uniform over SO(3)."""
    q = rng.normal(size=4)
    return Rotation.from_quat(q / np.linalg.norm(q)).as_matrix()


def _place(K: Array, distance_m: float, reach_m: float, rng: np.random.Generator) -> Array:
    """A point at ``distance_m`` whose sphere of radius ``reach_m`` lies within the image, if it fits."""
    margin = reach_m / distance_m * K[0, 0]
    u, v = (n / 2 + max(n / 2 - margin, 0.0) * rng.uniform(-1, 1) for n in (640, 480))
    ray = np.array([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], 1.0])
    return np.maximum(distance_m, 1.3 * reach_m + 0.1) * ray / np.linalg.norm(ray)


def _support(first: Instance, body: Body, target: Array, rng: np.random.Generator) -> Plane:
    """A plane that the object touches, seen from 12 to 80 degrees above, usually with its normal up in the image."""
    towards = -target / np.linalg.norm(target)
    up = np.array([0.0, -1.0, 0.0]) if rng.random() < 0.7 else rng.normal(size=3)
    up = up - towards * (up @ towards) + 0.2 * rng.normal(size=3)
    up = up - towards * (up @ towards)
    elevation = np.radians(rng.uniform(12, 80))
    normal = np.sin(elevation) * towards + np.cos(elevation) * up / np.linalg.norm(up)
    lowest = (body.hull * first.scale @ first.T_camera_object[:3, :3].T @ normal).min()
    return Plane(normal, float(lowest + normal @ first.T_camera_object[:3, 3]))
