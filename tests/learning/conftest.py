"""An object folder made without the symmetry search, which takes seconds: a bent bar without symmetry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pose_node.geometry.symmetry import Symmetry
from pose_node.objects.card import MESH_FILE, ObjectCard, load_card, save_card
from pose_node.objects.surface import SURFACE_FILE, Surface, save_surface


@pytest.fixture
def hook_folder(tmp_path: Path) -> Path:
    """``models/hook`` with card, mesh and surface samples, and no network."""
    return make_hook(tmp_path / "models")


@pytest.fixture(scope="module")
def hook_card(tmp_path_factory: pytest.TempPathFactory) -> ObjectCard:
    """The card of a hook; its folder is shared by the tests of a file."""
    return load_card(make_hook(tmp_path_factory.mktemp("models")))


def make_hook(models: Path) -> Path:
    from pose_node.learning.chiral_parts import chiral_parts
    from pose_node.learning.mesh import Mesh, save_mesh

    hook = chiral_parts(0.12)[0][0]
    folder = models / "hook"
    folder.mkdir(parents=True)
    vertices, faces = np.asarray(hook.vertices_m), np.asarray(hook.faces)
    diameter_m = float(np.linalg.norm(vertices[:, None] - vertices[None], axis=-1).max())
    rng = np.random.default_rng(0)
    a, b, c = vertices[faces].transpose(1, 0, 2)
    across = np.cross(b - a, c - a)
    area = np.linalg.norm(across, axis=1)
    pick = rng.choice(len(faces), 2048, p=area / area.sum())
    u, v = np.sqrt(rng.random((2048, 1))), rng.random((2048, 1))
    points = a[pick] * (1 - u) + b[pick] * u * (1 - v) + c[pick] * u * v
    directions = rng.normal(size=(42, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    normals = across[pick] / area[pick, None]
    card = ObjectCard(
        name="hook",
        folder=folder,
        diameter_m=diameter_m,
        centre_m=points.mean(axis=0),
        symmetry=Symmetry(np.eye(4)[None]),
        confusions=np.zeros((0, 4, 4)),
        confusion_axes=(),
        surface=Surface(points, normals, directions, directions @ normals.T > 0),
        mesh_path=folder / MESH_FILE,
    )
    save_mesh(card.mesh_path, Mesh(vertices, faces, diameter_m))
    save_surface(folder / SURFACE_FILE, card.surface)
    save_card(card)
    return folder
