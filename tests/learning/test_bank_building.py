"""A mesh's bank: its places lie on the mesh, and what no view shows is said."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("trimesh")
pytest.importorskip("open3d")
from learning_parts import make

from pose_node.config import InferConfig
from pose_node.errors import MeshError
from pose_node.learning import bank_building
from pose_node.learning.bank_building import build_bank, spread_directions
from pose_node.learning.mesh import Mesh
from pose_node.network.backbone import Backbone

pytestmark = pytest.mark.learning


@pytest.fixture
def backbone(tmp_path, backbone_writer, monkeypatch):
    monkeypatch.setattr(bank_building, "VIEWS", 12)
    backbone_writer(tmp_path)
    return Backbone(tmp_path, InferConfig(provider="cpu"))


def mesh_of(part):
    vertices = np.asarray(part.vertices)
    return Mesh(vertices, np.asarray(part.faces), float(np.linalg.norm(np.ptp(vertices, axis=0))))


def test_places_lie_on_the_surface_about_the_centre_in_diameters(backbone):
    mesh, centre_m, notes = mesh_of(make.box((0.1, 0.06, 0.04))), np.array([0.01, 0.0, 0.0]), []
    bank = build_bank(mesh, centre_m, backbone, notes)
    assert notes == [] and bank.backbone == backbone.sha256
    assert len(bank.descriptors) == len(bank.places) == len(bank.vectors) == len(bank.views) == 12 * 64
    box_m = np.abs(bank.places * mesh.diameter_m + centre_m) / [0.05, 0.03, 0.02]
    np.testing.assert_allclose(box_m.max(axis=1), 1.0, atol=1e-4)
    seen = np.einsum("ni,ni->n", bank.places, bank.directions[bank.views])
    assert (seen > -0.5).all() and seen.mean() > 0.1, "places of a view are on its side"


def test_a_sheet_without_thickness_has_a_bank(backbone):
    notes = []
    bank = build_bank(mesh_of(make.box((0.1, 0.1, 0.0))), np.zeros(3), backbone, notes)
    assert len(np.unique(bank.views)) > 8


def test_a_mesh_that_shows_nothing_is_refused(backbone, monkeypatch):
    monkeypatch.setattr(bank_building, "bank_view", lambda *_: (np.zeros((3, 3)), np.zeros(3)))
    with pytest.raises(MeshError, match="only 0 of 12 directions show its surface"):
        build_bank(mesh_of(make.box((0.1, 0.06, 0.04))), np.zeros(3), backbone, [])


def test_directions_without_surface_are_said(backbone, monkeypatch):
    view = bank_building.bank_view

    def half_blind(renderer, centre_m, diameter_m, direction):
        points_m, viewpoint_m = view(renderer, centre_m, diameter_m, direction)
        return points_m[: len(points_m) * (direction[2] > 0)], viewpoint_m

    monkeypatch.setattr(bank_building, "bank_view", half_blind)
    notes = []
    bank = build_bank(mesh_of(make.box((0.1, 0.06, 0.04))), np.zeros(3), backbone, notes)
    assert len(np.unique(bank.views)) == 6
    assert notes == ["bank: from 6 of 12 directions the mesh shows hardly any surface; it is not recognised from there"]


def test_directions_are_spread_evenly():
    directions = spread_directions(96)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0)
    cosine = directions @ directions.T - 2.0 * np.eye(96)
    nearest = np.degrees(np.arccos(cosine.max(axis=1)))
    assert nearest.min() > 13.0 and nearest.max() < 24.0
