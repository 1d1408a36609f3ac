"""The backbone is equivariant, and points that fill a batch change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from pose_node.learning.backbone_loss import new_backbone
from pose_node.learning.export_backbone import example

pytestmark = pytest.mark.learning


@pytest.fixture(scope="module")
def backbone():
    return new_backbone(0).eval()


@torch.no_grad()
def test_a_rotated_cloud_has_the_same_descriptors_and_turned_vectors(backbone):
    points, normals, viewpoint, centres = example(np.random.default_rng(1), 2, 400, 64)
    R = torch.tensor(Rotation.random(random_state=3).as_matrix(), dtype=torch.float32)
    descriptors, vectors, quality = backbone(points, normals, viewpoint, centres)
    turned = backbone(points @ R.T, normals @ R.T, viewpoint @ R.T, centres)
    assert torch.allclose(turned[0], descriptors, atol=2e-5)
    assert torch.allclose(turned[1], vectors @ R.T, atol=5e-5)
    assert torch.allclose(turned[2], quality, atol=1e-4)


@torch.no_grad()
def test_a_mirrored_cloud_has_other_descriptors(backbone):
    points, normals, viewpoint, centres = example(np.random.default_rng(1), 1, 400, 64)
    mirror = torch.tensor([-1.0, 1.0, 1.0])
    descriptors = backbone(points, normals, viewpoint, centres)[0]
    mirrored = backbone(points * mirror, normals * mirror, viewpoint * mirror, centres)[0]
    assert (mirrored - descriptors).abs().max() > 1e-2


@torch.no_grad()
def test_points_far_away_fill_a_batch_without_effect(backbone):
    points, normals, viewpoint, centres = example(np.random.default_rng(2), 1, 90, 40)
    filled_points = torch.cat([points, torch.full((1, 60, 3), 50.0)], dim=1)
    filled_normals = torch.cat([normals, torch.tensor([0.0, 0.0, 1.0]).expand(1, 60, 3)], dim=1)
    filled_centres = torch.cat([centres, torch.full((1, 24), 149)], dim=1)
    alone = backbone(points, normals, viewpoint, centres)
    filled = backbone(filled_points, filled_normals, viewpoint, filled_centres)
    for a, b in zip(alone, filled, strict=True):
        assert torch.allclose(a, b[:, :40], atol=1e-4)


@torch.no_grad()
def test_descriptors_have_unit_length(backbone):
    descriptors = backbone(*example(np.random.default_rng(4), 1, 300, 50))[0]
    assert torch.allclose(descriptors.norm(dim=-1), torch.ones(1, 50), atol=1e-4)
