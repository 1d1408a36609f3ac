"""Views of one object as a depth camera would measure them: for training, and frozen for benchmarks.

A view follows from an integer seed: ``scene(seed)`` places object, clutter, support and camera; ``observe`` measures them
and cuts out an imperfect segment. A scene can be observed again from a moved camera. Only the crop around the object is
rendered. Lengths are in metres, frames are optical camera frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose_node.arrays import Array
from pose_node.geometry import se3
from pose_node.learning import noise_effects
from pose_node.learning.render import (
    Instance,
    Shot,
    Window,
    cast,
    compose,
    directions,
    sphere_window,
)
from pose_node.learning.scene import OBJECT, Body, Mesh, Scene, SceneSampler, seen_from
from pose_node.learning.segment_mask import imperfect_mask
from pose_node.learning.view_settings import TRAINING, ViewSettings


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One measured crop.

    points_m:          [M, 3] the segment's points; viewpoint_m [3] is the origin.
    on_object:         [M] which of them lie on the object.
    object_points_m:   [M, 3] the noise-free surface point of the mesh (object frame) that each of them measured; NaN off it.
    T_camera_object:   [4, 4], or None in a view without the object.
    visible_share:     visible object pixels over those of the object rendered alone.
    visible_object_m:  [P, 3] noise-free surface points (object frame) of all visible object pixels, for instance to count
                       those of a handle.
    noise:             name of the sensor model.
    scene_points_m:    [S, 3] all measured points of the crop; segment_index [M]: the segment's rows in it.
    scene_ids:         [S] 0 the object, 1.. clutter, render.PLANE the support (by the ideal image).
    depth_m:           [h, w] the measured crop; its first pixel is ``offset`` (u, v) of the camera ``K`` (binned as rendered).
    foreign_share:     share of the segment's points that are not on the object.
    """

    points_m: Array
    on_object: NDArray[np.bool_]
    object_points_m: Array
    viewpoint_m: Array
    T_camera_object: Array | None
    visible_share: float
    visible_object_m: Array
    noise: str
    scene_points_m: Array
    scene_ids: NDArray[np.int16]
    segment_index: NDArray[np.intp]
    K: Array
    depth_m: NDArray[np.float32]
    offset: tuple[int, int]
    foreign_share: float
    seed: int


class ViewSampler:
    """Views of one object.

    vertices_m [V, 3], faces [F, 3], centre_m [3]: the object's mesh and centre, in the object frame; diameter_m: its
    largest extent; clutter: (name, vertices [V, 3] metres, faces [F, 3]) of everything that may be placed around it, or
    bodies made of these.
    Raises InputError when the settings require clutter and there is none.
    """

    def __init__(
        self,
        vertices_m: Array,
        faces: NDArray,
        diameter_m: float,
        centre_m: Array,
        clutter: Sequence[Mesh | Body] = (),
        settings: ViewSettings = TRAINING,
    ) -> None:
        self.settings = settings
        self.scenes = SceneSampler(vertices_m, faces, diameter_m, centre_m, clutter, settings)

    def view(self, seed: int, T_new_old: Array | None = None) -> View:
        """The view of a seed; with ``T_new_old`` [4, 4] the same scene from a moved camera (``scene.rolled``, ``scene.arced``)."""
        return self.observe(self.scene(seed), T_new_old)

    def negative(self, seed: int) -> View:
        """A view without the object: the segment is a clutter body of similar size.

        Raises InputError when there is no clutter.
        """
        return self.observe(self.scene(seed, has_object=False))

    def scene(self, seed: int, has_object: bool = True) -> Scene:
        """The scene of a seed, before it is measured."""
        return self.scenes.scene(seed, has_object)

    def observe(self, scene: Scene, T_new_old: Array | None = None) -> View:
        """Measure a scene from its own or a moved camera, and cut out the segment."""
        s = self.settings
        moved = T_new_old is not None
        rng = np.random.default_rng([scene.seed, int(scene.has_object), 1, int(moved)])
        if moved:
            scene = seen_from(scene, np.asarray(T_new_old, float))
        K, window = _binned(scene, s)
        rays = directions(K, window)
        layers = [cast(i, rays, K, window) for i in scene.instances]
        shot, alone = compose(layers, rays, window, scene.plane), compose(layers[:1], rays, window)
        first = scene.instances[OBJECT]
        mine = shot.ids == OBJECT
        total = int((alone.ids == OBJECT).sum())
        depth = scene.sensor.apply(
            self._with_mesh_error(shot, mine, first, rays, scene) if s.mesh_error_m else shot.depth_m,
            shot.ids,
            shot.cosine,
            K,
            rng,
        )
        chosen, foreign = imperfect_mask(depth, shot, mine, K, s, rng)
        valid = np.flatnonzero(depth.ravel() > 0)
        picked = chosen.ravel()[valid]
        points = rays.reshape(-1, 3)[valid].astype(np.float64) * depth.ravel()[valid, None]
        index = np.flatnonzero(picked)
        pixels = valid[index]
        source, known = _surface_under(depth, shot, alone, pixels)
        inverse = se3.invert(first.T_camera_object)
        surface = rays.reshape(-1, 3)[source].astype(np.float64) * alone.depth_m.ravel()[source, None]
        surface = se3.apply(inverse, surface)
        surface[~known] = np.nan
        on_object = known if scene.has_object else np.zeros(len(index), bool)
        return View(
            points_m=points[index],
            on_object=on_object,
            object_points_m=surface if scene.has_object else np.full_like(surface, np.nan),
            viewpoint_m=np.zeros(3),
            T_camera_object=first.T_camera_object if scene.has_object else None,
            visible_share=float(mine.sum() / max(total, 1)) if scene.has_object else 0.0,
            visible_object_m=(
                se3.apply(inverse, rays[mine].astype(np.float64) * shot.depth_m[mine, None])
                if scene.has_object
                else np.zeros((0, 3))
            ),
            noise=scene.sensor.name,
            scene_points_m=points,
            scene_ids=shot.ids.ravel()[valid],
            segment_index=index,
            K=K,
            depth_m=depth,
            offset=(window.u0, window.v0),
            foreign_share=foreign,
            seed=scene.seed,
        )

    def _with_mesh_error(
        self, shot: Shot, mine: NDArray[np.bool_], first: Instance, rays: NDArray, scene: Scene
    ) -> NDArray[np.float32]:
        """Depth with the smooth deviation of the real surface from its mesh; the same from any camera."""
        rng = np.random.default_rng([scene.seed, 2])
        T = se3.invert(first.T_camera_object)
        points = rays[mine] * shot.depth_m[mine, None] @ T[:3, :3].T.astype(np.float32) + T[:3, 3].astype(np.float32)
        shift = noise_effects.mesh_error(points, self.scenes.diameter_m, self.settings.mesh_error_m * rng.random(), rng)
        depth = shot.depth_m.copy()
        depth[mine] += shift / np.maximum(shot.cosine[mine], np.float32(0.4))
        return depth


