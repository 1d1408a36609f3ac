"""What the backbone is trained on: of one shape, two measured views and two clean views as its bank would hold.

Sample i depends only on (seed, i), so that a run can be resumed exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch.utils.data import Dataset

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.geometry.se3 import invert
from pose_node.learning import shapes
from pose_node.learning.bank_view import bank_view
from pose_node.learning.mesh import diameter_of
from pose_node.learning.render import Renderer
from pose_node.learning.scene import Body
from pose_node.learning.shapes import Shape
from pose_node.learning.view_settings import TRAINING, ViewSettings
from pose_node.learning.views import View, ViewSampler
from pose_node.measurement.sampling import CENTRES, POINTS, Sample, sample_segment

OBSERVED = 2  # views of each sample that are measured among clutter; after them come as many clean ones
_NEAR_RAD = 0.3  # a clean view is seen from within this angle of a measured one: about half the distance between views of a bank
_MIN_POINTS = 40  # a view of which the sensor lost more is replaced; the backbone needs 32
_ATTEMPTS = 20
_CLUTTER = 60
_FAR = 50.0  # diameters: where the points are that fill a batch, out of reach of all neighbourhoods
_STREAM = 1_000_003


@dataclass(frozen=True)
class Clouds:
    """S clouds of one shape, the measured ones first: inputs of the backbone, and where each centre lies on the shape.

    points [S, N, 3], normals [S, N, 3], viewpoint [S, 3], centres [S, M]: see ``Backbone.forward``; clouds with fewer points
    and centres are filled with points far away.
    used [S, M]:     1 for a centre that is not filled in.
    known [S, M]:    1 for a centre that lies on the shape.
    places [S, M, 3]: there, in diameters; normals_there [S, M, 3]: the measured normal. Both in the shape's frame.
    R [S, 3, 3]:     rotation of the shape's frame into the cloud's frame.
    """

    points: torch.Tensor
    normals: torch.Tensor
    viewpoint: torch.Tensor
    centres: torch.Tensor
    used: torch.Tensor
    known: torch.Tensor
    places: torch.Tensor
    normals_there: torch.Tensor
    R: torch.Tensor


class BackboneViews(Dataset):  # type: ignore[type-arg]
    """``count`` samples of ``shape_count`` procedural training shapes and the ``meshes``, each sample of one shape.

    meshes: further shapes to learn, drawn for one sample in ten. held_out: shapes of the kinds that training never uses instead.
    """

    def __init__(
        self,
        count: int,
        shape_count: int,
        seed: int = 0,
        meshes: Sequence[Shape] = (),
        held_out: bool = False,
        settings: ViewSettings = TRAINING,
    ) -> None:
        self.count, self.shape_count, self.meshes, self.held_out = count, shape_count, tuple(meshes), held_out
        self.settings = settings
        self.base = (seed * 1000 + int(held_out)) * _STREAM

    def __len__(self) -> int:
        return self.count

    @cached_property
    def clutter(self) -> list[Body]:
        """What is placed around the shapes; made in the process that renders."""
        make = shapes.held_out_set if self.held_out else shapes.training_set
        return [Body(*shape) for shape in (*make(_CLUTTER), *self.meshes)]

    def __getitem__(self, index: int) -> Clouds:
        for attempt in range(_ATTEMPTS):
            clouds = self._sample(self.base + index + attempt * _STREAM * 1000)
            if clouds is not None:
                return clouds
        raise InputError(
            f"sample {index}: {_ATTEMPTS} shapes in a row have a view with fewer than {_MIN_POINTS} points."
        )

    def _sample(self, seed: int) -> Clouds | None:
        """The sample of a seed, or None where a view of it has too few points."""
        rng = np.random.default_rng(seed)
        shape = self._shape(rng)
        renderer = Renderer(shape.vertices_m, shape.faces)
        diameter_m, centre_m = diameter_of(shape.vertices_m), renderer.centre_m
        sampler = ViewSampler(shape.vertices_m, shape.faces, diameter_m, centre_m, self.clutter, self.settings)
        views = []
        for view_seed in (OBSERVED * seed + k for k in range(OBSERVED)):
            view = sampler.view(view_seed)
            if len(view.points_m) < _MIN_POINTS:
                return None
            views.append(view)
        rows = [_observed(view, centre_m, diameter_m) for view in views]
        for view in views:
            assert view.T_camera_object is not None
            towards = invert(view.T_camera_object)[:3, 3] - centre_m
            direction = _near(towards / np.linalg.norm(towards), rng)
            points_m, viewpoint_m = bank_view(renderer, centre_m, diameter_m, direction)
            if len(points_m) < _MIN_POINTS:
                return None
            rows.append(_clean(points_m, viewpoint_m, centre_m, diameter_m))
        return Clouds(*(torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True)))

    def _shape(self, rng: np.random.Generator) -> Shape:
        if self.meshes and rng.random() < 0.1:
            return self.meshes[int(rng.integers(len(self.meshes)))]
        make = shapes.held_out if self.held_out else shapes.training
        return make(int(rng.integers(self.shape_count)))


def collate(samples: Sequence[Clouds]) -> Clouds:
    """Stack O samples into a batch: [O, S, ...]."""
    return Clouds(*(torch.stack([getattr(s, f.name) for s in samples]) for f in fields(Clouds)))


def _near(direction: Array, rng: np.random.Generator) -> Array:
    """A direction within ``_NEAR_RAD`` of ``direction`` [3], evenly over that cap."""
    across = np.cross(direction, rng.normal(size=3))
    tilt = np.arccos(1.0 - rng.random() * (1.0 - np.cos(_NEAR_RAD)))
    return np.cos(tilt) * direction + np.sin(tilt) * across / np.linalg.norm(across)


def _observed(view: View, centre_m: Array, diameter_m: float) -> tuple[Array, ...]:
    """The arrays of ``Clouds`` for a measured view."""
    assert view.T_camera_object is not None
    sample = _sample(view.points_m, view.viewpoint_m)
    centres_m = sample.points[sample.centres] + sample.centre_m
    rows = cKDTree(view.points_m).query(centres_m)[1]
    known = view.on_object[rows]
    places = np.where(known[:, None], (view.object_points_m[rows] - centre_m) / diameter_m, 0.0)
    R = view.T_camera_object[:3, :3]
    return _filled(sample, diameter_m, known, places, sample.normals[sample.centres] @ R, R)


def _clean(points_m: Array, viewpoint_m: Array, centre_m: Array, diameter_m: float) -> tuple[Array, ...]:
    """The arrays of ``Clouds`` for a view of the bank, whose frame is the shape's."""
    sample = _sample(points_m, viewpoint_m)
    places = (sample.points[sample.centres] + sample.centre_m - centre_m) / diameter_m
    known = np.ones(len(sample.centres), bool)
    return _filled(sample, diameter_m, known, places, sample.normals[sample.centres], np.eye(3))


