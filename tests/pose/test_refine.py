"""Refinement: recovers the pose, turns with the cloud, and states its covariance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_node.config import RefineConfig
from pose_node.geometry.se3 import angle, apply, exp_so3, rotate_covariance, transform
from pose_node.geometry.symmetry import Axis, Symmetry
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.scene import Scene
from pose_node.pose import refine
from pose_node.pose.refine import Refiner
from pose_node.types import Hypothesis, Segment


@pytest.fixture(scope="module")
def refiner(block):
    return Refiner(block.card, RefineConfig())


def seen(block, pose):
    cloud, mask = block.see(pose)
    return cloud, Segment(np.flatnonzero(mask.ravel()[cloud.source_index]), "mask", "block")


def beside(pose, rng, rad=0.15, metres=0.006):
    """A pose near to ``pose``."""
    turn = rng.normal(size=3)
    turn *= rad / np.linalg.norm(turn)
    return transform(exp_so3(turn) @ pose[:3, :3], pose[:3, 3] + rng.normal(0, metres, 3))


def degrees(a, b):
    return np.rad2deg(angle(a[:3, :3].T @ b[:3, :3]))


def test_fine_recovers_the_pose(block, refiner, pose):
    cloud, segment = seen(block, pose)
    start = beside(pose, np.random.default_rng(0))
    refined = refiner.fine(Hypothesis("block", start, segment, "match"), Scene(cloud, {"block": block.card}))
    assert refined.converged and refined.iterations <= RefineConfig().max_iterations
    assert degrees(refined.T_camera_object, pose) < 0.3
    assert np.linalg.norm(refined.T_camera_object[:3, 3] - pose[:3, 3]) < 0.001
    assert refined.inlier_fraction > 0.94 and refined.rms_m < 0.001
    np.testing.assert_allclose(np.linalg.det(refined.T_camera_object[:3, :3]), 1.0, atol=1e-12)


def test_fine_converges_to_one_pose_from_all_starts_nearby(block, refiner, pose):
    cloud, segment = seen(block, pose)
    scene, rng = Scene(cloud, {"block": block.card}), np.random.default_rng(1)
    ends = [
        refiner.fine(Hypothesis("block", beside(pose, rng), segment, "match"), scene).T_camera_object for _ in range(4)
    ]
    for end in ends[1:]:
        assert degrees(ends[0], end) < 0.01


def test_coarse_brings_all_poses_nearer(block, refiner, pose):
    cloud, segment = seen(block, pose)
    rng = np.random.default_rng(2)
    starts = np.stack([beside(pose, rng) for _ in range(20)])
    ends = refiner.coarse(starts, Scene(cloud, {"block": block.card}).view(segment))
    assert np.mean([degrees(T, pose) for T in ends]) < 3.0


def test_a_rigid_motion_moves_the_result(block, refiner, pose):
    cloud, segment = seen(block, pose)
    rng = np.random.default_rng(3)
    start = beside(pose, rng)
    still = refiner.fine(Hypothesis("block", start, segment, "match"), Scene(cloud, {"block": block.card}))
    for _ in range(5):
        T = transform(exp_so3(rng.normal(size=3)), rng.uniform(-1, 1, 3))
        moved_cloud = Cloud.from_points(apply(T, cloud.points_m), T[:3, 3])
        scene = Scene(moved_cloud, {"block": block.card})
        moved = refiner.fine(Hypothesis("block", T @ start, segment, "match"), scene)
        assert np.abs(moved.T_camera_object - T @ still.T_camera_object).max() < 1e-6
        expected = rotate_covariance(T[:3, :3], still.covariance)
        np.testing.assert_allclose(moved.covariance, expected, rtol=1e-3, atol=1e-9)


def test_the_result_is_the_same_bytes_in_any_order_of_the_points(block, refiner, pose):
    cloud, segment = seen(block, pose)
    order = np.random.default_rng(4).permutation(len(cloud))
    where = np.empty(len(cloud), dtype=np.intp)
    where[order] = np.arange(len(cloud))
    shuffled = Cloud.from_points(cloud.points_m[order])
    start = beside(pose, np.random.default_rng(5))
    one = refiner.fine(Hypothesis("block", start, segment, "match"), Scene(cloud, {"block": block.card}))
    other_segment = Segment(np.sort(where[segment.indices]), "mask", "block")
    other = refiner.fine(Hypothesis("block", start, other_segment, "match"), Scene(shuffled, {"block": block.card}))
    assert one.T_camera_object.tobytes() == other.T_camera_object.tobytes()


def test_covariance_is_positive_and_grows_with_range(block, refiner, pose):
    spread = []
    for z in (0.5, 0.85):
        far = pose.copy()
        far[2, 3] = z
        cloud, mask = block.see(far, table_m=2.0)
        segment = Segment(np.flatnonzero(mask.ravel()[cloud.source_index]), "mask", "block")
        refined = refiner.fine(Hypothesis("block", far, segment, "match"), Scene(cloud, {"block": block.card}))
        assert np.linalg.eigvalsh(refined.covariance).min() > 0
        assert np.linalg.eigvalsh(refined.information).min() >= -1e-6
        spread.append(np.trace(refined.covariance[:3, :3]))
    assert spread[1] > spread[0]


def test_the_angle_about_a_symmetry_axis_stays_and_is_unknown(block, pose):
    axis = Axis(np.array([0.0, 0.0, 1.0]), np.array([0.01, 0.0, 0.0]))
    card = replace(block.card, symmetry=Symmetry(np.eye(4)[None], (axis,)))
    cloud, segment = seen(block, pose)
    refined = Refiner(card, RefineConfig()).fine(
        Hypothesis("block", pose, segment, "match"), Scene(cloud, {"block": card})
    )
    u = pose[:3, :3] @ axis.direction
    assert u @ refined.covariance[3:, 3:] @ u == pytest.approx(np.pi**2 / 3, rel=0.05)
    # Where the axis misses the origin, the origin moves when the object turns.
    assert np.trace(refined.covariance[:3, :3]) > 0.9 * np.pi**2 / 3 * 0.01**2


def test_one_flat_face_leaves_the_slide_along_it_open(block, refiner):
    pose = transform(exp_so3(np.array([np.pi, 0.0, 0.0])), np.array([0.0, 0.0, 0.5]))
    cloud, mask = block.see(pose)
    rows = np.flatnonzero(mask.ravel()[cloud.source_index])
    flat = rows[np.abs(cloud.points_m[rows, 2] - cloud.points_m[rows, 2].min()) < 1e-6]
    inner = flat[np.linalg.norm(cloud.points_m[flat, :2], axis=1) < 0.025]
    refined = refiner.fine(
        Hypothesis("block", pose, Segment(inner, "mask", "block"), "match"), Scene(cloud, {"block": block.card})
    )
    sigma = np.sqrt(np.diag(refined.covariance))
    assert sigma[0] > 0.02 and sigma[1] > 0.02 and sigma[2] < 0.003
    assert np.linalg.norm(refined.T_camera_object[:3, 3] - pose[:3, 3]) < 1e-3  # and it did not slide


def test_only_masks_have_their_outline_measured(block, refiner, pose, monkeypatch):
    cloud, segment = seen(block, pose)
    looked = []
    real = refine.find_outline
    monkeypatch.setattr(refine, "find_outline", lambda *a: looked.append(a) or real(*a))
    for source, expected in (("mask", True), ("cluster", False), ("votes", False), ("box", False)):
        looked.clear()
        hypothesis = Hypothesis("block", pose, replace(segment, source=source), "match")
        refiner.fine(hypothesis, Scene(cloud, {"block": block.card}))
        assert bool(looked) == expected


def test_the_outline_limits_the_error_of_correlated_depth(block, refiner, pose):
    """Depth that leans by a few degrees, as a stereo camera's errors do in patches: the outline limits the turn."""
    cloud, mask = block.see(pose)
    rows = np.flatnonzero(mask.ravel()[cloud.source_index])
    rng = np.random.default_rng(8)
    ends = {"mask": [], "cluster": []}
    for _ in range(6):
        phase, way = rng.uniform(0, 2 * np.pi, 2)
        points = cloud.points_m.copy()
        across = points[rows, :2] @ [np.cos(way), np.sin(way)]
        points[rows] *= (1.0 + 0.008 * np.sin(across / 0.03 + phase) / points[rows, 2])[:, None]
        for source, found in ends.items():
            hypothesis = Hypothesis("block", pose, Segment(rows, source, "block"), "match")
            bent = replace(cloud, points_m=points)
            found.append(degrees(refiner.fine(hypothesis, Scene(bent, {"block": block.card})).T_camera_object, pose))
    assert np.mean(ends["mask"]) < 0.8 * np.mean(ends["cluster"])
