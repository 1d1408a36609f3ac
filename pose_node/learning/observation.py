"""What the backbone says of one measured view of an object, and where each centre truly lies on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pose_node.arrays import Array
from pose_node.geometry.se3 import apply, invert
from pose_node.learning.views import View
from pose_node.measurement.crop import Crop
from pose_node.measurement.sampling import LEAST_POINTS, sample_segment
from pose_node.network.backbone import Backbone, Features
from pose_node.network.input import Prepared, scaled
from pose_node.objects.card import ObjectCard

_ON_OBJECT_REL = (
    0.04  # a recorded point nearer than this to the surface, in diameters, is on the object: labels are no better
)


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """A segment's M centres as the backbone describes them.

    known:   [M] whether a centre lies on the object.
    places:  [M, 3] there, in diameters, relative to the card's centre; 0 off it.
    normals: [M, 3] the measured normals, in the object's axes.
    T_camera_object: [4, 4], or None where the segment shows something else; nothing is known then.
    group:   the same for views that are not independent.
    """

    prepared: Prepared
    features: Features
    known: NDArray[np.bool_]
    places: Array
    normals: Array
    T_camera_object: Array | None
    group: str


def observed_view(view: View, card: ObjectCard, backbone: Backbone) -> Observation | None:
    """The observation of a rendered view, a group of its own; None where it has too few points. Raises ModelError."""
    prepared = _prepared(view.points_m, view.viewpoint_m, card)
    if prepared is None:
        return None
    rows = cKDTree(view.points_m).query(prepared.centres_m())[1]
    surface_m, known = view.object_points_m[rows], view.on_object[rows]
    return _observation(prepared, surface_m, known, view.T_camera_object, str(view.seed), card, backbone)


def observed_crop(crop: Crop, card: ObjectCard, backbone: Backbone) -> Observation | None:
    """The observation of a recorded crop; None where it has too few points. Raises ModelError."""
    prepared = _prepared(crop.points_m, crop.viewpoint_m, card)
    if prepared is None:
        return None
    measured_m = apply(invert(crop.T_camera_object), prepared.centres_m())
    gap_m, rows = cKDTree(card.surface.points_m).query(measured_m)
    known = gap_m < _ON_OBJECT_REL * card.diameter_m
    surface_m = card.surface.points_m[rows]
    return _observation(prepared, surface_m, known, crop.T_camera_object, crop.group, card, backbone)


def _prepared(points_m: Array, viewpoint_m: Array, card: ObjectCard) -> Prepared | None:
    if len(points_m) < LEAST_POINTS:
        return None
    sample = sample_segment(points_m, viewpoint_m)
    return scaled(sample, card.diameter_m) if len(sample.points) >= LEAST_POINTS else None


def _observation(
    prepared: Prepared,
    surface_m: Array,
    known: NDArray[np.bool_],
    T_camera_object: Array | None,
    group: str,
    card: ObjectCard,
    backbone: Backbone,
) -> Observation:
    """surface_m: [M, 3] the object's surface under each centre, in its frame."""
    R = np.eye(3) if T_camera_object is None else T_camera_object[:3, :3]
    places = np.where(known[:, None], (surface_m - card.centre_m) / card.diameter_m, 0.0)
    normals = prepared.normals[prepared.centres] @ R
    return Observation(prepared, backbone.run(prepared), known, places, normals, T_camera_object, group)
