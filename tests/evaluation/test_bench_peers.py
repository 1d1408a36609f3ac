"""The classical peers speak metres and proper rotations, and find an easy part."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import peers
from pose_node import metrics, se3
from pose_node.types import Array

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


@pytest.mark.parametrize("method", ["ppf7", "ransac"])
def test_a_peer_finds_the_part(part: tuple[Array, Array], method: str) -> None:
    if method == "ppf7":
        pytest.importorskip("cv2")
    vertices, faces = part
    T = se3.transform(se3.exp_so3(np.array([0.4, -0.9, 0.3])), np.array([0.05, -0.02, 0.8]))
    cloud = peers.model_cloud(vertices, faces, 0.13, 0.015)
    points, normals = np.asarray(cloud.points), np.asarray(cloud.normals)
    at_camera = se3.apply(T, points)
    facing = np.einsum("ni,ni->n", normals @ T[:3, :3].T, at_camera) < 0.0
    poses = peers.make(method, vertices, faces, 0.13).poses(at_camera[facing], np.zeros(3))
    assert 1 <= len(poses) <= peers.KEPT
    for pose in poses:
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-6)
        assert np.linalg.det(pose[:3, :3]) > 0
        assert np.linalg.norm(pose[:3, 3] - T[:3, 3]) < 0.15
    assert min(metrics.add(vertices, pose, T) for pose in poses) < 0.02
