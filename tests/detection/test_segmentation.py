"""Segments: masks without background, clusters in boxes, and clusters on a plane."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from detection.scenes import SHAPE, K, share, table_scene

from pose_node.config import SegmentConfig
from pose_node.detection.segmentation import segments
from pose_node.geometry.se3 import apply, exp_so3, transform
from pose_node.measurement.cloud import Cloud

CONFIG = SegmentConfig()


def test_a_mask_is_a_segment(block, cards, pose):
    cloud, mask = block.see(pose)
    (segment,), rejected = segments(cloud, {"block": [mask]}, cards, CONFIG)
    assert (segment.source, segment.object_name, rejected) == ("mask", "block", [])
    assert np.array_equal(segment.indices, np.flatnonzero(mask.ravel()[cloud.source_index]))


def test_masks_turn_with_the_cloud(block, cards, pose):
    cloud, mask = block.see(pose)
    flags = np.zeros(mask.shape, bool)
    flags[20:100, 40:120] = True
    flags = flags.ravel()[cloud.source_index]
    T = transform(exp_so3(np.array([1.0, -0.5, 2.0])), np.array([0.5, -0.8, 0.1]))
    clouds = [Cloud.from_points(cloud.points_m), Cloud.from_points(apply(T, cloud.points_m), T[:3, 3])]
    still, moved = (segments(c, {"block": [flags]}, cards, CONFIG)[0][0].indices for c in clouds)
    assert np.array_equal(still, moved) and 0 < len(still) < flags.sum()


@pytest.mark.parametrize("key", ["masks", "boxes"])
def test_an_empty_mask_is_rejected_with_a_reason(block, cards, pose, key):
    cloud, mask = block.see(pose)
    empty = {"block": [np.zeros_like(mask)]}
    found, (rejected,) = segments(
        cloud, None if key == "boxes" else empty, cards, CONFIG, boxes=empty if key == "boxes" else None
    )
    assert found == [] and rejected.code == "too_few_points" and rejected.object_name == "block"


def test_clusters_on_a_table(cards):
    depth, masks = table_scene([(-0.12, 0.1, 0.07, 0.12), (0.12, 0.07, 0.08, 0.1)])
    for cloud in (Cloud.from_depth(depth, K), Cloud.from_points(Cloud.from_depth(depth, K).points_m)):
        found, rejected = segments(cloud, None, cards, CONFIG)
        assert not rejected and all(s.source == "cluster" for s in found)
        points = cloud.points_m
        whole = Cloud.from_depth(depth, K)
        for mask in masks:
            centre = whole.points_m[mask.ravel()[whole.source_index]].mean(axis=0)
            nearest = min(np.linalg.norm(points[s.indices].mean(axis=0) - centre) for s in found)
            assert nearest < 0.015


def test_clusters_cover_the_objects_pixels(cards):
    depth, masks = table_scene([(-0.12, 0.1, 0.07, 0.12), (0.12, 0.07, 0.08, 0.1)])
    cloud = Cloud.from_depth(depth, K)
    found, _ = segments(cloud, None, cards, CONFIG)
    for mask in masks:
        assert max(share(cloud, s, mask) for s in found) > 0.8


def test_a_smooth_thing_larger_than_the_object_is_not_it(block, cards):
    depth, masks = table_scene([(0.0, 0.5, 0.06, 0.1)])
    cloud = Cloud.from_depth(depth, K)
    assert all(share(cloud, s, masks[0]) < 0.5 for s in segments(cloud, None, cards, CONFIG)[0])


def test_things_that_touch_are_divided_at_the_crease(block, cards):
    depth, masks = table_scene([(-0.045, 0.09, 0.14, 0.12), (0.045, 0.09, 0.07, 0.1)])
    cloud = Cloud.from_depth(depth, K)
    found, _ = segments(cloud, None, cards, CONFIG)
    assert max(share(cloud, s, masks[1] & ~masks[0]) for s in found) > 0.75


def test_points_next_to_the_support_stay_with_the_object(cards):
    depth, masks = table_scene([(0.0, 0.1, 0.07, 0.12)])
    cloud = Cloud.from_depth(depth, K)
    found, _ = segments(cloud, None, cards, CONFIG)
    assert max(share(cloud, s, masks[0]) for s in found) > 0.9


def test_clusters_name_the_objects_whose_size_they_have(block, cards):
    depth, _ = table_scene([(0.0, 0.1, 0.07, 0.12)])
    tiny = replace(
        block.card, name="tiny", surface=replace(block.card.surface, points_m=0.2 * block.card.surface.points_m)
    )
    found, _ = segments(Cloud.from_depth(depth, K), None, {**cards, "tiny": tiny}, CONFIG)
    assert found and all(s.objects == ("block",) for s in found)


def test_nothing_but_a_plane(cards):
    depth, _ = table_scene([], wall=False)
    found, (rejected,) = segments(Cloud.from_depth(depth, K), None, cards, CONFIG)
    assert found == [] and rejected.code == "no_segments"
    few = Cloud.from_points(np.random.default_rng(0).normal(size=(5, 3)))
    assert segments(few, None, cards, CONFIG)[1][0].code == "no_segments"


def test_a_cropped_cloud_is_tried_whole_without_specks(block, cards, pose):
    cloud, mask = block.see(pose, finer=3.0)
    points = cloud.points_m[mask.ravel()]
    flying = points[::200] * np.random.default_rng(0).uniform(1.1, 1.6, (len(points[::200]), 1))
    found, _ = segments(Cloud.from_points(np.concatenate([points, flying])), None, cards, CONFIG)
    assert max((s.indices < len(points)).sum() for s in found) > 0.97 * len(points)


def test_only_the_best_pairs_are_kept(cards):
    depth, _ = table_scene([(-0.15, 0.08, 0.07, 0.12), (0.0, 0.08, 0.07, 0.1), (0.15, 0.08, 0.08, 0.1)])
    cloud = Cloud.from_depth(depth, K)
    every, few = (segments(cloud, None, cards, replace(CONFIG, max_pairs=n))[0] for n in (40, 2))
    assert len(every) > 2 and [s.indices.tolist() for s in few] == [s.indices.tolist() for s in every[:2]]


def test_a_box_is_searched_for_the_object(cards):
    depth, (mask, _) = table_scene([(-0.05, 0.1, 0.07, 0.12), (0.15, 0.07, 0.08, 0.1)])
    cloud = Cloud.from_depth(depth, K)
    box = np.zeros(SHAPE, bool)
    rows, columns = np.nonzero(mask)
    box[rows.min() - 15 : rows.max() + 16, columns.min() - 25 : columns.max() + 26] = True
    found, rejected = segments(cloud, None, cards, CONFIG, boxes={"block": [box]})
    assert not rejected and found[0].source == "cluster" and found[0].object_name == "block"
    assert share(cloud, found[0], mask) > 0.75
    inside = box.ravel()[cloud.source_index]
    assert all(inside[s.indices].mean() > 0.6 for s in found)  # the other block is not looked at


def test_a_box_without_clusters_is_the_segment(cards):
    depth, _ = table_scene([])
    cloud = Cloud.from_depth(depth, K)
    box = np.zeros(SHAPE, bool)
    box[SHAPE[0] // 2 : SHAPE[0] // 2 + 40, 100:150] = True
    (found,), _ = segments(cloud, None, cards, CONFIG, boxes={"block": [box]})
    assert found.source == "box" and share(cloud, found, box) == 1.0


def test_a_tight_box_is_the_segment(block, cards, pose):
    cloud, mask = block.see(pose)
    found, _ = segments(cloud, None, cards, CONFIG, boxes={"block": [mask]})
    assert share(cloud, found[0], mask) > 0.9
