"""Views to fine-tune on: by seed alone, the object in most, and held-out ones with other things around it."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("open3d")

from pose_node.learning.finetune_views import OTHERS_EVERY, ObservedViews, look_alikes, neighbours, observations
from pose_node.learning.shapes import training


def test_an_item_depends_on_its_number_and_the_seed_alone(hook_folder, backbone_writer):
    backbone_writer(hook_folder.parent / "backbone")
    views = ObservedViews(hook_folder, hook_folder.parent / "backbone", OTHERS_EVERY, seed=0)
    found = list(observations(views, workers=0))
    again = ObservedViews(hook_folder, hook_folder.parent / "backbone", 10, seed=0)[2]
    assert again.prepared.points.tobytes() == found[2].prepared.points.tobytes()
    assert found[-1].T_camera_object is None and not found[-1].known.any()
    assert all(o.T_camera_object is not None and o.known.any() for o in found[:-1])
    assert len({o.group for o in found}) == len(found)
    places = np.concatenate([o.places[o.known] for o in found])
    assert 0.3 < np.linalg.norm(places, axis=1).max() < 0.9
    other = ObservedViews(hook_folder, hook_folder.parent / "backbone", 1, seed=0, held_out=True)[0]
    assert other.prepared.points.tobytes() != found[0].prepared.points.tobytes()


def test_look_alikes_are_mirrored_and_of_other_sizes():
    shape = training(3)
    mirrored, *others = look_alikes(shape, held_out=False)
    np.testing.assert_array_equal(mirrored.vertices_m[:, 0], -shape.vertices_m[:, 0])
    sizes = [np.ptp(other.vertices_m, axis=0) / np.ptp(shape.vertices_m, axis=0) for other in others]
    held_out = [np.ptp(x.vertices_m, axis=0) / np.ptp(shape.vertices_m, axis=0) for x in look_alikes(shape, True)[1:]]
    assert not any(np.allclose(a, b, atol=0.02) for a in sizes for b in [np.ones(3), *held_out])


def test_the_other_objects_of_the_folder_are_neighbours(hook_folder):
    assert neighbours(hook_folder) == []
