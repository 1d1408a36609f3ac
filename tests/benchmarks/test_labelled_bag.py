"""The labelled bags agree with themselves: masks lie on the labels, and what stands still stands still in the world."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from benchmarks.labelled_bag import ON_TABLE, demo_frames, rendered_frames, write_labelled_bag
from pose_node.evaluation.sources.bags import BagFrames
from pose_node.geometry import se3
from pose_node.objects.card import load_card


@pytest.fixture(scope="module")
def rendered(repository):
    return rendered_frames(repository / "models", 3, seed=1)


def test_the_camera_moves_and_the_objects_do_not(rendered, repository, tmp_path):
    """What comes out of the bag, moved by /tf, is the same surface in every frame."""
    path = write_labelled_bag(tmp_path / "drive", rendered)
    labels = {load_card(repository / "models" / name).bop_id: name for name in ON_TABLE}
    bag = BagFrames(path, list(ON_TABLE), labels=labels)
    frames = list(bag)
    assert bag.notes == [] and bag.fixed_frame == "world"
    for frame, made in zip(frames, rendered):
        np.testing.assert_allclose(frame.T_fixed_camera, made.T_world_camera, atol=1e-9)
        assert set(frame.masks) == set(ON_TABLE)
        seen = np.zeros(made.mask.shape, bool)
        for bop_id, T_camera_object in made.labels:
            card = load_card(repository / "models" / labels[bop_id])
            rows = np.isin(frame.cloud.source_index, np.flatnonzero(frame.masks[labels[bop_id]][0]))
            points = se3.apply(se3.invert(T_camera_object), frame.cloud.points_m[rows])
            assert rows.sum() > 1000
            assert np.percentile(cKDTree(card.surface.points_m).query(points)[0], 95) < 0.008
            seen |= frame.masks[labels[bop_id]][0]
        table = ~np.isin(frame.cloud.source_index, np.flatnonzero(seen))
        heights_m = se3.apply(frame.T_fixed_camera, frame.cloud.points_m[table])[:, 2]
        assert abs(np.median(heights_m)) < 2e-4
    places = [made.T_world_camera @ T for made in rendered for _, T in made.labels]
    np.testing.assert_allclose(places[:3], places[3:6], atol=1e-9)
    assert np.linalg.norm(rendered[0].T_world_camera[:3, 3] - rendered[2].T_world_camera[:3, 3]) > 0.4


def test_the_same_seed_gives_the_same_frames(rendered, repository):
    again = rendered_frames(repository / "models", 3, seed=1)
    other = rendered_frames(repository / "models", 3, seed=2)
    assert all(a.depth_m.tobytes() == b.depth_m.tobytes() for a, b in zip(rendered, again))
    assert any(a.depth_m.tobytes() != b.depth_m.tobytes() for a, b in zip(rendered, other))


def test_real_frames_keep_their_depth(tmp_path):
    frames = demo_frames("000000")[:2]
    for frame, made in zip(BagFrames(write_labelled_bag(tmp_path / "demo", frames)), frames):
        assert frame.T_fixed_camera is None and frame.cloud.shape == made.depth_m.shape
        assert len(frame.cloud) == (made.depth_m > 0).sum()
