"""add-object: a complete folder, or none; a training that is still valid is kept."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("trimesh")
pytest.importorskip("open3d")
from learning_parts import PARTS, make, quick_surface

from pose_node.errors import CardError, MeshError
from pose_node.geometry.symmetry import Axis, Symmetry, turn
from pose_node.learning import onboard
from pose_node.learning.onboard import add_object
from pose_node.learning.similarity import Similarity
from pose_node.objects.card import load_card, save_card

pytestmark = pytest.mark.learning


@pytest.fixture(scope="module")
def added(tmp_path_factory):
    """A part added without shortcuts, once."""
    home = tmp_path_factory.mktemp("objects")
    part = PARTS["two arms"][0].copy()
    part.apply_scale(1000)
    part.export(home / "part.stl")
    return add_object(home / "part.stl", "two_arms", home / "models", "mm", bop_id=4), home


def test_a_new_folder_is_complete(added):
    done, home = added
    assert sorted(p.name for p in done.card.folder.iterdir()) == [
        "README.md", "card.yaml", "mesh.ply", "onboarding.png", "surface.npz",
    ]  # fmt: skip
    assert [p.name for p in (home / "models").iterdir()] == ["two_arms"]  # no temporary folder
    card = load_card(home / "models" / "two_arms")
    assert card.bop_id == 4 and card.network is None
    assert card.diameter_m == pytest.approx(done.card.diameter_m)
    assert card.surface.points_m.shape == (8192, 3) and card.surface.visible.shape == (642, 2048)
    assert len(card.symmetry.discrete) == 2
    readme = (card.folder / "README.md").read_text()
    assert (
        "180 deg about (0.00, 0.00, 1.00)" in readme
        and "part.stl" in readme
        and "| unit of the mesh file | mm |" in readme
    )


def test_the_picture_shows_the_frame(added):
    image = pytest.importorskip("PIL.Image")
    with image.open(added[0].card.folder / "onboarding.png") as picture:
        colours = np.asarray(picture.convert("RGB")).astype(int)
    for wanted in ((214, 39, 40), (44, 160, 44), (31, 119, 180), (176, 0, 176)):  # x, y, z, symmetry
        assert (np.abs(colours - wanted).max(axis=-1) < 12).sum() > 100


def test_an_existing_object_is_not_overwritten(added):
    done, home = added
    before = (done.card.folder / "card.yaml").read_bytes()
    with pytest.raises(CardError, match="exists already; pass --force"):
        add_object(home / "part.stl", "two_arms", home / "models", "mm")
    assert (done.card.folder / "card.yaml").read_bytes() == before


@pytest.fixture
def quick(monkeypatch):
    """Onboarding without its search: a box's symmetry, or the declared one."""

    def known(mesh, surface, declared):
        half_turn = np.diag([-1.0, -1.0, 1.0, 1.0])
        return Similarity(declared or Symmetry(np.stack([np.eye(4), half_turn])), (), (), ())

    monkeypatch.setattr(onboard, "sample_surface", quick_surface)
    monkeypatch.setattr(onboard, "find_similarity", known)


NETWORK = {"file": "pose.onnx", "sha256": "00"}


@pytest.fixture
def trained(tmp_path, quick):
    """A small object whose card names a network."""
    make.box((0.1, 0.07, 0.03)).export(tmp_path / "box.ply")
    done = add_object(tmp_path / "box.ply", "box", tmp_path / "models", "m")
    folder = done.card.folder
    (folder / "pose.onnx").write_bytes(b"network")
    (folder / "training").mkdir()
    (folder / "training" / "log.json").write_text("[]")
    save_card(replace(done.card, network=NETWORK, training={"views": 1}, meshes_seen=("box",)))
    return folder


def test_force_keeps_a_training_that_is_still_valid(trained):
    models = trained.parent
    done = add_object(models.parent / "box.ply", "box", models, "m", force=True)
    assert "are the same: the old training is kept (pose.onnx, training)" in done.notes[0]
    assert (trained / "pose.onnx").read_bytes() == b"network"
    assert (trained / "training" / "log.json").exists()
    card = load_card(trained)
    assert card.network == NETWORK and card.training == {"views": 1} and card.meshes_seen == ("box",)


def test_force_keeps_the_training_of_a_mesh_file_with_another_header(trained):
    mesh = trained / "mesh.ply"
    mesh.write_bytes(mesh.read_bytes().replace(b"comment", b"comment by another writer", 1))
    done = add_object(trained.parent.parent / "box.ply", "box", trained.parent, "m", force=True)
    assert "the old training is kept" in done.notes[0]


def test_force_removes_a_training_that_is_no_longer_valid(trained):
    models = trained.parent
    done = add_object(models.parent / "box.ply", "box", models, "m", symmetry="none", force=True)
    assert "the old training is removed (pose.onnx, training); train again" in done.notes[0]
    assert not (trained / "pose.onnx").exists() and load_card(trained).network is None
    assert [p.name for p in models.iterdir()] == ["box"]


def test_a_failure_leaves_nothing_behind(tmp_path, quick, monkeypatch):
    make.box((0.1, 0.07, 0.03)).export(tmp_path / "box.ply")

    def fail(*_):
        raise MeshError("the picture fails.")

    monkeypatch.setattr(onboard, "draw_onboarding", fail)
    with pytest.raises(MeshError, match="picture"):
        add_object(tmp_path / "box.ply", "box", tmp_path / "models", "m")
    assert list((tmp_path / "models").iterdir()) == []


def test_bad_arguments_are_refused_first(tmp_path):
    with pytest.raises(CardError, match="for example 'my_part'"):
        add_object(tmp_path / "part.ply", "My Part", tmp_path)
    with pytest.raises(CardError, match="expected auto, none or a readable YAML file"):
        add_object(tmp_path / "part.ply", "part", tmp_path, symmetry="yes")
    with pytest.raises(MeshError, match="no such file"):
        add_object(tmp_path / "part.ply", "part", tmp_path)


def test_symmetry_from_a_file(tmp_path):
    path = tmp_path / "symmetry.yaml"
    half_turn = np.diag([-1.0, -1.0, 1.0, 1.0]).tolist()
    path.write_text(json.dumps({"discrete": [np.eye(4).tolist(), half_turn]}))
    symmetry = onboard._declared_symmetry(str(path))
    assert len(symmetry.discrete) == 2 and np.array_equal(symmetry.discrete[0], np.eye(4))
    path.write_text("axes: [{direction: [0, 0, 1], origin_m: [0, 0, 0.1]}]")
    assert onboard._declared_symmetry(str(path)).axes[0].origin_m[2] == 0.1
    quarter_turn = turn(Axis(np.array([0.0, 0.0, 1.0]), np.zeros(3)), np.pi / 2)
    path.write_text(json.dumps({"discrete": [quarter_turn.tolist()]}))
    assert len(onboard._declared_symmetry(str(path)).discrete) == 4
    for text in ("", "turns: 3", "- 1", "a: [", "discrete: 3", "axes: {direction: 1}"):
        path.write_text(text)
        with pytest.raises(CardError, match=r"symmetry\.yaml"):
            onboard._declared_symmetry(str(path))
    path.write_text(json.dumps({"discrete": [np.diag([1.0, 1.0, -1.0, 1.0]).tolist()]}))
    with pytest.raises(CardError, match="no mirror"):
        onboard._declared_symmetry(str(path))