def _binned(scene: Scene, settings: ViewSettings) -> tuple[Array, Window]:
    """Camera matrix and window of the crop around the target, on a coarser grid when it is larger than ``max_crop_px``."""
    reach = scene.reach_m * (1 + settings.margin)
    reach = min(reach, 0.9 * scene.target_m[2])
    window = sphere_window(scene.target_m, reach, scene.K)
    largest = max(window.width, window.height)
    if settings.max_crop_px is None or largest <= settings.max_crop_px:
        return scene.K, window
    shrink = settings.max_crop_px / largest
    K = scene.K.copy()
    K[:2] *= shrink
    K[:2, 2] += 0.5 * shrink - 0.5  # pixel centres lie at integers
    return K, sphere_window(scene.target_m, reach, K)


def _surface_under(depth: NDArray, shot: Shot, alone: Shot, pixels: NDArray) -> tuple[NDArray, NDArray[np.bool_]]:
    """For each of ``pixels`` [M]: the pixel of the ideal image whose object point it measured, and whether it measured one.

    It did when its reading agrees with the object, and either the ideal image shows the object there, or it shows it
    within two pixels and the reading is nearer to the object than to the ideal depth (an edge displaced by noise).
    """
    near = shot.ids == OBJECT
    source = np.where(alone.ids == OBJECT, np.arange(depth.size, dtype=np.int32).reshape(depth.shape), np.int32(-1))
    for _ in range(2):
        near = noise_effects.dilate(near)
        source = _filled(source)
    source = source.ravel()[pixels]
    model = np.where(source >= 0, alone.depth_m.ravel()[source], np.float32(0))
    measured, ideal = depth.ravel()[pixels], shot.depth_m.ravel()[pixels]
    agrees = (model > 0) & (np.abs(measured - model) < np.float32(0.012) + np.float32(0.012) * model)
    own = shot.ids.ravel()[pixels] == OBJECT
    displaced = (
        ~own & near.ravel()[pixels] & ((ideal <= 0) | (np.abs(measured - model) < 0.5 * np.abs(measured - ideal)))
    )
    return np.maximum(source, 0), agrees & (own | displaced)


def _filled(source: NDArray[np.int32]) -> NDArray[np.int32]:
    """Pixels without a value (-1) filled from a direct neighbour that has one."""
    out = source.copy()
    for target, neighbour in (
        (np.s_[:, 1:], np.s_[:, :-1]),
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[1:], np.s_[:-1]),
        (np.s_[:-1], np.s_[1:]),
    ):
        np.copyto(out[target], source[neighbour], where=(out[target] < 0))
    return out
