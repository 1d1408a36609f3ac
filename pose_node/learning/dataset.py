"""Rendered views as training samples: sample i depends only on (seed, i), so that a run can be resumed exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch.utils.data import Dataset

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.geometry.harmonics import rotation_basis
from pose_node.geometry.se3 import apply, invert, transform
from pose_node.geometry.symmetry import symmetry_motions
from pose_node.learning.loss import Truth
from pose_node.learning.views import View, ViewSampler
from pose_node.measurement.sampling import CENTRES, POINTS
from pose_node.network.input import prepare
from pose_node.objects.card import ObjectCard

_NEGATIVE_SHARE = 0.12  # segments without the object, the negatives of the objectness head
_AXIS_STEPS = 24
_MIN_POINTS = CENTRES  # a view of which the sensor lost more is replaced
_ATTEMPTS = 20
_STREAM = 1_000_003  # offset between the seeds of two streams of views


@dataclass(frozen=True)
class Sample:
    """One view as tensors: the inputs of the network, and the labels in its units."""

    points: torch.Tensor
    normals: torch.Tensor
    viewpoint: torch.Tensor
    centres: torch.Tensor
    truth: Truth


class Views(Dataset):  # type: ignore[type-arg]
    """``count`` samples of one object; ``stream`` separates training from held-out views.

    Indexing raises InputError when view after view has too few points.
    """

    def __init__(self, card: ObjectCard, sampler: ViewSampler, count: int, seed: int, stream: int = 0) -> None:
        self.card, self.sampler, self.count = card, sampler, count
        self.base = (seed * 1000 + stream) * _STREAM
        self.motions = symmetry_motions(card.symmetry, _AXIS_STEPS)
        # The equal poses as motions about the object's centre, in diameters, as needed for frames and coordinates.
        about = transform(np.eye(3), card.centre_m)
        motions = invert(about) @ self.motions @ about
        motions[:, :3, 3] /= card.diameter_m
        self.motions_centred = motions

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        absent = np.random.default_rng(self.base + index).random() < _NEGATIVE_SHARE
        take = self.sampler.negative if absent else self.sampler.view
        for attempt in range(_ATTEMPTS):
            view = take(self.base + index + attempt * _STREAM * 1000)
            if len(view.points_m) >= _MIN_POINTS:
                return self.sample(view)
        raise InputError(f"{self.card.name}: {_ATTEMPTS} views in a row have fewer than {_MIN_POINTS} points.")

    def sample(self, view: View) -> Sample:
        """A view as a training sample; without the object the labels of the pose are placeholders."""
        prepared = prepare(view.points_m, view.viewpoint_m, self.card.diameter_m)
        centres_m = prepared.centres_m()
        present = view.T_camera_object is not None
        T_camera_object = view.T_camera_object if present else transform(np.eye(3), prepared.centre_m)
        T_camera_centre = T_camera_object @ transform(np.eye(3), self.card.centre_m)
        on_object = _labels(view, centres_m) if present else np.zeros(len(centres_m))
        centre = (T_camera_centre[:3, 3] - prepared.centre_m) / prepared.scale_m
        canonical = apply(invert(T_camera_centre), centres_m) / prepared.scale_m
        R = T_camera_centre[:3, :3] @ self.motions_centred[:, :3, :3]
        truth = Truth(
            on_object=_float(on_object),
            present=_float(float(present)),
            offsets=_float((T_camera_centre[:3, 3] - centres_m) / prepared.scale_m),
            centre=_float(centre),
            frames=_float(np.swapaxes(R, -1, -2)[:, :2]),
            coordinates=_float(apply(invert(self.motions_centred), canonical[None])),
            basis=_float(rotation_basis(R)),
        )
        return Sample(*(torch.from_numpy(a) for a in _filled(*prepared.inputs())), truth)


def _filled(points: Array, normals: Array, viewpoint: Array, centres: Array) -> tuple[Array, ...]:
    """The inputs of one cloud with its points repeated up to the size of a batch."""
    rows = np.resize(np.arange(len(points)), POINTS)
    return points[rows], normals[rows], viewpoint, centres


def collate(samples: Sequence[Sample]) -> Sample:
    """Stack samples into a batch."""
    truth = Truth(*(torch.stack([getattr(s.truth, name) for s in samples]) for name in Truth.__dataclass_fields__))
    return Sample(
        *(torch.stack([getattr(s, name) for s in samples]) for name in ("points", "normals", "viewpoint", "centres")),
        truth,
    )


def _labels(view: View, centres_m: Array) -> Array:
    """1 for each centre (one of the view's points) that lies on the object, else 0."""
    return view.on_object[cKDTree(view.points_m).query(centres_m)[1]].astype(float)


def _float(values: Array | float) -> torch.Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.float32)
