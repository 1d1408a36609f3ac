"""Training cases of the scorer: rendered scenes, segments as the pipeline finds them, and refined right and wrong poses in them.

Case i depends only on (pool, seed, i). A case holds poses, not features, so that the features may change without rendering anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from pose_node.arrays import Array, Indices
from pose_node.config import PipelineConfig, RefineConfig, SegmentConfig
from pose_node.detection.segmentation import segments
from pose_node.errors import MeshError
from pose_node.geometry.se3 import exp_so3, transform
from pose_node.geometry.symmetry import Symmetry
from pose_node.learning.mesh import Mesh, diameter_of, load_mesh
from pose_node.learning.pose_truth import RIGHT_REL, Truth
from pose_node.learning.surface import sample_surface
from pose_node.learning.view_settings import TRAINING
from pose_node.learning.views import View, ViewSampler
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.scene import Scene
from pose_node.measurement.sensor import Sensor
from pose_node.objects.card import ObjectCard
from pose_node.objects.surface import Surface, load_surface, save_surface
from pose_node.pose.blind_search import blind_poses
from pose_node.pose.invariants import Extractor, shares
from pose_node.pose.refine import Refiner
from pose_node.pose.shortlist import distinct
from pose_node.types import Hypothesis, Segment

SETTINGS = replace(TRAINING, max_crop_px=220, margin=0.7, cluster_share=0.35, foreign=(0.02, 0.3), min_object_px=30.0)
_SCENES_OF_ONE = 3  # cases in turn of one object, whose tables are then at hand
_CLUTTER = 4
_BLIND = 48
_FINE = 4  # best coarse poses that are refined, and
_FINE_BY_CHANCE = 1
_COARSE_BY_CHANCE = 6
_MIN_POINTS = 60
_REFINE = RefineConfig(points=400, max_iterations=15)  # a third of the time, for poses that need not be exact


@dataclass(frozen=True, eq=False)
class Thing:
    """An object of the pool: its mesh, and its card in memory. stretch: [3] what the pool's object was multiplied by."""

    name: str
    vertices_m: Array
    faces: Any
    card: ObjectCard

    def stretched(self, factors: Array) -> Thing:
        """The object with its axes multiplied by ``factors`` [3]; a negative one mirrors it. Visibility carries over."""
        old = self.card.surface
        normals = old.normals / factors
        directions = old.view_directions * factors
        surface = Surface(
            old.points_m * factors,
            normals / np.linalg.norm(normals, axis=1, keepdims=True),
            directions / np.linalg.norm(directions, axis=1, keepdims=True),
            old.visible,
        )
        vertices = self.vertices_m * factors
        faces = self.faces if np.prod(factors) > 0 else np.ascontiguousarray(self.faces[:, ::-1])
        return Thing(self.name, vertices, faces, _card(self.name, diameter_of(vertices), surface))


def _card(name: str, diameter_m: float, surface: Surface) -> ObjectCard:
    none = np.zeros((0, 4, 4))
    return ObjectCard(
        name, Path(), diameter_m, surface.points_m.mean(axis=0), Symmetry(np.eye(4)[None]), none, (), surface, Path()
    )


class Pool:
    """Objects that cases are made of; their surfaces are sampled once and kept in ``folder``.

    shape_of: the family of procedural shapes (``shapes.training`` or ``shapes.held_out``); count: of them; meshes: further files
    in millimetres.
    """

    def __init__(
        self, folder: Path, shape_of: Any, count: int, meshes: Sequence[Path] = (), first_seed: int = 0
    ) -> None:
        self.folder, self.shape_of, self.count, self.meshes = folder, shape_of, count, list(meshes)
        self.first_seed = first_seed
        folder.mkdir(parents=True, exist_ok=True)
        self.thing = lru_cache(maxsize=96)(self._thing)
        self.mesh = lru_cache(maxsize=256)(self._mesh)
        self._stretched = lru_cache(maxsize=32)(self._make_stretched)

    def __len__(self) -> int:
        return self.count + len(self.meshes)

    def _make_stretched(self, index: int, *stretch: float) -> Thing:
        thing, factors = self.thing(index), np.array(stretch)
        return thing if np.all(factors == 1.0) else thing.stretched(factors)

    def _mesh(self, index: int) -> Mesh:
        if index >= self.count:
            return load_mesh(self.meshes[index - self.count], units="mm")
        shape = self.shape_of(self.first_seed + index)
        return Mesh(shape.vertices_m, shape.faces, diameter_of(shape.vertices_m))

    def name(self, index: int) -> str:
        return (
            self.meshes[index - self.count].stem
            if index >= self.count
            else f"{self.shape_of.__name__}_{self.first_seed + index}"
        )

    def looked_for(self, index: int, stretch: Array) -> Thing:
        """An object of the pool, multiplied by ``stretch`` [3]."""
        return self._stretched(index, *map(float, stretch))

    def _thing(self, index: int) -> Thing:
        mesh, name = self.mesh(index), self.name(index)
        path = self.folder / f"{name}.npz"
        if not path.exists():
            part = path.with_suffix(".part.npz")
            save_surface(part, sample_surface(mesh, candidates=10_000, samples=4096, subdivisions=2))
            part.replace(path)
        return Thing(
            name, mesh.vertices_m, mesh.faces, _card(name, mesh.diameter_m, load_surface(path, mesh.diameter_m))
        )


