"""The classical peers speak metres and proper rotations, and find an easy part."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import peers
from benchmarks.peers.clouds import model_cloud
from pose_node.arrays import Array
from pose_node.evaluation import metrics
from pose_node.geometry import se3

DIAMETER_M = 0.13

pytestmark = pytest.mark.learning


@pytest.fixture(scope="module")
def part() -> tuple[Array, Array]:
    """Vertices and faces of three boxes of different sizes in a row, no two sides alike."""
    trimesh = pytest.importorskip("trimesh")
    pytest.importorskip("open3d")
    boxes = [
        ((0.10, 0.03, 0.02), (0, 0, 0)),
        ((0.03, 0.05, 0.03), (0.04, 0.03, 0.02)),
        ((0.02, 0.02, 0.06), (-0.04, 0.0, 0.03)),
    ]
    mesh = trimesh.util.concatenate(
        [trimesh.creation.box(size, transform=trimesh.transformations.translation_matrix(at)) for size, at in boxes]
    )
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


def seen(part: tuple[Array, Array], viewpoint_m: Array) -> tuple[Array, Array]:
    """T_camera_object [4, 4], and the part's points [N, 3] that face the viewpoint."""
    T = se3.transform(se3.exp_so3(np.array([0.4, -0.9, 0.3])), np.array([0.05, -0.02, 0.8]))
    T = se3.transform(np.eye(3), viewpoint_m) @ T
    cloud = model_cloud(*part, DIAMETER_M, 0.015)
    at_camera = se3.apply(T, np.asarray(cloud.points))
    facing = np.einsum("ni,ni->n", np.asarray(cloud.normals) @ T[:3, :3].T, at_camera - viewpoint_m) < 0.0
    return T, at_camera[facing]


@pytest.mark.parametrize(
    "peer, setting",
    [("ppf", "step7"), ("ransac", "iterations_100k"), ("fgr", "fine_10_starts"), ("kiss", "views14_voxel20_wide")],
)
def test_a_peer_finds_the_part_from_any_viewpoint(part: tuple[Array, Array], peer: str, setting: str) -> None:
    pytest.importorskip({"ppf": "cv2", "kiss": "kiss_matcher"}.get(peer, "open3d"))
    viewpoint = np.array([0.3, -2.0, 0.5])
    T, points = seen(part, viewpoint)
    poses = peers.make(peer, setting, *part, DIAMETER_M).poses(points, viewpoint)
    assert len(poses) >= 1
    for pose in poses:
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-6)
        assert np.linalg.det(pose[:3, :3]) > 0
    assert min(metrics.add(part[0], pose, T) for pose in poses) < 0.03


def test_settings_are_few_and_named_for_every_peer() -> None:
    for kind in peers.PEERS.values():
        assert 1 <= len(kind.settings) <= peers.MOST_SETTINGS
