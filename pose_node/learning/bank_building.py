"""A mesh and the backbone -> the object's bank: clean views from all around, and what the backbone says of them."""

from __future__ import annotations

import numpy as np

from pose_node.arrays import Array
from pose_node.errors import MeshError
from pose_node.learning.bank_view import bank_view
from pose_node.learning.mesh import Mesh
from pose_node.learning.render import Renderer
from pose_node.measurement.sampling import LEAST_POINTS, sample_segment
from pose_node.network.backbone import Backbone
from pose_node.network.input import scaled
from pose_node.objects.bank import Bank

VIEWS = 96  # about 22 degrees apart; with 48 the first hypothesis is right in a tenth fewer of real crops
KEPT = 64  # centres of a view: the first ones cover it evenly


def build_bank(mesh: Mesh, centre_m: Array, backbone: Backbone, notes: list[str]) -> Bank:
    """The bank of an object whose card has the centre ``centre_m`` [3]; sentences for the user are added to ``notes``.

    Raises MeshError where hardly any direction shows the mesh.
    """
    renderer, directions = Renderer(mesh.vertices_m, mesh.faces), spread_directions(VIEWS)
    rows = []
    for view, direction in enumerate(directions):
        points_m, viewpoint_m = bank_view(renderer, renderer.centre_m, mesh.diameter_m, direction)
        if len(points_m) < LEAST_POINTS:
            continue
        prepared = scaled(sample_segment(points_m, viewpoint_m), mesh.diameter_m)
        found = backbone.run(prepared)
        places = (prepared.centres_m()[:KEPT] - centre_m) / mesh.diameter_m
        rows.append((found.descriptors[:KEPT], places, found.vectors[:KEPT], np.full(len(places), view)))
    if len(rows) <= VIEWS // 4:
        raise MeshError(
            f"mesh: only {len(rows)} of {VIEWS} directions show its surface, expected an object seen from all around."
        )
    if len(rows) < VIEWS:
        notes.append(
            f"bank: from {VIEWS - len(rows)} of {VIEWS} directions the mesh shows hardly any surface; it is not recognised from there"
        )
    descriptors, places, vectors, views = (np.concatenate(column) for column in zip(*rows))
    return Bank(descriptors, places.astype(np.float32), vectors, views, directions.astype(np.float32), backbone.sha256)


def spread_directions(count: int) -> Array:
    """``count`` unit vectors [count, 3] spread evenly over the sphere: a Fibonacci spiral."""
    k = np.arange(count) + 0.5
    z = 1.0 - 2.0 * k / count
    turn = k * np.pi * (3.0 - 5.0**0.5)
    ring = np.sqrt(1.0 - z * z)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), z], axis=1)