@dataclass(frozen=True, eq=False)
class Group:
    """Poses of one object in one segment.

    thing, stretch: index in the pool, and [3] factors of the object that was looked for. segment: index into the case's.
    T: [K, 4, 4]; refined: [K] bool; right: [K] bool (of a coarse pose: whether its refinement is right).
    same: the object is the one that is really there.
    """

    thing: int
    stretch: Array
    segment: int
    T: Array
    refined: Array
    right: Array
    same: bool


@dataclass(frozen=True, eq=False)
class Case:
    """One scene: the depth image with its K, the segments [(indices, source, off_support)], and the groups of poses."""

    depth_m: Array
    K: Array
    segments: tuple[tuple[Indices, str, Indices | None], ...]
    groups: tuple[Group, ...]
    noise: str
    visible_share: float


def case(pool: Pool, seed: int, index: int) -> Case | None:
    """Case ``index``; None where the object is hardly measured."""
    rng, config = np.random.default_rng([seed, index]), PipelineConfig()
    block = index // _SCENES_OF_ONE
    true_index, *around = _neighbours(pool, seed, block)
    try:
        true = pool.thing(true_index)
        sampler = _sampler(pool, true_index, tuple(around[:_CLUTTER]))
    except MeshError:  # a shape of which nothing is visible from outside
        return None
    view = sampler.view(int(rng.integers(2**31)))
    if len(view.points_m) < _MIN_POINTS or view.T_camera_object is None:
        return None
    cloud, rows = _measured(view)
    truth = Truth(true.card.surface, true.card.diameter_m)
    found = _segments(cloud, rows, true, view, rng, config.segment)
    groups: list[Group] = []
    kept: list[Segment] = []
    for segment in found:
        wanted = [(true_index, np.ones(3))]
        if rng.random() < 0.6:
            wanted.append((true_index, _variant(rng)))
        strangers = [i for i in (around[0], *around[-2:]) if i != true_index]
        if strangers and rng.random() < 0.6:
            wanted.append(_stranger(pool, strangers, true, rng))
        if segment.source == "cluster" and rng.random() < 0.5:
            wanted = wanted[:1]
        for thing_index, stretch in wanted:
            try:
                thing = pool.looked_for(thing_index, stretch)
            except MeshError:
                continue
            segment = replace(segment, object_name=thing.name)
            T, refined, right = _poses(thing, true, truth, view.T_camera_object, cloud, segment, rng, config)
            kept.append(segment)
            same = thing_index == true_index and bool(np.all(stretch == 1.0))
            groups.append(Group(thing_index, stretch, len(kept) - 1, T, refined, right, same))
            if rng.random() < 0.35:
                group = _tracked(thing, truth, view.T_camera_object, cloud, groups[-1], rng, config)
                if group is not None:
                    kept.append(group[0])
                    groups.append(replace(group[1], segment=len(kept) - 1))
    return Case(
        view.depth_m,
        _own_K(view),
        tuple((s.indices, s.source, s.off_support) for s in kept),
        tuple(groups),
        view.noise,
        view.visible_share,
    )


