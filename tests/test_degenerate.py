"""Points that form no surface: with or without masks, the result is a refusal with a reason, never an exception."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pose_node.errors import InputError
from pose_node.geometry.se3 import exp_so3, transform
from pose_node.measurement.cloud import Cloud
from pose_node.pipeline import Pipeline
from pose_node.tracking.follow import Follower
from pose_node.types import Estimate

AXES = [(0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.3, -0.2, 0.9), (-0.6, 0.5, -0.4)]
SHAPES = (
    "ray",
    "point",
    "row",
    "line",
    "edge-on plane",
    "facing plane",
    "two points",
    "blob",
    "ball around",
    "opposite",
)


@pytest.fixture(scope="module")
def pipeline(block):
    loaded = Pipeline.load([block.card.folder])
    loaded.networks["block"].backbone.run = block.oracle(transform(np.eye(3), np.array([0.0, 0.0, 0.6])), 0.05)
    return loaded


def shaped(shape, count, direction, range_m, jitter_m, seed):
    """Points [N, 3] about a viewpoint at the origin."""
    rng = np.random.default_rng(seed)
    ahead = np.array(direction) / np.linalg.norm(direction)
    aside = np.cross(ahead, np.eye(3)[np.abs(ahead).argmin()])
    aside /= np.linalg.norm(aside)
    up = np.cross(ahead, aside)
    along, across = np.linspace(-0.1, 0.1, count)[:, None], rng.uniform(-0.1, 0.1, (count, 1))
    points = {
        "ray": ahead * (1.0 + along),
        "point": np.tile(ahead, (count, 1)),
        "row": ahead + along * aside,
        "line": ahead + along * (aside + ahead),
        "edge-on plane": ahead * (1.0 + across) + along * aside,
        "facing plane": ahead + across * up + along * aside,
        "two points": np.concatenate([np.tile(ahead + 0.1 * aside, (count, 1)), np.tile(ahead, (count, 1))]),
        "blob": ahead + 0.05 * rng.normal(size=(count, 3)),
        "ball around": rng.normal(size=(count, 3)),
        "opposite": np.concatenate([np.tile(ahead, (count, 1)), np.tile(-ahead, (count, 1))]),
    }[shape]
    return points * range_m + jitter_m * rng.normal(size=points.shape)


def assert_finite_or_reasoned(outcomes):
    for outcome in outcomes:
        if isinstance(outcome, Estimate):
            assert np.isfinite(outcome.T_camera_object).all() and np.isfinite(outcome.covariance).all()
            assert 0.0 <= outcome.score <= 1.0
        else:
            assert outcome.code and outcome.reason.endswith(".") and "nan" not in outcome.reason


@given(
    st.sampled_from(SHAPES),
    st.sampled_from([30, 31, 60, 61, 300]),
    st.sampled_from(AXES),
    st.sampled_from([0.6, 0.6, 0.6, 1e-310, 1e-200, 1e-9, 0.05, 60.0]),
    st.sampled_from([0.0, 0.0, 1e-15, 1e-6, 1e-3]),
    st.sampled_from([None, None, np.inf, np.nan, 1e9, 1e160]),
    st.sampled_from([(0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (3.0, -2.0, 1.0)]),
    st.integers(0, 100),
)
@settings(max_examples=50, phases=[Phase.generate])  # shrinking a slow failure takes minutes
def test_points_without_a_surface_are_refused_with_a_reason(
    pipeline, shape, count, direction, range_m, jitter_m, wild, viewpoint, seed
):
    points = shaped(shape, count, direction, range_m, jitter_m, seed)
    if wild is not None:
        points = np.concatenate([points, [[wild, 0.0, 0.0], [0.3, wild, -wild]]])
    with warnings.catch_warnings(), np.errstate(divide="raise", invalid="raise", over="raise"):
        warnings.simplefilter("error")
        try:
            cloud = Cloud.from_points(points + viewpoint, viewpoint)
        except InputError as error:  # only invalid points remain
            assert error.code == "not_metres"
            return
        everything = {"block": [np.ones(cloud.shape, bool)]}
        for arguments in ({"masks": everything}, {"boxes": everything}, {}):
            result = pipeline.estimate(cloud, **arguments)
            assert result.estimates or result.rejected
            assert_finite_or_reasoned((*result.estimates, *result.rejected))
        if len(cloud):
            T = transform(exp_so3(np.array([0.3, 1.0, -0.4])), cloud.points_m[0])
            follower = Follower(pipeline.refiners, pipeline.likelihoods, pipeline.config)
            rows = np.arange(len(cloud))
            assert_finite_or_reasoned(
                follower.follow("block", cloud, T, 1e-4 * np.eye(6), moving, mask)
                for moving, mask in ((False, None), (True, None), (False, rows))
            )


@pytest.mark.parametrize("key", ["masks", "boxes"])
@pytest.mark.parametrize("shape", ["ray", "point", "row", "two points"])
def test_points_along_one_ray_or_row_are_refused_as_no_surface(pipeline, key, shape):
    cloud = Cloud.from_points(shaped(shape, 200, AXES[0], 0.6, 0.0, 0))
    refused, *_ = pipeline.estimate(cloud, **{key: {"block": [np.ones(cloud.shape, bool)]}}).rejected
    assert refused.code == "no_surface"
    assert refused.reason.endswith("points along one ray or one row of rays, expected a surface.")


def test_a_row_of_pixels_is_no_surface(block, pipeline, pose):
    cloud, mask = block.see(pose, finer=2.0)
    row = int(np.nonzero(mask)[0].mean())
    thin = np.zeros_like(mask)
    thin[row] = mask[row]
    assert pipeline.estimate(cloud, {"block": [thin]}).rejected[0].code == "no_surface"
    thin[row + 1] = mask[row + 1]
    assert pipeline.estimate(cloud, {"block": [thin]}).rejected[0].code != "no_surface"
