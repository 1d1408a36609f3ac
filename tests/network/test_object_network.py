"""A network's hypotheses for a segment: each head alone, trimming, and refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_node.config import InferConfig
from pose_node.errors import ModelError
from pose_node.geometry.se3 import angle, apply, exp_so3, transform
from pose_node.measurement.scene import Scene
from pose_node.network.object_network import Network
from pose_node.types import Rejected, Segment

TENTH_DEG = np.deg2rad(0.1)


def rotation(rng, largest=np.pi):
    axis = rng.normal(size=3)
    return exp_so3(axis / np.linalg.norm(axis) * rng.uniform(0.0, largest))


def apart(A, B):
    """Angle between rotations in radians."""
    return angle(np.swapaxes(A, -1, -2) @ B)


def network_for(block, **changes):
    return Network(block.card, InferConfig(provider="cpu", **changes))


def propose(network, cloud, segment):
    return network.propose(segment, Scene(cloud, {network.card.name: network.card}))


def segment_of(cloud, mask, source="mask"):
    return Segment(np.flatnonzero(mask.ravel()[cloud.source_index]), source, "block")


@pytest.mark.parametrize("source", ["coordinates", "votes", "rotation"])
def test_each_head_alone_gives_the_pose(block, pose, source):
    cloud, mask = block.see(pose)
    network = network_for(block)
    network.run = block.oracle(pose)
    found = [h for h in propose(network, cloud, segment_of(cloud, mask)) if h.source == source]
    assert found, f"no hypothesis from {source}"
    best = found[0].T_camera_object
    assert apart(best[:3, :3], pose[:3, :3]) < TENTH_DEG
    assert np.linalg.norm(best[:3, 3] - pose[:3, 3]) < 0.001 * block.card.diameter_m


def test_hypotheses_move_with_the_cloud(block, pose):
    cloud, mask = block.see(pose)
    network, segment = network_for(block), segment_of(cloud, mask)
    network.run = block.oracle(pose, noise=0.05)
    still = propose(network, cloud, segment)
    T = transform(exp_so3(np.array([1.0, 2.0, -0.5])), np.array([0.3, -1.0, 2.0]))
    moved_cloud = replace(cloud, points_m=apply(T, cloud.points_m), viewpoint_m=T[:3, 3], K=None)
    network.run = block.oracle(T @ pose, noise=0.05)
    moved = propose(network, moved_cloud, segment)
    for source in ("coordinates", "votes"):
        before = [h for h in still if h.source == source]
        after = [h for h in moved if h.source == source]
        assert len(before) == len(after)
        for a, b in zip(before, after):
            np.testing.assert_allclose(b.T_camera_object, T @ a.T_camera_object, atol=1e-5)
    first = [next(h for h in found if h.source == "rotation").T_camera_object for found in (still, moved)]
    assert apart((T @ first[0])[:3, :3], first[1][:3, :3]) < TENTH_DEG


def test_the_number_of_hypotheses_is_limited(block, pose):
    cloud, mask = block.see(pose)
    network = network_for(block, max_hypotheses=5)
    network.run = block.oracle(pose, noise=0.3)
    assert len(propose(network, cloud, segment_of(cloud, mask))) == 5


def test_too_few_points_are_refused_with_the_numbers(block, pose):
    cloud, _ = block.see(pose)
    network = network_for(block)
    refused = propose(network, cloud, Segment(np.arange(59), "mask", "block"))
    assert isinstance(refused, Rejected)
    assert refused.code == "too_few_points"
    assert "59" in refused.reason and "60" in refused.reason


def test_a_box_without_votes_is_refused_but_a_mask_is_trusted(block, pose):
    cloud, mask = block.see(pose)
    network, oracle = network_for(block), block.oracle(pose)
    network.run = lambda prepared: {**oracle(prepared), "objectness": np.full(128, -6.0)}
    refused = propose(network, cloud, segment_of(cloud, mask, "box"))
    assert isinstance(refused, Rejected)
    assert refused.code == "no_votes"
    assert not isinstance(propose(network, cloud, segment_of(cloud, mask)), Rejected)


def test_a_box_with_background_is_trimmed_to_the_voters(block, pose):
    cloud, mask = block.see(pose)
    network, oracle = network_for(block), block.oracle(pose)

    def run(prepared):
        outputs = oracle(prepared)
        behind = prepared.centres_m()[:, 2] > 0.85  # the wall is not the object
        return {**outputs, "objectness": np.where(behind, -6.0, 6.0)}

    network.run = run
    whole = Segment(np.arange(len(cloud)), "box", None)
    hypotheses = propose(network, cloud, whole)
    narrowed = hypotheses[0].segment
    assert narrowed.source == "votes"
    on_block = mask.ravel()[cloud.source_index][narrowed.indices]
    assert on_block.mean() > 0.8
    assert on_block.sum() > 0.8 * mask.sum()
    assert apart(hypotheses[0].T_camera_object[:3, :3], pose[:3, :3]) < np.deg2rad(1.0)


@pytest.mark.parametrize(("foreign", "trimmed"), [(0.2, True), (0.7, False)])
def test_a_mask_is_trimmed_at_most_a_little(block, pose, foreign, trimmed):
    """Points that are not the object are removed, but not from a mask of which too little would remain."""
    cloud, mask = block.see(pose)
    network, oracle = network_for(block), block.oracle(pose)
    edge = np.quantile(cloud.points_m[mask.ravel()[cloud.source_index], 0], foreign)
    network.run = lambda prepared: {
        **oracle(prepared),
        "objectness": np.where(prepared.centres_m()[:, 0] < edge, -6.0, 6.0),
    }
    whole = segment_of(cloud, mask)
    kept = propose(network, cloud, whole)[0].segment
    assert kept.source == "mask"
    assert (len(kept.indices) < 0.9 * len(whole.indices)) == trimmed
    assert np.isin(kept.indices, whole.indices).all()
    assert len(kept.indices) > 0.5 * len(whole.indices)


def test_hypotheses_have_the_networks_belief(block, pose):
    cloud, mask = block.see(pose)
    network = network_for(block)
    network.run = block.oracle(pose)
    belief = propose(network, cloud, segment_of(cloud, mask))[0].belief
    turns = exp_so3(np.array([[0.0, 0.0, 0.0], [0.3, 0.0, 0.0], [0.0, 2.0, 0.0]])) @ pose[:3, :3]
    log = belief.rotation.log(turns)
    assert log[0] > log[1] > log[2]
    np.testing.assert_allclose(belief.centre_m, apply(pose, block.card.centre_m[None])[0], atol=1e-4)


def test_outputs_of_zeros_give_finite_poses(block, pose):
    cloud, mask = block.see(pose)
    for h in propose(network_for(block), cloud, segment_of(cloud, mask)):
        assert np.isfinite(h.T_camera_object).all()


def test_a_failing_session_is_a_model_error(block, pose):
    cloud, mask = block.see(pose)
    network = network_for(block)

    class Broken:
        def get_providers(self):
            return ["CPUExecutionProvider"]

        def run(self, *_):
            raise RuntimeError("out of memory")

    network.session = Broken()
    with pytest.raises(ModelError, match=r"^block: .*out of memory"):
        propose(network, cloud, segment_of(cloud, mask))
