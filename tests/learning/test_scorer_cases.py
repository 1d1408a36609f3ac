"""Cases of the scorer: reproducible, with right and wrong poses, and the same after they were stored."""

from __future__ import annotations

import numpy as np
import pytest

from pose_node.learning import shapes
from pose_node.learning.scorer_cache import cases
from pose_node.learning.scorer_cases import Pool
from pose_node.learning.scorer_data import _DISPLACED, POINTS, pose_data

SCENES, SEED = 3, 0  # some scenes show too little of their object


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return Pool(tmp_path_factory.mktemp("surfaces"), shapes.training, 2)


@pytest.fixture(scope="module")
def made(pool, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    return folder, cases(pool, folder, SCENES, seed=SEED)


def test_the_true_object_has_right_poses_and_others_have_none(made):
    _, found = made
    groups = [group for case in found for group in case.groups]
    assert any(group.same and group.right.any() and not group.right.all() for group in groups)
    assert all(len(group.T) == len(group.right) == len(group.refined) for group in groups)


def test_stored_cases_are_read_again(pool, made):
    folder, found = made
    for a, b in zip(found, cases(pool, folder, SCENES, seed=SEED), strict=True):
        assert np.array_equal(a.depth_m, b.depth_m) and [s[1] for s in a.segments] == [s[1] for s in b.segments]
        for one, other in zip(a.groups, b.groups, strict=True):
            assert np.array_equal(one.T, other.T) and np.array_equal(one.right, other.right)
            assert (one.thing, one.segment, one.same) == (other.thing, other.segment, other.same)


def test_poses_become_rows_of_equal_width(pool, made):
    data = pose_data(made[1], pool)
    groups = [group for case in made[1] for group in case.groups]
    poses = sum(len(g.T) + _DISPLACED * len(set(g.refined)) for g in groups)
    assert len(data) == poses == len(data.samples) == len(data.group)
    assert data.points.shape[1] == POINTS
    assert data.weight.sum(axis=1) == pytest.approx(np.ones(poses), abs=1e-4)
    assert all(len(np.unique(data.refined[data.group == g])) == 1 for g in np.unique(data.group))