def _sample(points_m: Array, viewpoint_m: Array) -> Sample:
    """As on the robot, from at most twice the points that the backbone takes: normals are half of the time of a view."""
    points_m = points_m[:: -(-len(points_m) // (2 * POINTS))]
    return sample_segment(points_m, viewpoint_m, centres=min(CENTRES, len(points_m)))


def _filled(
    sample: Sample, diameter_m: float, known: Array, places: Array, normals_there: Array, R: Array
) -> tuple[Array, ...]:
    """The arrays of one cloud at the sizes of a batch."""
    n, m = len(sample.points), len(sample.centres)
    points = np.full((POINTS, 3), _FAR, np.float32)
    points[:n] = sample.points / diameter_m
    normals = np.tile(np.array([0, 0, 1], np.float32), (POINTS, 1))
    normals[:n] = sample.normals
    centres = np.full(CENTRES, POINTS - 1, np.int64)
    centres[:m] = sample.centres

    def at_centres(values: Array, width: int) -> Array:
        out = np.zeros((CENTRES, width), np.float32)
        out[:m] = np.reshape(values, (m, width))
        return out

    return (
        points,
        normals,
        (sample.viewpoint / diameter_m).astype(np.float32),
        centres,
        at_centres(np.ones(m), 1)[:, 0],
        at_centres(known, 1)[:, 0],
        at_centres(places, 3),
        at_centres(normals_there, 3),
        R.astype(np.float32),
    )
