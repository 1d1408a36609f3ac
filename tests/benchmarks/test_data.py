"""The readers of labelled sets: units, conventions, and that our cards' symmetries are no wider than the data set's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from benchmarks import data
from benchmarks.peers import OBJECTS
from pose_node.evaluation import metrics
from pose_node.geometry import se3, symmetry
from pose_node.measurement.cloud import Cloud
from pose_node.objects.card import load_card


@pytest.fixture(scope="module")
def frames(data_folder: Path) -> list[data.Frame]:
    if not (data_folder / "ycbv").is_dir():
        pytest.skip("no ycbv among the recordings")
    return list(data.frames("ycbv"))


def test_names_lose_their_numbers() -> None:
    assert data.plain_name("006_mustard_bottle") == "mustard_bottle"
    assert data.plain_name("mug") == "mug"


def test_all_frames_and_labels_are_there(frames: list[data.Frame]) -> None:
    assert len(frames) == 9
    assert sum(len(f.labels) for f in frames) == 39
    wanted = [label for f in frames for label in f.labels if label.name in OBJECTS]
    assert len(wanted) == 21
    assert {label.name for label in wanted} == set(OBJECTS)
    assert len({f.key for f in frames}) == 9


def test_labels_put_the_model_onto_the_measured_points(frames: list[data.Frame]) -> None:
    """Millimetres became metres, rotations point the right way, masks belong to their objects."""
    for frame in frames[::3]:
        cloud = Cloud.from_depth(frame.depth_m, frame.K)
        for label in frame.labels:
            model = data.model("ycbv", label.object_id)
            inside = label.mask.ravel()[cloud.source_index]
            points = se3.apply(se3.invert(label.T_camera_object), cloud.points_m[inside][::20])
            assert np.median(cKDTree(model.vertices_m).query(points)[0]) < 0.004
            assert label.T_original is not None
            apart = metrics.mssd(model.hull_m, label.T_original, label.T_camera_object, model.symmetries_depth)
            assert apart < 0.06 * model.diameter_m


def test_models_are_in_metres(frames: list[data.Frame]) -> None:
    bowl = data.model("ycbv", 13)
    assert bowl.diameter_m == pytest.approx(0.1619, abs=1e-3)
    assert np.ptp(bowl.vertices_m, axis=0).max() == pytest.approx(0.1614, abs=1e-3)
    assert bowl.declared_symmetric and len(bowl.symmetries) == 315
    assert len(bowl.symmetry_depth.axes) == 1
    mug = data.model("ycbv", 14)
    assert not mug.declared_symmetric and len(mug.symmetries_depth) == 1


@pytest.mark.parametrize("name", OBJECTS)
def test_cards_declare_no_more_symmetry_than_the_data_set(
    frames: list[data.Frame], repository: Path, name: str
) -> None:
    """Rendered views are scored up to the card's symmetry: it must not forgive what depth could tell."""
    card = load_card(repository / "models" / name)
    model = data.model("ycbv", {n: i for i, n in data.names("ycbv").items()}[name])
    for motion in symmetry.symmetry_motions(card.symmetry, axis_steps=12):
        error = metrics.mssd(model.hull_m, motion, np.eye(4), model.symmetries_depth)
        assert error < 0.04 * model.diameter_m
