"""Hypotheses without a network: rotations spread over all of SO(3), each placed so that its visible surface meets the segment.

They are tried where the network's own hypotheses explain a mask or box badly. The rotations are laid out in the segment's own
frame, so they turn with it.
"""

from __future__ import annotations

import numpy as np

from pose_node.arrays import Array
from pose_node.geometry.se3 import transform
from pose_node.geometry.symmetry import rotation_grid
from pose_node.measurement.view import View
from pose_node.objects.card import ObjectCard


def blind_poses(card: ObjectCard, view: View, count: int) -> Array:
    """``count`` poses [count, 4, 4], rotations evenly over SO(3), the visible surface's centroid at that of the segment's points."""
    R = view.basis.T @ rotation_grid(count)
    towards = -np.einsum("bji,j->bi", R, view.basis[2])  # from the object to the viewpoint, in the object frame
    surface = card.surface
    visible = np.asarray(surface.visible, dtype=bool)
    nearest = np.argmax(towards @ np.asarray(surface.view_directions).T, axis=1)
    samples = visible.shape[1]
    weight = visible[nearest] * np.maximum(towards @ surface.normals[:samples].T, 0.0)
    centroid = (weight @ surface.points_m[:samples]) / np.maximum(weight.sum(axis=1, keepdims=True), 1e-12)
    return transform(R, view.points_m.mean(axis=0) - np.einsum("bij,bj->bi", R, centroid))
