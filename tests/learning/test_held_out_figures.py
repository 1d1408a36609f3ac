"""Held-out figures: a good bank finds the poses, and only a change beyond noise is a gain or a loss."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from block import ideal_bank

pytest.importorskip("torch")
pytest.importorskip("open3d")

from pose_node.geometry.se3 import exp_so3, transform
from pose_node.learning.held_out_figures import Change, _noise_of_mean, changes, measure
from pose_node.learning.observation import observed_crop
from pose_node.measurement.crop import Crop

TEMPERATURE = 0.03


@pytest.fixture(scope="module")
def views(block):
    """Six poses of the block, then three segments of the wall."""
    rng, found = np.random.default_rng(1), []
    for number in range(9):
        T = transform(exp_so3(rng.normal(size=3)), np.array([0.0, 0.0, 0.6]))
        cloud, mask = block.see(T)
        mine = mask.ravel()[cloud.source_index]
        backbone = SimpleNamespace(run=block.oracle(T, noise=0.01, seed=number))
        if number < 6:
            found.append(
                observed_crop(Crop(cloud.points_m[mine], cloud.viewpoint_m, T, str(number)), block.card, backbone)
            )
        else:
            wall = observed_crop(Crop(cloud.points_m[~mine][:900], cloud.viewpoint_m, T, "wall"), block.card, backbone)
            found.append(replace(wall, T_camera_object=None))
    return found


@pytest.fixture(scope="module")
def banks(block):
    """A good bank, and one whose descriptors belong to other places."""
    good = ideal_bank(block.card, "0" * 64)
    return good, replace(good, descriptors=np.random.default_rng(0).permutation(good.descriptors))


def test_a_good_bank_finds_the_poses_and_another_does_not(block, banks, views):
    good, bad = (measure(bank, block.card, TEMPERATURE, views) for bank in banks)
    assert (good.apart_rel < 0.1).all() and (good.best_rel <= good.apart_rel).all()
    assert (bad.apart_rel > 0.1).mean() > 0.8 and len(good.support) == 9
    by_name = {change.name: change for change in changes(bad, good)}
    grade = by_name["grade of the first hypothesis"]
    assert grade.decides and grade.gains and not grade.loses and grade.after > 0.7
    truth = by_name["evidence of the true pose, log ratio"]
    assert truth.gains and truth.after > 1.0 and truth.before < 0.5
    back = {change.name: change for change in changes(good, bad)}
    assert back[grade.name].loses and not back[grade.name].gains
    assert by_name["evidence above that of other things"].after == 1.0


def test_the_same_bank_neither_gains_nor_loses(block, banks, views):
    good = measure(banks[0], block.card, TEMPERATURE, views)
    assert not any(change.gains or change.loses for change in changes(good, good))


def test_a_change_within_its_interval_is_noise():
    assert not Change("", 0.5, 0.6, 0.11).gains and Change("", 0.5, 0.6, 0.09).gains
    assert Change("", 0.6, 0.5, 0.09).loses and not Change("", 3.0, 1.0).loses


def test_neighbouring_frames_count_as_one():
    values = np.array([1.0, 1.0, 0.0, 0.0, 1.0, 1.0])
    alone = _noise_of_mean(values, list("abcdef"))
    assert alone == pytest.approx(2.5706 * values.std(ddof=1) / 6**0.5, rel=1e-4)  # Student's t of 5 degrees of freedom
    assert _noise_of_mean(values, list("aabbcc")) > 1.4 * alone
    assert _noise_of_mean(values, list("aaabbb")) == np.inf
