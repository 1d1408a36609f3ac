"""The card of these tests."""

from __future__ import annotations

import numpy as np
import pytest

from pose_node.geometry.symmetry import Axis, Symmetry, turn
from pose_node.objects.card import ObjectCard, save_card
from pose_node.objects.surface import Surface, save_surface


@pytest.fixture
def card(tmp_path, rng):
    """A ball of 0.1 m with a card that uses every field, written to ``part/``."""
    folder = tmp_path / "part"
    folder.mkdir()
    normals = rng.normal(size=(500, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    views = normals[:10]
    surface = Surface(0.05 * normals, normals, views, (normals @ views.T > 0).T[:, :200])
    axis = Axis(np.array([0.0, 0.6, 0.8]), np.array([0.01, 0.0, 0.0]))
    made = ObjectCard(
        name="part",
        folder=folder,
        diameter_m=0.1,
        centre_m=np.array([0.001, 0.002, 0.003]),
        symmetry=Symmetry(np.stack([np.eye(4), turn(axis, np.pi)]), (axis,)),
        confusions=turn(axis, np.array([1.0, 2.0])),
        confusion_axes=(axis,),
        surface=surface,
        mesh_path=folder / "mesh.ply",
        bop_id=7,
        network={"file": "pose.onnx", "sha256": "00", "opset": 17, "parity_max_rel": np.float64(1e-6)},
        training={"views": np.int64(100), "shape": (1, 2)},
        scores={"recall": 0.9},
        meshes_seen=("part", "box_1"),
    )
    (folder / "mesh.ply").write_bytes(b"ply\n")
    save_surface(folder / "surface.npz", surface)
    save_card(made)
    return made
