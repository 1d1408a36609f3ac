"""Segments: masks without background, clusters in boxes, and clusters on a plane."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_node.config import SegmentConfig
from pose_node.detection.segmentation import segments
from pose_node.geometry.se3 import apply, exp_so3, transform
from pose_node.measurement.cloud import Cloud
from pose_node.pose.error_model import noise_sigma

CONFIG = SegmentConfig()
K = np.array([[280.0, 0.0, 159.5], [0.0, 280.0, 119.5], [0.0, 0.0, 1.0]])
SHAPE = (240, 320)


def table_scene(boxes, wall=True):
    """Depth image [m] of a tilted table with upright boxes (x, width, depth, height in metres), and a mask of each."""
    v, u = np.indices(SHAPE, dtype=float)
    rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones(SHAPE)], axis=-1)
    tilt = exp_so3(np.array([0.7, 0.0, 0.0]))
    along = rays @ tilt  # table frame: y down is its normal, the table lies at y = 0.55
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where(along[..., 1] > 1e-6, 0.55 / along[..., 1], 5.0 if wall else np.nan)
        masks = []
        for x, width, deep, height in boxes:
            low = np.array([x - width / 2, 0.55 - height, 0.55 - deep / 2])
            high = np.array([x + width / 2, 0.55, 0.55 + deep / 2])
            t = np.stack([low / along, high / along])
            enter, leave = t.min(axis=0).max(axis=-1), t.max(axis=0).min(axis=-1)
            mask = (enter < leave) & (enter > 0) & (enter < depth)
            depth = np.where(mask, enter, depth)
            masks.append(mask)
    return depth, masks


@pytest.fixture(scope="module")
def cards(block):
    return {"block": block.card}


def share(cloud, segment, mask):
    """Intersection over union of a segment and a mask."""
    inside = np.zeros(len(cloud), bool)
    inside[segment.indices] = True
    truth = mask.ravel()[cloud.source_index]
    return (inside & truth).sum() / (inside | truth).sum()


def test_a_mask_is_a_segment(block, cards, pose):
    cloud, mask = block.see(pose)
    (segment,), rejected = segments(cloud, {"block": [mask]}, cards, CONFIG)
    assert (segment.source, segment.object_name, rejected) == ("mask", "block", [])
    assert np.array_equal(segment.indices, np.flatnonzero(mask.ravel()[cloud.source_index]))


def test_background_in_a_mask_is_dropped(block, cards, pose):
    cloud, mask = block.see(pose)
    wide = np.zeros_like(mask)
    rows, columns = np.nonzero(mask)
    wide[rows.min() - 3 : rows.max() + 4, columns.min() - 3 : columns.max() + 4] = True  # the wall is 0.3 m behind
    (segment,), _ = segments(cloud, {"block": [wide]}, cards, CONFIG)
    assert share(cloud, segment, mask) > 0.99


def test_parts_that_an_occluder_cut_off_stay(block, cards, pose):
    cloud, mask = block.see(pose)
    _, columns = np.nonzero(mask)
    cut = mask.copy()
    centre = int(np.median(columns))
    cut[:, centre - 4 : centre + 5] = False
    (segment,), _ = segments(cloud, {"block": [cut]}, cards, CONFIG)
    assert share(cloud, segment, cut) > 0.99


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


@pytest.mark.parametrize(
    ("finer", "noise"), [(0.5, 1.0), (1.0, 1.0), (3.0, 1.0), (5.0, 0.0), (5.0, 0.1), (5.0, 1.0)], ids=str
)
@pytest.mark.parametrize("around_m", [0.0, 0.02, 0.1], ids=["alone", "with a rim", "with the wall"])
def test_a_bare_cloud_of_any_density_is_segmented(block, cards, pose, finer, noise, around_m):
    farther = transform(pose[:3, :3], np.array([0.02, -0.01, 1.1]))
    cloud, mask = block.see(farther, 1.5, finer=finer)
    sigma_m = noise * noise_sigma(1.1)
    mine = mask.ravel()[cloud.source_index]
    range_m = np.linalg.norm(cloud.points_m, axis=1, keepdims=True)
    noisy = cloud.points_m * (1.0 + sigma_m * np.random.default_rng(0).normal(size=range_m.shape) / range_m)
    low, high = cloud.points_m[mine, :2].min(axis=0) - around_m, cloud.points_m[mine, :2].max(axis=0) + around_m
    kept = mine | ((cloud.points_m[:, :2] > low) & (cloud.points_m[:, :2] < high)).all(axis=1) & (around_m > 0.0)
    found, rejected = segments(Cloud.from_points(noisy[kept]), None, cards, CONFIG)
    assert not rejected
    mine = np.flatnonzero(mine[kept])
    shares = [len(np.intersect1d(s.indices, mine)) / len(np.union1d(s.indices, mine)) for s in found]
    assert max(shares) > 0.9


def test_a_cropped_cloud_is_tried_whole_without_specks(block, cards, pose):
    cloud, mask = block.see(pose, finer=3.0)
    points = cloud.points_m[mask.ravel()]
    flying = points[::200] * np.random.default_rng(0).uniform(1.1, 1.6, (len(points[::200]), 1))
    found, _ = segments(Cloud.from_points(np.concatenate([points, flying])), None, cards, CONFIG)
    assert max((s.indices < len(points)).sum() for s in found) > 0.97 * len(points)


@pytest.mark.parametrize("remove_plane", [True, False])
def test_an_objects_own_face_is_no_support(cards, remove_plane):
    face = np.column_stack([np.random.default_rng(1).uniform(-0.05, 0.05, (2000, 2)), np.full(2000, 0.6)])
    (segment,), _ = segments(Cloud.from_points(face), None, cards, replace(CONFIG, remove_plane=remove_plane))
    assert len(segment.indices) == 2000


def test_too_far_and_too_near_is_ignored(cards):
    face = np.column_stack([np.random.default_rng(1).uniform(-0.05, 0.05, (2000, 2)), np.full(2000, 3.5)])
    assert segments(Cloud.from_points(face), None, cards, CONFIG)[0] == []
    assert segments(Cloud.from_points(face * [1, 1, 0.02]), None, cards, replace(CONFIG, near_m=0.2))[0] == []


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


def test_large_images_are_thinned(cards):
    depth, masks = table_scene([(0.0, 0.1, 0.07, 0.12)])
    large = np.repeat(np.repeat(depth, 2, axis=0), 2, axis=1)
    big_K = np.array([[560.0, 0, 319.5], [0, 560.0, 239.5], [0, 0, 1]])
    cloud = Cloud.from_depth(large, big_K)
    found, _ = segments(cloud, None, cards, CONFIG)
    mask = np.repeat(np.repeat(masks[0], 2, axis=0), 2, axis=1)
    inside = mask.ravel()[cloud.source_index][found[0].indices]
    assert inside.mean() > 0.9
