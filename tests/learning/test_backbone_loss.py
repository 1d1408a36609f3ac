"""The backbone's loss: a few steps on one batch find more places again, and perfect outputs cost little."""

from __future__ import annotations

import pytest
import torch

from pose_node.learning import backbone_views
from pose_node.learning.backbone_loss import (
    Described,
    describe,
    figures,
    losses,
    new_backbone,
    total,
    wrong_rotations,
)
from pose_node.learning.backbone_views import BackboneViews, collate
from pose_node.learning.memory import keep_freed_memory

pytestmark = pytest.mark.learning


@pytest.fixture(scope="module")
def batch():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbone_views, "_CLUTTER", 6)
        views = BackboneViews(3, 30, seed=1)
        return collate([views[i] for i in range(3)])


def test_learning_one_batch_lowers_every_part(batch):
    keep_freed_memory()
    backbone, wrong = new_backbone(0), wrong_rotations()
    optimizer = torch.optim.AdamW(backbone.parameters(), lr=3e-3)
    first = losses(describe(backbone, batch, backbone.log_temperature), batch, wrong)
    for _ in range(5):
        parts = losses(describe(backbone, batch, backbone.log_temperature), batch, wrong)
        optimizer.zero_grad()
        total(parts).backward()
        optimizer.step()
    assert all(parts[name] < first[name] for name in first)


def test_outputs_that_state_the_place_and_the_frame_are_right(batch):
    # A descriptor that is a smooth code of the place, and the shape's axes as vectors.
    waves = torch.randn(16, 3, generator=torch.Generator().manual_seed(0)) * 12.0
    phase = batch.places @ waves.T
    descriptors = torch.cat([phase.cos(), phase.sin()], dim=-1) / 4.0
    axes = torch.cat([torch.eye(3), torch.zeros(5, 3)]) * 40.0
    vectors = (
        (batch.R.unsqueeze(2) @ axes.T).transpose(-1, -2).unsqueeze(2)[:, :, 0].expand(*descriptors.shape[:3], 8, 3)
    )
    found = Described(descriptors, vectors, torch.zeros(descriptors.shape[:3]), torch.tensor(0.05))
    parts, right = losses(found, batch, wrong_rotations()), figures(found, batch)
    assert right["match_right"] > 0.95
    assert right["turn_deg"] < 0.1
    assert parts["turn"] < 0.1


def test_wrong_rotations_are_not_the_identity():
    wrong = wrong_rotations().reshape(-1, 3, 3)
    assert len(wrong) == 256
    assert (wrong.diagonal(dim1=1, dim2=2).sum(-1) < 2.99).all()