def _neighbours(pool: Pool, seed: int, block: int) -> list[int]:
    """The true object of a block of cases, then those of the next and the last blocks, whose surfaces are needed anyway."""
    order = np.random.default_rng([seed, 1]).permutation(len(pool))
    steps = [0, *range(1, _CLUTTER + 1), -1, -2]
    return [int(order[(block + step) % len(pool)]) for step in steps]


@lru_cache(maxsize=2)
def _sampler(pool: Pool, true_index: int, clutter: tuple[int, ...]) -> ViewSampler:
    """Views of an object among clutter."""
    true = pool.thing(true_index)
    meshes = [(pool.name(i), pool.mesh(i).vertices_m, pool.mesh(i).faces) for i in clutter if i != true_index]
    return ViewSampler(true.vertices_m, true.faces, true.card.diameter_m, true.card.centre_m, meshes, SETTINGS)


def _own_K(view: View) -> Array:
    K = view.K.copy()
    K[:2, 2] -= view.offset
    return K


def _measured(view: View) -> tuple[Cloud, Indices]:
    """The cloud of a rendered crop, and the rows of its segment."""
    return Cloud.from_depth(view.depth_m, _own_K(view)), view.segment_index


def _segments(
    cloud: Cloud, rows: Indices, true: Thing, view: View, rng: np.random.Generator, config: SegmentConfig
) -> list[Segment]:
    """Segments as the pipeline makes them: the mask's, or those of a box around it, or clusters of the whole crop."""
    name, cards = true.name, {true.name: true.card}
    kind = rng.random()
    if kind < 0.55:
        mask = np.zeros(cloud.shape, dtype=bool)
        mask.ravel()[cloud.source_index[rows]] = True
        return segments(cloud, {name: [mask]}, cards, config)[0]
    if kind < 0.7:
        v, u = np.unravel_index(cloud.source_index[rows], cloud.shape)
        box = np.zeros(cloud.shape, dtype=bool)
        low = np.maximum(np.array([v.min(), u.min()]) - rng.integers(0, 6, 2), 0)
        high = np.array([v.max(), u.max()]) + rng.integers(1, 7, 2)
        box[low[0] : high[0], low[1] : high[1]] = True
        return segments(cloud, None, cards, config, {name: [box]})[0][:2]
    found = segments(cloud, None, cards, config)[0]
    best = sorted(found, key=lambda s: -np.isin(s.indices, rows).sum())
    return best[:1] + [s for s in best[1:] if rng.random() < 0.4][:2]


def _variant(rng: np.random.Generator) -> Array:
    """Factors of a look-alike: the mirror image, another size, or other proportions."""
    kind = rng.random()
    if kind < 0.35:
        return np.array([-1.0, 1.0, 1.0])
    if kind < 0.6:
        return np.full(3, np.exp(rng.choice([-1, 1]) * rng.uniform(0.08, 0.45)))
    factors = np.ones(3)
    factors[rng.integers(3)] = np.exp(rng.choice([-1, 1]) * rng.uniform(0.1, 0.4))
    return factors


def _stranger(pool: Pool, others: Sequence[int], true: Thing, rng: np.random.Generator) -> tuple[int, Array]:
    """Another object, made about as large as the true one where it is not."""
    index = int(rng.choice(others))
    ratio = true.card.diameter_m / pool.mesh(index).diameter_m
    near = 0.75 < ratio < 1.33
    return index, np.full(3, 1.0 if near else ratio * np.exp(rng.uniform(-0.25, 0.25)))


@lru_cache(maxsize=48)
def refiner_of(thing: Thing) -> Refiner:
    """Refines poses of ``thing``; kept for the next group of it."""
    return Refiner(thing.card, _REFINE)


