"""add-object: a complete folder, or none; folders of other backbones are renewed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("trimesh")
pytest.importorskip("open3d")
from learning_parts import PARTS, make, quick_surface

from pose_node.errors import CardError, MeshError
from pose_node.geometry.symmetry import Axis, Symmetry, turn
from pose_node.learning import bank_building, onboard
from pose_node.learning.onboard import add_object, renew
from pose_node.learning.similarity import Similarity
from pose_node.network.backbone import read_card
from pose_node.objects.bank import load_bank
from pose_node.objects.card import load_card, save_card

pytestmark = pytest.mark.learning


@pytest.fixture(scope="module")
def added(tmp_path_factory, backbone_writer):
    """A part added without shortcuts, once."""
    home = tmp_path_factory.mktemp("objects")
    (home / "models").mkdir()
    backbone_writer(home / "models" / "backbone")
    part = PARTS["two arms"][0].copy()
    part.apply_scale(1000)
    part.export(home / "part.stl")
    return add_object(home / "part.stl", "two_arms", home / "models", "mm", bop_id=4), home


def test_a_new_folder_is_complete(added):
    done, home = added
    assert sorted(p.name for p in done.card.folder.iterdir()) == [
        "README.md", "bank.npz", "card.yaml", "mesh.ply", "onboarding.png", "surface.npz",
    ]  # fmt: skip
    assert sorted(p.name for p in (home / "models").iterdir()) == ["backbone", "two_arms"]  # no temporary folder
    assert sum(p.stat().st_size for p in done.card.folder.iterdir()) < 2_000_000
    bank = load_bank(done.card.folder / "bank.npz")
    assert len(bank.directions) == 96 and len(np.unique(bank.views)) == 96
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


@pytest.fixture
def models(tmp_path, backbone_writer, monkeypatch):
    """A folder with a backbone of its own; banks have few views."""
    monkeypatch.setattr(bank_building, "VIEWS", 8)
    backbone_writer(tmp_path / "models" / "backbone")
    return tmp_path / "models"


@pytest.fixture
def box(tmp_path, models, quick):
    """A small object's folder."""
    make.box((0.1, 0.07, 0.03)).export(tmp_path / "box.ply")
    return add_object(tmp_path / "box.ply", "box", models, "m", bop_id=7).card.folder


def test_force_replaces_a_folder_and_keeps_its_bop_id(box):
    (box / "pose.onnx").write_bytes(b"network of an earlier version")
    add_object(box.parent.parent / "box.ply", "box", box.parent, "m", symmetry="none", force=True)
    card = load_card(box)
    assert card.bop_id == 7 and len(card.symmetry.discrete) == 1
    assert not (box / "pose.onnx").exists()
    assert sorted(p.name for p in box.parent.iterdir()) == ["backbone", "box"]


def test_an_old_folder_is_renewed_in_place(box):
    before = load_card(box)
    (box / "bank.npz").unlink()
    (box / "pose.onnx").write_bytes(b"network of an earlier version")
    facts = {"file": "pose.onnx", "sha256": "00"}
    save_card(replace(before, network=facts, training={"views": 1}, meshes_seen=("box",)))
    assert renew(box) == ("pose.onnx removed: the backbone replaces it",)
    card = load_card(box)
    assert card.network is None and card.training == {} and card.meshes_seen == ()
    assert card.bop_id == 7 and np.array_equal(card.symmetry.discrete, before.symmetry.discrete)
    assert load_bank(box / "bank.npz").backbone == read_card(box.parent / "backbone")[0]
    assert not [p.name for p in box.iterdir() if p.name.startswith(".") or p.name == "pose.onnx"]


def test_a_renewal_that_fails_changes_nothing(box, monkeypatch):
    before = (box / "bank.npz").read_bytes()
    (box / "mesh.ply").write_bytes(b"no mesh")
    with pytest.raises(MeshError):
        renew(box)
    assert (box / "bank.npz").read_bytes() == before


def test_names_of_shared_folders_are_refused(tmp_path):
    with pytest.raises(CardError, match="all objects share"):
        add_object(tmp_path / "part.ply", "backbone", tmp_path)


def test_it_needs_neither_torch_nor_escnn(box):
    """In a process where both are missing."""
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'escnn'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Missing)\n"
        "from pose_node.cli import main\n"
        f"sys.exit(main(['add-object', {str(box)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "renewed" in done.stdout


def test_a_failure_leaves_nothing_behind(tmp_path, models, quick, monkeypatch):
    make.box((0.1, 0.07, 0.03)).export(tmp_path / "box.ply")

    def fail(*_):
        raise MeshError("the picture fails.")

    monkeypatch.setattr(onboard, "draw_onboarding", fail)
    with pytest.raises(MeshError, match="picture"):
        add_object(tmp_path / "box.ply", "box", models, "m")
    assert [p.name for p in models.iterdir()] == ["backbone"]


def test_bad_arguments_are_refused_first(tmp_path, models):
    with pytest.raises(CardError, match="for example 'my_part'"):
        add_object(tmp_path / "part.ply", "My Part", tmp_path)
    with pytest.raises(CardError, match="expected auto, none or a readable YAML file"):
        add_object(tmp_path / "part.ply", "part", tmp_path, symmetry="yes")
    with pytest.raises(MeshError, match="no such file"):
        add_object(tmp_path / "part.ply", "part", models)


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
