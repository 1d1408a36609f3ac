"""Which pairs of segment and object are worked out: those that a glance of the network likes, one for each place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_node.config import InferConfig
from pose_node.detection.recognition import prospects
from pose_node.measurement.scene import Scene
from pose_node.network.object_network import Network
from pose_node.objects.card import load_card
from pose_node.types import Segment

CONFIG = InferConfig(provider="cpu")


@pytest.fixture
def setting(block, pose):
    """The scene, rows of the block in it, and a network that takes for the block what is nearer than the wall."""
    cloud, mask = block.see(pose)
    network = Network(load_card(block.card.folder), CONFIG)
    oracle = block.oracle(pose)

    def run(prepared):
        return {**oracle(prepared), "objectness": np.where(prepared.centres_m()[:, 2] > 0.85, -6.0, 6.0)}

    network.run = run
    return Scene(cloud, {"block": network.card}), np.flatnonzero(mask.ravel()[cloud.source_index]), {"block": network}


def test_the_object_is_a_prospect_and_the_wall_is_not(setting):
    scene, rows, networks = setting
    wall = np.setdiff1d(np.arange(len(scene.cloud)), rows)
    segments = [Segment(wall, "cluster"), Segment(rows, "cluster")]
    kept, rejected = prospects(networks, scene, segments, CONFIG)
    assert [p.segment for p in kept] == segments[1:]
    assert [r.code for r in rejected] == ["no_votes"]
    assert kept[0].glance.voters > 0.99


def test_of_two_readings_of_the_same_points_the_larger_is_kept(setting):
    scene, rows, networks = setting
    segments = [Segment(rows[: len(rows) // 2], "cluster"), Segment(rows, "cluster")]
    kept, rejected = prospects(networks, scene, segments, CONFIG)
    assert [p.segment for p in kept] == segments[1:]
    assert "likelier" in rejected[0].reason


def test_parts_of_other_points_are_both_kept_up_to_the_limit(setting):
    scene, rows, networks = setting
    segments = [Segment(rows[::2], "cluster"), Segment(rows[1::2], "cluster")]
    assert len(prospects(networks, scene, segments, CONFIG)[0]) == 2
    assert len(prospects(networks, scene, segments, replace(CONFIG, max_prospects=1))[0]) == 1


def test_only_objects_of_the_segments_size_are_asked(setting):
    scene, rows, networks = setting
    asked = {"block": networks["block"], "other": None}  # would fail if it were asked
    kept, _ = prospects(asked, scene, [Segment(rows, "cluster", objects=("block",))], CONFIG)
    assert [p.name for p in kept] == ["block"]


def test_too_few_points_are_refused(setting):
    scene, rows, networks = setting
    kept, (rejected,) = prospects(networks, scene, [Segment(rows[:20], "cluster")], CONFIG)
    assert kept == [] and rejected.code == "too_few_points"


def test_a_foot_that_the_network_doubts_is_left_out(setting):
    scene, rows, networks = setting
    wall = np.setdiff1d(np.arange(len(scene.cloud)), rows)
    around = wall[np.linalg.norm(scene.cloud.points_m[wall] - scene.cloud.points_m[rows].mean(axis=0), axis=1) < 0.32]
    mixed = np.sort(np.concatenate([rows, around[: len(rows)]]))
    (kept,), _ = prospects(networks, scene, [Segment(mixed, "cluster", off_support=rows)], CONFIG)
    assert np.array_equal(kept.segment.indices, rows)
    (kept,), _ = prospects(networks, scene, [Segment(rows, "cluster", off_support=rows[: len(rows) // 2])], CONFIG)
    assert np.array_equal(kept.segment.indices, rows)