def _poses(
    thing: Thing,
    true: Thing,
    truth: Truth,
    T_true: Array,
    cloud: Cloud,
    segment: Segment,
    rng: np.random.Generator,
    config: PipelineConfig,
) -> tuple[Array, Array, Array]:
    """Coarse and refined poses [K, 4, 4] of ``thing`` in a segment, which are refined [K], and which are right [K]."""
    card = thing.card
    scene = Scene(cloud, {card.name: card})
    view = scene.view(segment)
    refiner = refiner_of(thing)
    start = np.concatenate([_near_truth(T_true, card, rng), blind_poses(card, view, _BLIND)])
    T = refiner.coarse(start, view)
    extractor = Extractor(card, refiner.lookup, Sensor.from_config(config.sensor))
    share = shares(extractor.extract(T, view, 512, 256, False))
    fit = share.explained - share.violated + share.covered
    kept = distinct(T, fit, card, len(T))
    chosen = kept[:_FINE] + [int(i) for i in rng.permutation(kept[_FINE:])[:_FINE_BY_CHANCE]]
    fine = [
        refiner.fine(Hypothesis(card.name, T[i], segment, "blind"), scene, passes=1).T_camera_object for i in chosen
    ]
    right = truth.right(np.stack(fine), T_true, card.surface)
    rest = [i for i in range(len(T)) if i not in chosen]
    rest = [int(i) for i in rng.permutation(rest)[:_COARSE_BY_CHANCE]]
    # Their refinement is not made: only those that are clearly in or out of the basin of a right pose are kept.
    near = truth.right(T[rest], T_true, card.surface)
    off = np.array([_moved(T[i], np.stack(fine), card) for i in rest])
    sure = near | (off > 2.0 * RIGHT_REL)
    rest = [i for i, s in zip(rest, sure) if s]
    all_T = np.concatenate([np.stack(fine), T[chosen], T[rest]])
    refined = np.arange(len(all_T)) < len(fine)
    return all_T, refined, np.concatenate([right, right, near[sure]])


def _moved(T: Array, others: Array, card: ObjectCard) -> float:
    """The least distance, in diameters, by which a pose moves any surface point away from the ``others`` [K, 4, 4]."""
    x = card.surface.points_m[:64]
    a = x @ T[:3, :3].T + T[:3, 3]
    b = x @ np.swapaxes(others[:, :3, :3], 1, 2) + others[:, None, :3, 3]
    return float(np.linalg.norm(a - b, axis=-1).max(axis=1).min() / card.diameter_m)


def _near_truth(T_true: Array, card: ObjectCard, rng: np.random.Generator) -> Array:
    """The truth, displaced a little and more, and its half-turns, quarter turns and other turns about the main axes: [K, 4, 4]."""
    points = card.surface.points_m[:512]
    centre = points.mean(axis=0)
    axes = np.linalg.svd(points - centre, full_matrices=False)[2]
    turns = [np.zeros(3)] * 5 + [np.pi * a for a in axes] + [0.5 * np.pi * a for a in axes]
    turns += [rng.uniform(0.3, 2.8) * axes[rng.integers(3)] for _ in range(2)]
    R = exp_so3(np.array(turns))
    M = transform(R, centre - R @ centre)
    spread = np.array([0.05, 0.15, 0.3, 0.5, 0.8] + [0.1] * (len(turns) - 5))[:, None]
    w = rng.normal(size=(len(turns), 3)) * spread / np.sqrt(3)
    t = rng.normal(size=(len(turns), 3)) * spread * 0.25 * card.diameter_m / np.sqrt(3)
    W = exp_so3(w)
    jitter = transform(W, centre - W @ centre + t)
    return T_true @ M @ jitter


def _tracked(
    thing: Thing,
    truth: Truth,
    T_true: Array,
    cloud: Cloud,
    group: Group,
    rng: np.random.Generator,
    config: PipelineConfig,
) -> tuple[Segment, Group] | None:
    """A segment as tracking makes it, near a pose of a group, and the pose refined in it."""
    fine = np.flatnonzero(group.refined)
    wanted = fine[group.right[fine]]
    pick = int(rng.choice(wanted if len(wanted) and rng.random() < 0.5 else fine[:3]))
    refiner, card = refiner_of(thing), thing.card
    start = group.T[pick]
    x = (cloud.points_m - start[:3, 3]) @ start[:3, :3]
    rows = np.flatnonzero(refiner.lookup.distance_bound(x) < rng.uniform(0.08, 0.15) * card.diameter_m)
    if len(rows) < _MIN_POINTS:
        return None
    segment = Segment(rows, "track", card.name)
    scene = Scene(cloud, {card.name: card})
    T = refiner.fine(Hypothesis(card.name, start, segment, "expected"), scene, passes=1).T_camera_object[None]
    right = truth.right(T, T_true, card.surface)
    return segment, Group(group.thing, group.stretch, 0, T, np.ones(1, bool), right, group.same)
