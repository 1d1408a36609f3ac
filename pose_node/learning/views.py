"""Views of one object as a depth camera would measure them: for training, and frozen for benchmarks.

A view comes from an integer seed alone: ``scene(seed)`` places object, clutter, support and camera; ``observe`` measures
them and cuts out an imperfect segment. A scene can be observed again from a moved camera. Only the crop around the
object is rendered. Lengths are metres, frames are optical camera frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.transform import Rotation

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.geometry import se3
from pose_node.learning import noise as noise_models
from pose_node.learning.render import (
    NOTHING,
    Instance,
    Plane,
    Renderer,
    Shot,
    Window,
    cast,
    compose,
    directions,
    sphere_window,
)

Mesh = tuple[str, Array, NDArray]
XTION_K = np.array([[570.0, 0.0, 319.5], [0.0, 570.0, 239.5], [0.0, 0.0, 1.0]])
OBJECT = 0  # row of the object among a scene's instances


@dataclass(frozen=True)
class ViewSettings:
    """What the views are drawn from. Pairs are (low, high).

    distance_m:      from the camera to the object's centre.
    K:               fixed intrinsics of a 640 x 480 image, or None: focal length drawn from ``focal_px``.
    least_px:        the object spans at least this many pixels: small objects come nearer than ``distance_m`` says.
    most_px:         larger crops are rendered at a coarser grid, as a binning camera would (None: never).
    visible_share:   of the object's pixels; scenes outside are drawn again.
    clutter_count:   objects beside, around and in front of the object.
    support_share:   views with a support plane under the object.
    cluster_share:   segments that took a patch of whatever touches the object.
    foreign:         share of foreign points in those segments.
    foreign_clutter: the foreign patch comes from clutter objects before it comes from the support.
    cut_share:       segments with a part missing beyond a straight cut; ``cut`` is how much of it.
    mask_error_px:   how far the segment's border strays, on average either way.
    sensors:         measurement models, drawn evenly.
    mesh_error_m:    smooth deviation of the real object from its mesh, at most.
    margin:          crop beyond the object's bounding sphere.
    """

    distance_m: tuple[float, float] = (0.4, 1.4)
    K: Array | None = None
    focal_px: tuple[float, float] = (450.0, 1100.0)
    least_px: float = 25.0
    most_px: int | None = 125
    visible_share: tuple[float, float] = (0.4, 1.0)
    clutter_count: tuple[int, int] = (0, 4)
    support_share: float = 0.75
    cluster_share: float = 0.6
    foreign: tuple[float, float] = (0.05, 0.35)
    foreign_clutter: bool = False
    cut_share: float = 0.15
    cut: tuple[float, float] = (0.1, 0.4)
    mask_error_px: float = 2.0
    sensors: tuple[noise_models.Sensor, ...] = field(default_factory=noise_models.sensors)
    mesh_error_m: float = 0.0015
    margin: float = 0.25


TRAINING = ViewSettings()
BENCHMARK = ViewSettings(
    distance_m=(0.5, 1.2),
    K=XTION_K,
    most_px=None,
    clutter_count=(1, 4),
    cluster_share=1.0,
    foreign=(0.2, 0.2),
    foreign_clutter=True,
    cut_share=0.0,
    mask_error_px=1.0,
    sensors=noise_models.sensors(strength=1.0, variation=0.0),
    mesh_error_m=0.001,
)


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Where everything is, in the camera frame. The object, when there is one, is ``instances[0]``.

    target_m, reach_m: the sphere that the crop shows; visible_share: first estimate of it, from a coarse look.
    """

    instances: tuple[Instance, ...]
    plane: Plane | None
    K: Array
    target_m: Array
    reach_m: float
    sensor: noise_models.Sensor
    visible_share: float
    has_object: bool
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One measured crop.

    points_m:          [M, 3] the segment's points; viewpoint_m [3] is the origin.
    on_object:         [M] which of them truly lie on the object.
    object_points_m:   [M, 3] the noise-free surface point of the mesh (object frame) under each of them; NaN off the object.
    T_camera_object:   [4, 4], or None in a view without the object.
    visible_share:     visible object pixels over those of the object rendered alone.
    visible_object_m:  [P, 3] object-frame surface points of ALL visible object pixels, noise-free: count those in a region
                       (a handle) to know how many pixels show it.
    scene_points_m:    [S, 3] all measured points of the crop; segment_index [M] rows of it.
    scene_ids:         [S] 0 the object, 1.. clutter, render.PLANE the support (by the ideal image).
    depth_m:           [h, w] the measured crop, whose first pixel is ``offset`` (u, v) of the camera ``K`` (binned as rendered).
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

    vertices_m [V, 3], faces [F, 3]: the object's mesh; diameter_m: its largest extent; centre_m [3]: its middle, both in
    the object frame; clutter: (name, vertices [V, 3] metres, faces [F, 3]) of everything that may stand around it.
    Raises InputError when the settings ask for clutter and there is none.
    """

    def __init__(
        self,
        vertices_m: Array,
        faces: NDArray,
        diameter_m: float,
        centre_m: Array,
        clutter: Sequence[Mesh] = (),
        settings: ViewSettings = TRAINING,
    ) -> None:
        if settings.clutter_count[0] > 0 and not clutter:
            raise InputError("clutter: found no mesh, expected at least one since the settings always place clutter.")
        self.settings = settings
        self.diameter_m = float(diameter_m)
        self.centre_m = np.asarray(centre_m, float)
        self.object = _Body("object", vertices_m, faces)
        self.clutter = [_Body(*mesh) for mesh in clutter]

    def view(self, seed: int, T_new_old: Array | None = None) -> View:
        """The view of a seed; with ``T_new_old`` [4, 4] the same scene seen by a camera moved there (see ``rolled``, ``arced``)."""
        return self.observe(self.scene(seed), T_new_old)

    def negative(self, seed: int) -> View:
        """A view without the object: the segment is a clutter body of similar size."""
        return self.observe(self.scene(seed, has_object=False))

    def scene(self, seed: int, has_object: bool = True) -> Scene:
        """Place everything. The sensor goes round with the seed, so that consecutive seeds use all evenly."""
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
        far = min(s.distance_m[1], 2 * reach * K[0, 0] / s.least_px)
        middle = _place(K, rng.uniform(min(s.distance_m[0], far), far), reach, rng)
        first = Instance(body.renderer, se3.transform(R, middle - R @ centre), scale)
        plane = _support(first, body, middle, rng) if rng.random() < s.support_share else None
        around, share = self._clutter(first, body, plane, count, K, middle, reach, rng)
        return Scene((first, *around), plane, K, middle, reach, sensor, share, has_object, seed)

    def observe(self, scene: Scene, T_new_old: Array | None = None) -> View:
        """Measure a scene and cut out the segment, from where it was made or from a moved camera."""
        s = self.settings
        moved = T_new_old is not None
        rng = np.random.default_rng([scene.seed, int(scene.has_object), 1, int(moved)])
        if moved:
            scene = _seen_from(scene, np.asarray(T_new_old, float))
        K, window = _binned(scene, s)
        rays = directions(K, window)
        layers = [cast(i, rays, K, window) for i in scene.instances]
        shot, alone = compose(layers, rays, window, scene.plane), compose(layers[:1], rays, window)
        first = scene.instances[OBJECT]
        mine = shot.ids == OBJECT
        total = int((alone.ids == OBJECT).sum())
        depth = scene.sensor.apply(
            self._bent(shot, mine, first, rays, scene) if s.mesh_error_m else shot.depth_m,
            shot.ids,
            shot.cosine,
            K,
            rng,
        )
        chosen, foreign = self._segment(depth, shot, mine, K, rng)
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

    def _clutter(
        self,
        first: Instance,
        body: _Body,
        plane: Plane | None,
        count: int,
        K: Array,
        middle: Array,
        reach: float,
        rng: np.random.Generator,
    ) -> tuple[list[Instance], float]:
        """Clutter that leaves about a drawn share of the object visible, chosen among a few placements by a coarse look."""
        s = self.settings
        wanted = rng.uniform(*s.visible_share)
        if not count:
            return [], 1.0
        window = sphere_window(middle, min(reach * (1 + s.margin), 0.9 * middle[2]), K)
        stride = max(max(window.width, window.height) // 30, 1)
        rays = directions(K, window, stride)
        own = cast(first, rays, K, window, stride)
        alone = max(int((compose([own], rays, window).ids == OBJECT).sum()), 1)
        share_of_clutter = s.foreign[1] / (1 - s.foreign[1]) if s.foreign_clutter else 0.0
        best, best_share, least = [], 1.0, np.inf
        for attempt in range(8):
            # Fewer bodies when nothing fits; none at all is in range by itself.
            around = self._surround(first, body, plane, max(count - attempt // 3, s.clutter_count[0], 1), rng)
            layers = [own, *(cast(i, rays, K, window, stride) for i in around)]
            ids = compose(layers, rays, window, plane).ids
            share = float((ids == OBJECT).sum() / alone)
            if not s.visible_share[0] + 0.03 <= share <= s.visible_share[1]:
                continue
            # Segments that must hold clutter need enough of it in the crop.
            poor = (ids > OBJECT).sum() < 1.3 * share_of_clutter * share * alone
            miss = abs(share - wanted) + 2.0 * poor
            if miss < least:
                best, best_share, least = around, share, miss
            if least < 0.15 or (attempt >= 3 and least < 1.0):
                break
        return best, best_share

    def _pick(self, rng: np.random.Generator) -> tuple[_Body, float]:
        """A clutter body, brought to between 0.4 and 1.6 of the object's diameter when it is of another size."""
        body = self.clutter[int(rng.integers(len(self.clutter)))]
        natural = 2 * body.renderer.radius_m / self.diameter_m
        wanted = rng.uniform(0.4, 1.6)
        return body, 1.0 if 0.5 < natural < 1.8 else float(wanted / natural)

    def _surround(
        self, first: Instance, body: _Body, plane: Plane | None, count: int, rng: np.random.Generator
    ) -> list[Instance]:
        """``count`` clutter bodies that touch or nearly touch the object's sides, or stand in the camera's way."""
        placed = []
        away = -first.centre_m / np.linalg.norm(first.centre_m)
        normal = plane.normal if plane is not None else None
        hull = first.T_camera_object[:3, :3] @ (first.scale * body.hull.T)
        for _ in range(count):
            other, scale = self._pick(rng)
            R = _rotation(rng)
            side = rng.normal(size=3)
            blocks = rng.random() < 0.6
            if blocks:
                side = away + 0.8 * side / np.linalg.norm(side)
            # Half of what stands in the way leans, hangs or is held: it need not stand on the support.
            stands = normal is not None and not (blocks and rng.random() < 0.5)
            if stands:
                side = side - normal * (side @ normal)
            side /= np.linalg.norm(side)
            mine, theirs = side @ hull, side @ (R @ (scale * other.hull.T))
            # Separated along ``side`` by the gap, whatever the shapes: bodies never run through each other.
            gap = rng.uniform(0, 0.01) if rng.random() < 0.6 else rng.uniform(0, 0.08 if not blocks else 0.15)
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

    def _bent(
        self, shot: Shot, mine: NDArray[np.bool_], first: Instance, rays: NDArray, scene: Scene
    ) -> NDArray[np.float32]:
        """The object's depth moved by the smooth deviation of the real surface from its mesh; the same from any camera."""
        rng = np.random.default_rng([scene.seed, 2])
        T = se3.invert(first.T_camera_object)
        points = rays[mine] * shot.depth_m[mine, None] @ T[:3, :3].T.astype(np.float32) + T[:3, 3].astype(np.float32)
        shift = noise_models.mesh_error(points, self.diameter_m, self.settings.mesh_error_m * rng.random(), rng)
        depth = shot.depth_m.copy()
        depth[mine] += shift / np.maximum(shot.cosine[mine], np.float32(0.4))
        return depth

    def _segment(
        self, depth: NDArray, shot: Shot, mine: NDArray[np.bool_], K: Array, rng: np.random.Generator
    ) -> tuple[NDArray[np.bool_], float]:
        """The imperfect mask [h, w], and the share of its points that are foreign."""
        s = self.settings
        mask = _ragged(mine, s.mask_error_px, rng)
        if rng.random() < s.cut_share and mine.any():
            mask &= _cut(mine, rng.uniform(*s.cut), rng)
        valid = depth > 0
        mask &= valid
        if rng.random() < s.cluster_share:
            mask |= self._patch(depth, shot, mask, mine, valid, K, rng)
        count = int(mask.sum())
        return mask, float((mask & ~mine).sum() / count) if count else 0.0

    def _patch(self, depth, shot: Shot, mask, mine, valid, K: Array, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Foreign pixels in the wanted number, nearest (in space) to a spot on the object's border."""
        s = self.settings
        share = rng.uniform(*s.foreign)
        wanted = int(share / (1 - share) * (mask & mine).sum()) - int((mask & ~mine).sum())
        added = np.zeros(mask.size, bool)
        foreign = np.flatnonzero((~mine & ~mask & valid & (shot.ids != NOTHING)).ravel())
        own = np.flatnonzero((mine & valid).ravel())
        if wanted <= 0 or not len(foreign) or not len(own):
            return added.reshape(mask.shape)
        scale = np.array([1 / K[0, 0], 1 / K[1, 1]], np.float32)
        flat, ids = depth.ravel(), shot.ids.ravel()

        def places(index: NDArray) -> NDArray:
            pixel = np.stack(np.divmod(index, mask.shape[1])[::-1], axis=1).astype(np.float32)
            z = flat[index]
            return np.column_stack([pixel * scale * z[:, None], z])

        clutter = ids[foreign] > OBJECT
        pool = foreign[clutter] if clutter.any() and (s.foreign_clutter or rng.random() < 0.5) else foreign
        spots = places(pool)
        # Clusters leak where things touch: grow from the foreign spot that lies nearest to any of a few object points.
        seeds = places(own[rng.integers(len(own), size=16)])
        some = spots[:: max(len(spots) // 1500, 1)]
        apart = (some**2).sum(axis=1)[:, None] - 2 * some @ seeds.T + (seeds**2).sum(axis=1)[None, :]
        start = some[np.argmin(apart.min(axis=1))]
        reach = ((spots - start) ** 2).sum(axis=1)
        near = pool[np.argpartition(reach, wanted - 1)[:wanted]] if wanted < len(pool) else pool
        added[near] = True
        rest = wanted - len(near)
        if rest > 0 and len(pool) < len(foreign):
            others = np.setdiff1d(foreign, pool, assume_unique=True)
            reach = ((places(others) - start) ** 2).sum(axis=1)
            added[others[np.argpartition(reach, rest - 1)[:rest]] if rest < len(others) else others] = True
        return added.reshape(mask.shape)


class _Body:
    """A mesh with its tree and the corners of its convex hull [H, 3], for touching and standing."""

    def __init__(self, name: str, vertices_m: Array, faces: NDArray) -> None:
        self.name = name
        self.renderer = Renderer(vertices_m, faces)
        vertices = self.renderer.vertices_m
        try:
            self.hull = vertices[ConvexHull(vertices).vertices]
        except QhullError:  # a flat mesh has no hull
            self.hull = vertices


def rolled(angle_rad: float) -> Array:
    """T_new_old of a camera turned about its own optical axis."""
    return se3.transform(se3.exp_so3(np.array([0.0, 0.0, -angle_rad])), np.zeros(3))


def arced(target_m: Array, angle_rad: float, direction_rad: float = 0.0) -> Array:
    """T_new_old of a camera moved on an arc about ``target_m`` [3] (old frame), still looking at it at the same distance.

    ``direction_rad`` tells which way: 0 sideways, pi/2 up or down.
    """
    axis = np.array([-np.sin(direction_rad), np.cos(direction_rad), 0.0])
    ahead = target_m / np.linalg.norm(target_m)
    axis = axis - ahead * (axis @ ahead)
    R = se3.exp_so3(axis / np.linalg.norm(axis) * angle_rad)
    return se3.transform(R, target_m - R @ target_m)


def _seen_from(scene: Scene, T_new_old: Array) -> Scene:
    """The same scene in another camera's frame."""
    instances = tuple(Instance(i.renderer, T_new_old @ i.T_camera_object, i.scale) for i in scene.instances)
    plane = scene.plane
    if plane is not None:
        normal = T_new_old[:3, :3] @ plane.normal
        plane = Plane(normal, plane.offset_m + float(normal @ T_new_old[:3, 3]))
    target = se3.apply(T_new_old, scene.target_m[None])[0]
    return Scene(
        instances,
        plane,
        scene.K,
        target,
        scene.reach_m,
        scene.sensor,
        scene.visible_share,
        scene.has_object,
        scene.seed,
    )


def _camera(settings: ViewSettings, rng: np.random.Generator) -> Array:
    """Intrinsics of a 640 x 480 image."""
    focal = np.exp(rng.uniform(*np.log(settings.focal_px)))
    if settings.K is not None:
        return np.asarray(settings.K, float)
    u, v = 319.5 + rng.uniform(-15, 15), 239.5 + rng.uniform(-15, 15)
    return np.array([[focal, 0.0, u], [0.0, focal * rng.uniform(0.995, 1.005), v], [0.0, 0.0, 1.0]])


def _rotation(rng: np.random.Generator) -> Array:
    """A rotation drawn evenly from SO(3)."""
    q = rng.normal(size=4)
    return Rotation.from_quat(q / np.linalg.norm(q)).as_matrix()


def _place(K: Array, distance_m: float, reach_m: float, rng: np.random.Generator) -> Array:
    """A point at ``distance_m`` whose sphere lies in the image, as far as it fits there."""
    margin = reach_m / distance_m * K[0, 0]
    u, v = (n / 2 + max(n / 2 - margin, 0.0) * rng.uniform(-1, 1) for n in (640, 480))
    ray = np.array([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], 1.0])
    return np.maximum(distance_m, 1.3 * reach_m + 0.1) * ray / np.linalg.norm(ray)


def _support(first: Instance, body: _Body, middle: Array, rng: np.random.Generator) -> Plane:
    """A plane that the object touches, seen from 12 to 80 degrees above it, mostly with its normal up in the image."""
    towards = -middle / np.linalg.norm(middle)
    up = np.array([0.0, -1.0, 0.0]) if rng.random() < 0.7 else rng.normal(size=3)
    up = up - towards * (up @ towards) + 0.2 * rng.normal(size=3)
    up = up - towards * (up @ towards)
    elevation = np.radians(rng.uniform(12, 80))
    normal = np.sin(elevation) * towards + np.cos(elevation) * up / np.linalg.norm(up)
    lowest = (body.hull * first.scale @ first.T_camera_object[:3, :3].T @ normal).min()
    return Plane(normal, float(lowest + normal @ first.T_camera_object[:3, 3]))


def _binned(scene: Scene, settings: ViewSettings) -> tuple[Array, Window]:
    """The camera and window to render with: the crop around the target, on a coarser grid when it is too large."""
    reach = scene.reach_m * (1 + settings.margin)
    reach = min(reach, 0.9 * scene.target_m[2])
    window = sphere_window(scene.target_m, reach, scene.K)
    largest = max(window.width, window.height)
    if settings.most_px is None or largest <= settings.most_px:
        return scene.K, window
    shrink = settings.most_px / largest
    K = scene.K.copy()
    K[:2] *= shrink
    K[:2, 2] += 0.5 * shrink - 0.5  # pixel centres lie at integers
    return K, sphere_window(scene.target_m, reach, K)


def _surface_under(depth: NDArray, shot: Shot, alone: Shot, pixels: NDArray) -> tuple[NDArray, NDArray[np.bool_]]:
    """For each of some pixels [M]: the pixel where the object's surface shows that it measured, and whether it did.

    It did when the ideal image shows the object there, or beside there and the reading agrees with the object rather than
    with what the pixel itself should have shown (an edge that strayed).
    """
    beside = shot.ids == OBJECT
    source = np.where(alone.ids == OBJECT, np.arange(depth.size, dtype=np.int32).reshape(depth.shape), np.int32(-1))
    for _ in range(2):
        beside = noise_models.dilate(beside)
        source = _spread(source)
    source = source.ravel()[pixels]
    model = np.where(source >= 0, alone.depth_m.ravel()[source], np.float32(0))
    measured, ideal = depth.ravel()[pixels], shot.depth_m.ravel()[pixels]
    agrees = (model > 0) & (np.abs(measured - model) < np.float32(0.012) + np.float32(0.012) * model)
    own = shot.ids.ravel()[pixels] == OBJECT
    strayed = (
        ~own & beside.ravel()[pixels] & ((ideal <= 0) | (np.abs(measured - model) < 0.5 * np.abs(measured - ideal)))
    )
    return np.maximum(source, 0), agrees & (own | strayed)


def _spread(source: NDArray[np.int32]) -> NDArray[np.int32]:
    """Fill pixels without a value (-1) from a direct neighbour that has one."""
    out = source.copy()
    for target, beside in (
        (np.s_[:, 1:], np.s_[:, :-1]),
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[1:], np.s_[:-1]),
        (np.s_[:-1], np.s_[1:]),
    ):
        np.copyto(out[target], source[beside], where=(out[target] < 0))
    return out


def _ragged(mask: NDArray[np.bool_], error_px: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """The mask with its border moved by a smooth random amount of up to a few pixels either way."""
    if error_px <= 0:
        return mask.copy()
    reach = int(np.ceil(1.5 * error_px))
    # The share of the mask in a box around a pixel runs linearly across a straight border: a cheap signed distance.
    inside = _box_mean(mask.astype(np.float32), reach)
    bias = rng.normal() * error_px * 0.6
    stray = noise_models.field(mask.shape, 7.0, rng) * np.float32(error_px * 0.5) + np.float32(bias)
    return inside + np.clip(stray, -reach + 0.5, reach - 0.5) / np.float32(2 * reach + 1) > 0.5


def _box_mean(image: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """Mean over a (2 reach + 1) square, zeros outside."""
    size = 2 * reach + 1
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (reach + 1, reach)
        total = np.cumsum(np.pad(image, pad), axis=axis)
        high, low = [slice(None)] * 2, [slice(None)] * 2
        high[axis], low[axis] = slice(size, None), slice(None, -size)
        image = (total[tuple(high)] - total[tuple(low)]) / np.float32(size)
    return image


def _cut(mask: NDArray[np.bool_], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """The half plane of pixels that leaves ``share`` of the mask out, in a random direction."""
    way = rng.uniform(0, 2 * np.pi)
    v, u = np.indices(mask.shape, dtype=np.float32)
    along = u * np.float32(np.cos(way)) + v * np.float32(np.sin(way))
    return along > np.quantile(along[mask], share)
