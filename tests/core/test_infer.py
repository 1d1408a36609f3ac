"""From outputs to poses: right on known votes, robust to wrong ones, turning with the cloud; and what is refused at loading."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_node.card import Axis, Symmetry
from pose_node.config import InferConfig
from pose_node.errors import ModelError
from pose_node.harmonics import rotation_basis
from pose_node.infer import (
    Network,
    ascend,
    consensus,
    densest,
    frames_to_rotations,
    open_session,
    providers,
    weighted_centre,
)
from pose_node.scene import Scene
from pose_node.se3 import angle, apply, exp_so3, transform
from pose_node.symmetry import rotation_grid
from pose_node.types import Rejected, Segment

seeds = st.integers(0, 2**31)
TENTH_DEG = np.deg2rad(0.1)
ASYMMETRIC = SimpleNamespace(symmetry=Symmetry(np.eye(4)[None]))
HALF_TURN = transform(exp_so3(np.array([0.0, 0.0, np.pi])), np.zeros(3))


def rotation(rng, largest=np.pi):
    axis = rng.normal(size=3)
    return exp_so3(axis / np.linalg.norm(axis) * rng.uniform(0.0, largest))


def apart(A, B):
    """Angle between rotations in radians."""
    return angle(np.swapaxes(A, -1, -2) @ B)


def correspondences(rng, count=128, wrong=0.0, noise=0.0, turn_noise=0.0):
    """A pose, and what each point says of it: (R, t, seen, known, frames); the first ``wrong`` share is nonsense."""
    R, t = rotation(rng), rng.uniform(-0.3, 0.3, 3)
    known = rng.uniform(-0.4, 0.4, (count, 3))
    seen = known @ R.T + t + noise * rng.normal(size=known.shape)
    frames = exp_so3(turn_noise * rng.normal(size=(count, 3))) @ R
    bad = int(wrong * count)
    known[:bad] = rng.uniform(-0.4, 0.4, (bad, 3))
    frames[:bad] = exp_so3(rng.normal(size=(bad, 3)) * 2.0)
    return R, t, seen, known, frames


# ------------------------------------------------------------------------------------------------- frames and centres


@given(seeds)
def test_axes_of_any_length_and_with_a_skew_become_rotations(seed):
    rng = np.random.default_rng(seed)
    R = rotation_grid(20)
    axes = np.swapaxes(R, -1, -2)[:, :2]
    np.testing.assert_allclose(frames_to_rotations(axes), R, atol=1e-12)
    np.testing.assert_allclose(frames_to_rotations(3.0 * axes), R, atol=1e-12)
    skewed = frames_to_rotations(axes + 0.2 * rng.normal(size=axes.shape))
    np.testing.assert_allclose(skewed @ np.swapaxes(skewed, -1, -2), np.tile(np.eye(3), (20, 1, 1)), atol=1e-12)
    assert (np.linalg.det(skewed) > 0).all()


@given(seeds)
def test_frames_turn_with_the_cloud(seed):
    rng = np.random.default_rng(seed)
    axes, R = rng.normal(size=(30, 2, 3)), rotation(rng)
    np.testing.assert_allclose(frames_to_rotations(axes @ R.T), R @ frames_to_rotations(axes), atol=1e-7)


@given(seeds)
def test_the_centre_withstands_wrong_votes_and_moves_with_the_cloud(seed):
    rng = np.random.default_rng(seed)
    votes = 0.02 * rng.normal(size=(100, 3))
    votes[:40] += rng.uniform(0.2, 0.6, (40, 3))  # all to one side: the mean would be off by 0.28
    weight = rng.uniform(0.5, 1.0, 100)
    centre = weighted_centre(votes, weight)
    assert np.linalg.norm(centre) < 0.06
    T = transform(rotation(rng), rng.normal(size=3))
    np.testing.assert_allclose(weighted_centre(apply(T, votes), weight), apply(T, centre[None])[0], atol=1e-9)


def test_the_centre_of_no_votes_is_finite():
    assert np.isfinite(weighted_centre(np.ones((10, 3)), np.zeros(10))).all()


# ----------------------------------------------------------------------------------------------------------- consensus


@given(seeds)
@settings(max_examples=25)
def test_a_pose_is_found_among_forty_percent_of_nonsense(seed):
    R, t, seen, known, frames = correspondences(np.random.default_rng(seed), 128, 0.4, 0.01, 0.15)
    found_R, found_t, support = consensus(seen, known, frames, np.full(128, 1.0 / 128))[0]
    assert apart(found_R, R) < np.deg2rad(1.5)
    assert np.linalg.norm(found_t - t) < 0.01
    assert 0.5 < support < 0.7, "the share that agrees"


@given(seeds)
@settings(max_examples=25)
def test_exact_correspondences_give_the_exact_pose(seed):
    R, t, seen, known, frames = correspondences(np.random.default_rng(seed), 60)
    for found_R, found_t, support in consensus(seen, known, frames, np.full(60, 1.0 / 60))[:2]:
        np.testing.assert_allclose(found_R, R, atol=1e-6)
        np.testing.assert_allclose(found_t, t, atol=1e-6)
        assert support == pytest.approx(1.0)


@given(seeds)
@settings(max_examples=15)
def test_consensus_moves_with_the_cloud(seed):
    rng = np.random.default_rng(seed)
    _, _, seen, known, frames = correspondences(rng, 80, 0.4, 0.02, 0.2)
    T, weight = transform(rotation(rng), rng.normal(size=3)), np.full(80, 1.0 / 80)
    still = consensus(seen, known, frames, weight)
    moved = consensus(apply(T, seen), known, T[:3, :3] @ frames, weight)
    assert len(moved) == len(still)
    for (A, a, s), (B, b, r) in zip(still, moved):
        np.testing.assert_allclose(transform(B, b), T @ transform(A, a), atol=1e-6)
        assert s == pytest.approx(r, abs=1e-9)


def test_two_poses_that_the_points_split_over_are_both_proposed(rng):
    """Half of the points speak for each of two equal poses: a symmetric view."""
    R, _, seen, known, frames = correspondences(rng, 128, 0.0, 0.005)
    turn = exp_so3(np.array([0.0, 0.0, np.pi]))
    known[::2], frames[::2] = known[::2] @ turn.T, frames[::2] @ turn.T
    found = consensus(seen, known, frames, np.full(128, 1.0 / 128))
    for wanted in (R, R @ turn.T):
        assert min(apart(found_R, wanted) for found_R, _, _ in found[:3]) < np.deg2rad(2.0)


# --------------------------------------------------------------------------------------------------------------- votes


@given(seeds)
@settings(max_examples=20)
def test_the_densest_votes_come_first_and_turn_with_the_cloud(seed):
    rng = np.random.default_rng(seed)
    A, B = rotation(rng), None
    while B is None or apart(A, B) < 1.2:
        B = rotation(rng)
    votes = np.concatenate([exp_so3(0.08 * rng.normal(size=(60, 3))) @ A, exp_so3(0.08 * rng.normal(size=(40, 3))) @ B])
    found = densest(votes, np.ones(100), ASYMMETRIC, 5)
    assert apart(found[0][0], A) < np.deg2rad(3.0)
    assert apart(found[1][0], B) < np.deg2rad(3.0)
    assert found[0][1] > found[1][1] > 0.2
    R = rotation(rng)
    for (still, s), (moved, m) in zip(found, densest(R @ votes, np.ones(100), ASYMMETRIC, 5)):
        np.testing.assert_allclose(moved, R @ still, atol=1e-7)
        assert s == pytest.approx(m)


def test_votes_for_equal_poses_count_together(rng):
    card = SimpleNamespace(symmetry=Symmetry(np.stack([np.eye(4), HALF_TURN])))
    A = rotation(rng)
    votes = exp_so3(0.05 * rng.normal(size=(100, 3))) @ A
    votes[::2] = votes[::2] @ HALF_TURN[:3, :3]
    (R, share), *_ = densest(votes, np.ones(100), card, 3)
    assert min(apart(R, A), apart(R, A @ HALF_TURN[:3, :3])) < np.deg2rad(2.0)
    assert share > 0.9
    assert densest(votes, np.ones(100), ASYMMETRIC, 3)[0][1] < 0.55


def test_votes_about_an_axis_of_symmetry_count_together(rng):
    card = SimpleNamespace(symmetry=Symmetry(np.eye(4)[None], (Axis(np.array([0.0, 0.0, 1.0]), np.zeros(3)),)))
    A = rotation(rng)
    turns = exp_so3(rng.uniform(-np.pi, np.pi, 100)[:, None] * np.array([0.0, 0.0, 1.0]))
    R, share = densest(exp_so3(0.03 * rng.normal(size=(100, 3))) @ A @ turns, np.ones(100), card, 3)[0]
    assert np.arccos(np.clip(R[:, 2] @ A[:, 2], -1, 1)) < np.deg2rad(2.0)
    assert share > 0.9


# -------------------------------------------------------------------------------------------------------- density peaks


@given(seeds)
@settings(max_examples=15)
def test_the_grid_is_forgotten(peaked, seed):
    """Whatever grid the climb starts from, it ends at the peak."""
    rng = np.random.default_rng(seed)
    R = rotation(rng)
    coefficients = peaked(R)
    for _ in range(2):
        grid = rotation(rng) @ rotation_grid(2304)
        start = grid[np.argsort(-(rotation_basis(grid) @ coefficients))[:3]]
        assert apart(ascend(start, coefficients), R).max() < TENTH_DEG


@given(seeds)
@settings(max_examples=10)
def test_both_peaks_are_found_wherever_the_grid_stands(peaked, seed):
    rng = np.random.default_rng(seed)
    A = rotation(rng)
    B = A @ exp_so3(np.array([0.0, 2.5, 0.0]))
    coefficients = peaked(A) + 0.9 * peaked(B)
    found = []
    for _ in range(2):
        grid = rotation(rng) @ rotation_grid(2304)
        density = rotation_basis(grid) @ coefficients
        starts = [np.where(apart(grid, M) < 0.4, density, -np.inf).argmax() for M in (A, B)]
        found.append(ascend(grid[starts], coefficients))
    assert apart(found[0], found[1]).max() < TENTH_DEG
    assert apart(found[0], np.stack([A, B])).max() < np.deg2rad(5.0), "each a little displaced by the other, no more"


def test_a_flat_density_does_not_run_away():
    R = rotation_grid(10)
    climbed = ascend(R, np.zeros(165))
    assert np.isfinite(climbed).all()
    np.testing.assert_allclose(climbed @ np.swapaxes(climbed, -1, -2), np.tile(np.eye(3), (10, 1, 1)), atol=1e-9)


# -------------------------------------------------------------------------------------------------- the whole proposer


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


def test_no_more_hypotheses_than_asked_for(block, pose):
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


def test_a_box_that_nobody_votes_for_is_refused_but_a_mask_is_the_users_word(block, pose):
    cloud, mask = block.see(pose)
    network, oracle = network_for(block), block.oracle(pose)
    network.run = lambda prepared: {**oracle(prepared), "objectness": np.full(128, -6.0)}
    refused = propose(network, cloud, segment_of(cloud, mask, "box"))
    assert isinstance(refused, Rejected)
    assert refused.code == "no_votes"
    assert not isinstance(propose(network, cloud, segment_of(cloud, mask)), Rejected)


def test_a_box_with_background_is_narrowed_to_the_voters(block, pose):
    cloud, mask = block.see(pose)
    network, oracle = network_for(block), block.oracle(pose)

    def run(prepared):
        outputs = oracle(prepared)
        behind = prepared.centres_m()[:, 2] > 0.85  # the wall says that it is not the object
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
    """Points that the network takes for something else go, but a mask that it would mostly take away is left alone."""
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


def test_hypotheses_carry_the_networks_belief(block, pose):
    cloud, mask = block.see(pose)
    network = network_for(block)
    network.run = block.oracle(pose)
    belief = propose(network, cloud, segment_of(cloud, mask))[0].belief
    turns = exp_so3(np.array([[0.0, 0.0, 0.0], [0.3, 0.0, 0.0], [0.0, 2.0, 0.0]])) @ pose[:3, :3]
    log = belief.rotation.log(turns)
    assert log[0] > log[1] > log[2]
    np.testing.assert_allclose(belief.centre_m, apply(pose, block.card.centre_m[None])[0], atol=1e-4)


def test_zeros_from_a_network_do_not_break_the_proposer(block, pose):
    cloud, mask = block.see(pose)
    for h in propose(network_for(block), cloud, segment_of(cloud, mask)):
        assert np.isfinite(h.T_camera_object).all()


def test_a_session_that_fails_says_so(block, pose):
    cloud, mask = block.see(pose)
    network = network_for(block)

    class Broken:
        def run(self, *_):
            raise RuntimeError("out of memory")

    network.session = Broken()
    with pytest.raises(ModelError, match=r"^block: .*out of memory"):
        propose(network, cloud, segment_of(cloud, mask))


# ------------------------------------------------------------------------------------------------------------- loading


def refusal(card, config=None):
    """What loading says; one sentence."""
    with pytest.raises(ModelError) as caught:
        open_session(card, config or InferConfig())
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith((".", ")")), text
    return text


def test_a_card_without_a_network(block):
    assert "names no network" in refusal(replace(block.card, network=None))


def test_a_missing_file(block, tmp_path):
    assert "cannot be read" in refusal(replace(block.card, folder=tmp_path))


def test_another_file_than_the_cards(block, tmp_path):
    content = bytearray((block.card.folder / "pose.onnx").read_bytes())
    content[-1] ^= 1
    (tmp_path / "pose.onnx").write_bytes(content)
    text = refusal(replace(block.card, folder=tmp_path))
    assert "sha256" in text
    assert str(block.card.network["sha256"])[:12] in text


@pytest.mark.parametrize("content", [b"", b"not a network", b"\x08\x08\x12\x00" * 50])
def test_a_file_that_is_no_network(block, tmp_path, content):
    import hashlib

    (tmp_path / "pose.onnx").write_bytes(content)
    facts = {"file": "pose.onnx", "sha256": hashlib.sha256(content).hexdigest()}
    assert "ONNX Runtime cannot load it" in refusal(replace(block.card, folder=tmp_path, network=facts))


@pytest.mark.parametrize(
    ("change", "inputs", "word"),
    [
        (None, ("points", "normals"), "inputs"),
        (None, ("normals", "points", "viewpoint", "centres"), "inputs"),
        ({"spreads": None}, None, "outputs"),
        ({"rotation": (35,)}, None, "rotation coefficients"),
    ],
)
def test_a_network_of_another_contract(block, tmp_path, onnx_writer, change, inputs, word):
    facts = onnx_writer(tmp_path / "pose.onnx", change, inputs)
    text = refusal(replace(block.card, folder=tmp_path, network=facts))
    assert word in text
    assert "expected" in text


def with_providers(monkeypatch, *names):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(names))


def test_a_provider_that_is_not_there(block, monkeypatch):
    with_providers(monkeypatch, "CPUExecutionProvider")
    for provider, missing in (("cuda", "CUDAExecutionProvider"), ("tensorrt", "TensorrtExecutionProvider")):
        text = refusal(block.card, InferConfig(provider=provider))
        assert missing in text and "CPUExecutionProvider" in text


@pytest.mark.parametrize("provider", ["auto", "cpu"])
def test_a_required_gpu_that_is_not_there(block, monkeypatch, provider):
    with_providers(monkeypatch, "CPUExecutionProvider")
    assert "require_gpu" in refusal(block.card, InferConfig(provider=provider, require_gpu=True))


def test_the_best_provider_is_asked_for(monkeypatch):
    with_providers(monkeypatch, "CUDAExecutionProvider", "CPUExecutionProvider")
    assert providers(InferConfig())[0] == "CUDAExecutionProvider"
    assert providers(InferConfig(require_gpu=True))[0] == "CUDAExecutionProvider"
    assert list(providers(InferConfig(provider="cpu"))) == ["CPUExecutionProvider"]
    with_providers(monkeypatch, "CPUExecutionProvider")
    assert list(providers(InferConfig())) == ["CPUExecutionProvider"]


@pytest.mark.filterwarnings("ignore:Specified provider")
@pytest.mark.parametrize("config", [InferConfig(provider="cuda"), InferConfig(require_gpu=True)])
def test_a_gpu_that_is_listed_but_does_not_start(block, monkeypatch, config):
    """ONNX Runtime then falls back to the CPU without an error; who asked for the GPU must hear of it."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine's GPU might start")
    with_providers(monkeypatch, "CUDAExecutionProvider", "CPUExecutionProvider")
    assert "fell back to CPUExecutionProvider" in refusal(block.card, config)
    assert open_session(block.card, InferConfig()).get_providers() == ["CPUExecutionProvider"]


def test_cuda_is_asked_not_to_round(block, monkeypatch):
    """TF32 would leave three digits of equivariance fewer (benchmarks.providers)."""
    asked, session = {}, onnxruntime.InferenceSession

    def record(content, options, providers, provider_options):
        asked.update(zip(providers, provider_options))
        return session(content, options, providers=["CPUExecutionProvider"])

    with_providers(monkeypatch, "CUDAExecutionProvider", "CPUExecutionProvider")
    monkeypatch.setattr(onnxruntime, "InferenceSession", record)
    open_session(block.card, InferConfig())
    assert asked == {"CUDAExecutionProvider": {"use_tf32": "0"}, "CPUExecutionProvider": {}}


def test_the_network_names_its_provider(block):
    assert network_for(block).provider == "CPUExecutionProvider"
