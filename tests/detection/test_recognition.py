"""Which objects are looked for in which segments: those that a network recognises, one segment for the same points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_node.config import InferConfig
from pose_node.detection.recognition import candidates
from pose_node.measurement.scene import Scene
from pose_node.network.backbone import Backbone
from pose_node.network.object_network import Network
from pose_node.types import Segment

CONFIG = InferConfig(provider="cpu")


@pytest.fixture
def setting(block, pose):
    """The scene, rows of the block in it, and a network that recognises as the block all points in front of the wall."""
    cloud, mask = block.see(pose)
    network = Network(block.card, Backbone(block.card.folder.parent / "backbone", CONFIG), CONFIG)
    network.backbone.run = block.oracle(pose)
    return Scene(cloud, {"block": network.card}), np.flatnonzero(mask.ravel()[cloud.source_index]), {"block": network}


def test_the_object_is_a_candidate_and_the_wall_is_not(setting):
    scene, rows, networks = setting
    wall = np.setdiff1d(np.arange(len(scene.cloud)), rows)
    segments = [Segment(wall, "cluster"), Segment(rows, "cluster")]
    kept, rejected = candidates(segments, networks, scene, CONFIG)
    assert [c.segment for c in kept] == segments[1:]
    assert [r.code for r in rejected] == ["no_votes"]
    assert kept[0].prediction.voter_share > 0.99


def test_of_two_clusters_of_the_same_points_the_larger_is_kept(setting):
    scene, rows, networks = setting
    segments = [Segment(rows[: len(rows) // 2], "cluster"), Segment(rows, "cluster")]
    kept, rejected = candidates(segments, networks, scene, CONFIG)
    assert [c.segment for c in kept] == segments[1:]
    assert "outranked" in rejected[0].reason


def test_clusters_of_different_points_are_both_kept_up_to_the_limit(setting):
    scene, rows, networks = setting
    segments = [Segment(rows[::2], "cluster"), Segment(rows[1::2], "cluster")]
    assert len(candidates(segments, networks, scene, CONFIG)[0]) == 2
    assert len(candidates(segments, networks, scene, replace(CONFIG, max_prospects=1))[0]) == 1


def test_only_objects_of_the_segments_size_are_tried(setting):
    scene, rows, networks = setting
    only = {"block": networks["block"], "other": None}  # would raise if it were run
    kept, _ = candidates([Segment(rows, "cluster", objects=("block",))], only, scene, CONFIG)
    assert [c.object_name for c in kept] == ["block"]


def test_too_few_points_are_refused(setting):
    scene, rows, networks = setting
    kept, (rejected,) = candidates([Segment(rows[:20], "cluster")], networks, scene, CONFIG)
    assert kept == [] and rejected.code == "too_few_points"


def test_points_at_the_support_are_left_out_where_the_network_is_unsure(setting):
    scene, rows, networks = setting
    wall = np.setdiff1d(np.arange(len(scene.cloud)), rows)
    around = wall[np.linalg.norm(scene.cloud.points_m[wall] - scene.cloud.points_m[rows].mean(axis=0), axis=1) < 0.32]
    mixed = np.sort(np.concatenate([rows, around[: len(rows)]]))
    (kept,), _ = candidates([Segment(mixed, "cluster", off_support=rows)], networks, scene, CONFIG)
    assert np.array_equal(kept.segment.indices, rows)
    (kept,), _ = candidates([Segment(rows, "cluster", off_support=rows[: len(rows) // 2])], networks, scene, CONFIG)
    assert np.array_equal(kept.segment.indices, rows)


def test_masks_are_candidates_without_a_prediction_and_come_first(setting):
    scene, rows, networks = setting
    mask, cluster = Segment(rows, "mask", "block"), Segment(rows, "cluster")
    found, rejected = candidates([cluster, mask], networks, scene, CONFIG)
    assert [(c.segment, c.prediction is None) for c in found] == [(mask, True), (cluster, False)] and not rejected
