"""Finding object folders."""

from __future__ import annotations

import pytest

from pose_node.errors import ConfigError
from pose_node.objects import folders
from pose_node.objects.folders import SHARED, backbone_folder, models_folder, object_folders


@pytest.fixture
def models(tmp_path):
    for name in ("mug", "bowl", "half_done"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "card.yaml").touch()
    for name in SHARED:
        (tmp_path / "models" / name).mkdir()
        (tmp_path / "models" / name / "card.yaml").touch()
    (tmp_path / "models" / "README.md").touch()
    return tmp_path / "models"


def test_without_names_all_objects_are_found_and_no_shared_network(models):
    assert [folder.name for folder in object_folders(models)] == ["bowl", "half_done", "mug"]
    with pytest.raises(ConfigError, match="found 'backbone'"):
        object_folders(models, ["backbone"])


def test_named_objects_are_found_in_that_order_once(models):
    assert [folder.name for folder in object_folders(models, ["mug", "half_done", "mug"])] == ["mug", "half_done"]


def test_a_name_without_a_folder_is_refused_and_the_others_are_listed(models):
    with pytest.raises(ConfigError, match=r"'cup'.*bowl, half_done, mug"):
        object_folders(models, ["cup"])


def test_no_folder_and_no_objects_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no folder"):
        models_folder(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="found no objects"):
        object_folders(tmp_path)


def test_the_working_folder_comes_before_the_installed_share(models, tmp_path, monkeypatch):
    monkeypatch.chdir(models.parent)
    assert models_folder().resolve() == models.resolve()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    share = tmp_path / "install" / "share" / "pose_node"
    share.mkdir(parents=True)
    models.rename(share / "models")
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere:{tmp_path / 'install'}")
    assert models_folder() == share / "models"


def test_the_backbone_beside_the_objects_comes_before_the_installed_one(models, tmp_path, monkeypatch):
    assert backbone_folder([models / "mug", models / "bowl"]) == models / "backbone"
    share = tmp_path / "install" / "share" / "pose_node" / "models"
    (tmp_path / "own" / "cup").mkdir(parents=True)
    (share / "backbone").mkdir(parents=True)
    (share / "backbone" / "card.yaml").touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path / "install"))
    assert backbone_folder([tmp_path / "own" / "cup"]) == share / "backbone"


def test_no_backbone_is_refused_and_the_places_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_default_folders", lambda: iter([tmp_path / "installed"]))
    with pytest.raises(ConfigError, match=r"own/backbone.*installed/backbone"):
        backbone_folder([tmp_path / "own" / "cup"])
