"""Samples of the backbone's training: repeatable, with each known centre where the label says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pose_node.learning import backbone_views
from pose_node.learning.backbone_views import OBSERVED, BackboneViews, collate

pytestmark = pytest.mark.learning


@pytest.fixture(scope="module")
def views():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbone_views, "_CLUTTER", 6)
        views = BackboneViews(6, 30, seed=5)
        views.clutter  # noqa: B018  made while there is little of it
    return views


def test_a_sample_depends_on_seed_and_index_alone(views):
    first, again = views[2], views[2]
    assert all(torch.equal(getattr(first, name), getattr(again, name)) for name in vars(first))


def test_places_of_known_centres_are_the_measured_points_up_to_noise(views):
    batch = collate([views[i] for i in range(4)])
    fine = torch.gather(batch.points, 2, batch.centres.unsqueeze(-1).expand(-1, -1, -1, 3))
    # In the shape's frame, measured points and places differ by a translation (the sample's origin) and the noise.
    turned = fine @ batch.R
    apart = turned - batch.places
    for sample in range(4):
        for view in range(2 * OBSERVED):
            known = batch.known[sample, view] > 0
            if known.sum() > 20:
                spread = apart[sample, view][known]
                assert (spread - spread.median(0).values).norm(dim=-1).median() < 0.08


def test_clean_views_are_known_everywhere_and_near_a_measured_one(views):
    clouds = views[1]
    assert torch.equal(clouds.known[OBSERVED:], clouds.used[OBSERVED:])
    assert torch.equal(clouds.R[OBSERVED:], torch.eye(3).expand(OBSERVED, 3, 3))
    for k in range(OBSERVED):
        measured, clean = clouds.viewpoint[k] @ clouds.R[k], clouds.viewpoint[OBSERVED + k]
        cosine = torch.nn.functional.cosine_similarity(measured, clean, dim=0)
        assert cosine > np.cos(0.6)


def test_normals_face_the_viewpoint(views):
    clouds = views[0]
    towards = clouds.viewpoint.unsqueeze(1) - clouds.points
    near = clouds.points.norm(dim=-1) < 10
    assert ((towards * clouds.normals).sum(-1)[near] > -1e-3).all()
