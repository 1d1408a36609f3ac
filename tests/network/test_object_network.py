"""Hypotheses for a segment: from the matches with the object's bank; trimming, and refusals."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from pose_node.config import InferConfig
from pose_node.errors import CardError, ModelError
from pose_node.geometry.se3 import angle, apply, exp_so3, transform
from pose_node.measurement.scene import Scene
from pose_node.network.backbone import Backbone
from pose_node.network.object_network import Network
from pose_node.objects.bank import load_bank, save_bank
from pose_node.objects.card import load_card
from pose_node.types import Rejected, Segment

CPU = InferConfig(provider="cpu")


def network_for(block, **changes):
    config = replace(CPU, **changes)
    return Network(block.card, Backbone(block.card.folder.parent / "backbone", config), config)


def propose(network, cloud, segment):
    return network.propose(segment, Scene(cloud, {network.card.name: network.card}))


def segment_of(cloud, mask, source="mask"):
    return Segment(np.flatnonzero(mask.ravel()[cloud.source_index]), source, "block")


def apart(A, B):
    """Angle between rotations in radians."""
    return angle(np.swapaxes(A, -1, -2) @ B)


def test_the_first_hypothesis_is_the_pose(block, pose):
    cloud, mask = block.see(pose)
    network = network_for(block)
    network.backbone.run = block.oracle(pose)
    found = propose(network, cloud, segment_of(cloud, mask))
    assert {h.source for h in found} == {"match"}
    assert apart(found[0].T_camera_object[:3, :3], pose[:3, :3]) < np.deg2rad(1.0)
    assert np.linalg.norm(found[0].T_camera_object[:3, 3] - pose[:3, 3]) < 0.01 * block.card.diameter_m
    confidence = [h.confidence for h in found]
    assert confidence == sorted(confidence, reverse=True) and 0.0 < confidence[0] <= 1.0
    assert all(h.matches is found[0].matches for h in found)


def test_the_first_hypothesis_moves_with_the_cloud(block, pose):
    cloud, mask = block.see(pose)
    network, segment = network_for(block), segment_of(cloud, mask)
    network.backbone.run = block.oracle(pose, noise=0.05)
    still = propose(network, cloud, segment)
    T = transform(exp_so3(np.array([1.0, 2.0, -0.5])), np.array([0.3, -1.0, 2.0]))
    moved_cloud = replace(cloud, points_m=apply(T, cloud.points_m), viewpoint_m=T[:3, 3], K=None)
    network.backbone.run = block.oracle(T @ pose, noise=0.05)
    moved = propose(network, moved_cloud, segment)
    np.testing.assert_allclose(moved[0].T_camera_object, T @ still[0].T_camera_object, atol=1e-5)
    assert moved[0].confidence == pytest.approx(still[0].confidence, abs=1e-5)


def test_the_number_of_hypotheses_is_limited(block, pose):
    cloud, mask = block.see(pose)
    network = network_for(block, max_hypotheses=5)
    network.backbone.run = block.oracle(pose, noise=0.2)
    assert len(propose(network, cloud, segment_of(cloud, mask))) <= 5
    assert len(propose(network_for(block), cloud, segment_of(cloud, mask))) > 5


def test_too_few_points_are_refused_with_the_numbers(block, pose):
    cloud, _ = block.see(pose)
    refused = propose(network_for(block), cloud, Segment(np.arange(59), "mask", "block"))
    assert isinstance(refused, Rejected)
    assert refused.code == "too_few_points"
    assert "59" in refused.reason and "60" in refused.reason


def test_too_few_different_points_are_refused(block, pose):
    cloud, _ = block.see(pose)
    cloud = replace(cloud, points_m=np.repeat(cloud.points_m[:20], 10, axis=0), K=None)
    refused = propose(network_for(block), cloud, Segment(np.arange(200), "mask", "block"))
    assert isinstance(refused, Rejected) and refused.code == "too_few_points" and "found 20 points" in refused.reason


def test_a_box_without_votes_is_refused_but_a_mask_is_trusted(block, pose):
    cloud, mask = block.see(pose)
    network = network_for(block)
    network.backbone.run = block.oracle(transform(np.eye(3), np.array([0.0, 0.0, 5.0])))  # no point is on the block
    refused = propose(network, cloud, segment_of(cloud, mask, "box"))
    assert isinstance(refused, Rejected)
    assert refused.code == "no_votes"
    assert not isinstance(propose(network, cloud, segment_of(cloud, mask)), Rejected)


def test_a_box_with_background_is_trimmed_to_the_voters(block, pose):
    cloud, mask = block.see(pose)
    network = network_for(block)
    network.backbone.run = block.oracle(pose)
    hypotheses = propose(network, cloud, Segment(np.arange(len(cloud)), "box", None))
    narrowed = hypotheses[0].segment
    assert narrowed.source == "votes"
    on_block = mask.ravel()[cloud.source_index][narrowed.indices]
    assert on_block.mean() > 0.8
    assert on_block.sum() > 0.6 * mask.sum()
    assert apart(hypotheses[0].T_camera_object[:3, :3], pose[:3, :3]) < np.deg2rad(2.0)


def test_a_backbone_that_finds_all_places_alike_gives_finite_poses(block, pose):
    cloud, mask = block.see(pose)
    for h in propose(network_for(block), cloud, segment_of(cloud, mask)):
        assert np.isfinite(h.T_camera_object).all()


@pytest.fixture
def copied(block, tmp_path):
    """A copy of the block's folder, and the backbone."""
    shutil.copytree(block.card.folder, tmp_path / "block")
    return tmp_path / "block", Backbone(block.card.folder.parent / "backbone", CPU)


def test_a_folder_without_a_bank_names_the_command_that_renews_it(copied):
    folder, backbone = copied
    (folder / "bank.npz").rename(folder / "pose.onnx")
    with pytest.raises(CardError, match=rf"found no bank\.npz.*: pose_node add-object {folder}$"):
        Network(load_card(folder), backbone, CPU)


def test_a_bank_of_another_backbone_names_the_command_that_renews_it(copied):
    folder, backbone = copied
    bank = load_bank(folder / "bank.npz")
    save_bank(folder / "bank.npz", replace(bank, backbone="ab" * 32))
    with pytest.raises(
        ModelError, match=rf"made by backbone abab.*expected {backbone.sha256[:12]}.*pose_node add-object {folder}$"
    ):
        Network(load_card(folder), backbone, CPU)


def test_warming_up_takes_a_moment(block):
    assert network_for(block).warm() > 0.0
