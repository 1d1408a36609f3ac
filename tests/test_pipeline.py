"""The chain as a whole: a block seen by a perfect camera and a noisy oracle, and real frames where networks are shipped."""

from __future__ import annotations

import gc
import shutil
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pose_node.config import InferConfig, JudgeConfig, PipelineConfig
from pose_node.errors import CardError, ConfigError, InputError
from pose_node.geometry.se3 import angle, apply, exp_so3, rotate_covariance, transform
from pose_node.geometry.symmetry import nearest_symmetric
from pose_node.measurement.cloud import Cloud
from pose_node.objects.card import load_card
from pose_node.pipeline import Pipeline
from pose_node.ros.demo import recording
from pose_node.types import Hypothesis, Segment

MODELS = Path(__file__).resolve().parents[1] / "models"
SHIPPED = sorted(path.parent.name for path in MODELS.glob("*/bank.npz"))
STAGES = {"segment", "infer", "shortlist", "refine", "decide"}
TENTH_DEG = np.deg2rad(0.1)


def pipeline_for(block, pose, noise=0.05, config=None):
    pipeline = Pipeline.load([block.card.folder], config)
    pipeline.networks["block"].backbone.run = block.oracle(pose, noise)
    return pipeline


def bare(cloud, image_mask):
    """The cloud without its image, and the mask over its rows."""
    return Cloud.from_points(cloud.points_m, cloud.viewpoint_m), image_mask.ravel()[cloud.source_index]


def motions(count):
    rng = np.random.default_rng(count)
    return [transform(exp_so3(rng.normal(size=3)), rng.uniform(-1.0, 1.0, 3)) for _ in range(count)]


def assert_same_bytes(a, b):
    assert a.object_name == b.object_name
    assert a.T_camera_object.tobytes() == b.T_camera_object.tobytes()
    assert a.score == b.score
    assert a.covariance.tobytes() == b.covariance.tobytes()
    assert [(T.tobytes(), w) for T, w in a.alternatives] == [(T.tobytes(), w) for T, w in b.alternatives]


def assert_moved(moved, still, M, diameter_m):
    wanted = M @ still.T_camera_object
    assert angle(wanted[:3, :3].T @ moved.T_camera_object[:3, :3]) < TENTH_DEG
    assert np.linalg.norm(wanted[:3, 3] - moved.T_camera_object[:3, 3]) < 1e-3 * diameter_m
    assert moved.score == pytest.approx(still.score, abs=0.01)
    turned = rotate_covariance(M[:3, :3], still.covariance)
    assert np.abs(turned - moved.covariance).max() < 0.02 * np.abs(turned).max()


# ------------------------------------------------------------------------------------------------------------ the block


def test_the_block_is_found_to_a_hundredth_of_a_millimetre_when_nothing_is_noisy(block, pose):
    cloud, mask = block.see(pose)
    result = pipeline_for(block, pose, noise=0.1).estimate(cloud, {"block": [mask]})
    (estimate,) = result.estimates
    assert not result.rejected
    assert estimate.object_name == "block"
    assert angle(estimate.T_camera_object[:3, :3].T @ pose[:3, :3]) < TENTH_DEG
    assert np.linalg.norm(estimate.T_camera_object[:3, 3] - pose[:3, 3]) < 1e-4
    assert 0.9 < estimate.score <= 1.0
    np.testing.assert_allclose(estimate.covariance, estimate.covariance.T, atol=1e-12)
    assert np.linalg.eigvalsh(estimate.covariance).min() > 0
    assert set(result.stage_s) == STAGES
    assert len(result.segments) == 1
    assert result.hypotheses
    assert result.refined


def test_the_block_is_found_without_a_mask(block, pose):
    cloud, mask = block.see(pose)
    estimates = pipeline_for(block, pose).estimate(cloud).estimates
    assert estimates, "a block before a wall is a cluster"
    assert angle(estimates[0].T_camera_object[:3, :3].T @ pose[:3, :3]) < TENTH_DEG
    assert mask.ravel()[cloud.source_index][estimates[0].segment.indices].mean() > 0.9


def test_nothing_is_kept_between_calls(block, pose):
    cloud, mask = block.see(pose)
    pipeline = pipeline_for(block, pose)
    first = pipeline.estimate(cloud, {"block": [mask]})
    pipeline.estimate(cloud)
    pipeline.estimate(Cloud.from_points(np.zeros((0, 3))))
    again = pipeline.estimate(cloud, {"block": [mask]})
    assert_same_bytes(first.estimates[0], again.estimates[0])


@pytest.mark.parametrize("masked", [True, False])
def test_the_order_of_the_points_does_not_matter_to_the_last_bit(block, pose, masked):
    cloud, mask = bare(*block.see(pose))
    pipeline = pipeline_for(block, pose)
    (first,) = pipeline.estimate(cloud, {"block": [mask]} if masked else None).estimates
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(cloud))
        shuffled = Cloud.from_points(cloud.points_m[order])
        (again,) = pipeline.estimate(shuffled, {"block": [mask[order]]} if masked else None).estimates
        assert_same_bytes(first, again)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("organised", [True, False])
def test_a_motion_of_points_and_viewpoint_moves_the_pose(block, pose, organised, masked):
    cloud, mask = block.see(pose)
    if not organised:
        cloud, mask = bare(cloud, mask)
    masks = {"block": [mask]} if masked else None
    (still,) = pipeline_for(block, pose).estimate(cloud, masks).estimates
    for M in motions(3):
        moved_cloud = replace(cloud, points_m=apply(M, cloud.points_m), viewpoint_m=M[:3, 3], K=None)
        (moved,) = pipeline_for(block, M @ pose).estimate(moved_cloud, masks).estimates
        assert_moved(moved, still, M, block.card.diameter_m)


def test_an_expected_pose_helps_where_the_network_fails(block, pose):
    cloud, mask = block.see(pose)
    pipeline = Pipeline.load([block.card.folder])  # this network answers zeros
    segment = Segment(np.flatnonzero(mask.ravel()[cloud.source_index]), "mask", "block")
    near = transform(exp_so3(np.array([0.05, -0.08, 0.04])), np.array([0.004, -0.003, 0.005])) @ pose
    result = pipeline.estimate(cloud, {"block": [mask]}, expected=[Hypothesis("block", near, segment, "expected")])
    assert result.hypotheses[0].source == "expected"
    assert any(angle(e.T_camera_object[:3, :3].T @ pose[:3, :3]) < TENTH_DEG for e in result.estimates)


def test_a_wrong_expected_pose_does_no_harm(block, pose):
    cloud, mask = block.see(pose)
    pipeline = pipeline_for(block, pose)
    segment = Segment(np.flatnonzero(mask.ravel()[cloud.source_index]), "mask", "block")
    upside_down = pose @ transform(exp_so3(np.array([np.pi, 0.0, 0.0])), np.zeros(3))
    result = pipeline.estimate(
        cloud, {"block": [mask]}, expected=[Hypothesis("block", upside_down, segment, "expected")]
    )
    assert angle(result.estimates[0].T_camera_object[:3, :3].T @ pose[:3, :3]) < TENTH_DEG


# -------------------------------------------------------------------------------------------------- nothing to be found


def refused(result):
    """The codes of a result without estimates; each refusal has a reason."""
    assert result.estimates == ()
    for r in result.rejected:
        assert r.code
        assert r.reason.endswith(".")
        assert "\n" not in r.reason
    return {r.code for r in result.rejected}


@pytest.mark.parametrize("count", [0, 1, 5, 40])
def test_a_cloud_of_too_few_points_is_refused(block, pose, count):
    cloud = Cloud.from_points(np.random.default_rng(0).normal(size=(count, 3)) * 0.01 + (0.0, 0.0, 0.6))
    pipeline = pipeline_for(block, pose)
    refused(pipeline.estimate(cloud))
    assert refused(pipeline.estimate(cloud, {"block": [np.ones(count, bool)]})) == {"too_few_points"}


def test_masks_of_too_few_pixels_are_refused(block, pose):
    cloud, mask = block.see(pose)
    few = np.zeros_like(mask)
    few[58:64, 78:85] = True
    result = pipeline_for(block, pose).estimate(cloud, {"block": [np.zeros_like(mask), few]})
    assert refused(result) == {"too_few_points"}
    assert len(result.rejected) == 2


def test_a_depth_image_without_readings_is_refused(block, pose):
    cloud = Cloud.from_depth(np.zeros((48, 64), np.float32), np.array([[60.0, 0, 32], [0, 60, 24], [0, 0, 1]]))
    refused(pipeline_for(block, pose).estimate(cloud))


def test_a_wall_alone_is_refused(block, pose):
    cloud, mask = block.see(pose)
    wall = Cloud.from_depth(np.full(mask.shape, 0.9), cloud.K)
    pipeline = pipeline_for(block, pose, noise=0.3)
    assert refused(pipeline.estimate(wall))
    # A mask is trusted, and a face of the block may lie in the plane of a wall: possible, but poorly explained.
    assert all(e.score < 0.65 for e in pipeline.estimate(wall, {"block": [mask]}).estimates)


def test_masks_of_other_objects_are_no_request(block, pose):
    cloud, mask = block.see(pose)
    result = pipeline_for(block, pose).estimate(cloud, {"block": [mask]}, objects=[])
    assert [r.reason for r in result.rejected] == ["no mask matches the requested objects."]
    assert refused(result) == {"not_wanted"} and not result.stage_s


def test_estimates_below_the_least_score_are_refused(block, pose):
    cloud, mask = block.see(pose)
    strict = PipelineConfig(judge=JudgeConfig(min_score=1.0))
    result = pipeline_for(block, pose, config=strict).estimate(cloud, {"block": [mask]})
    assert refused(result) == {"low_score"}
    assert result.rejected[0].score > 0.9


# ----------------------------------------------------------------------------------------------------- what is refused


def test_a_mask_of_an_unknown_object_is_an_error(block, pose):
    cloud, mask = block.see(pose)
    with pytest.raises(InputError, match=r"found object 'blok', expected one of block"):
        pipeline_for(block, pose).estimate(cloud, {"blok": [mask]})


def test_a_mask_of_another_shape_is_an_error(block, pose):
    cloud, mask = block.see(pose)
    with pytest.raises(InputError, match="expected"):
        pipeline_for(block, pose).estimate(cloud, {"block": [mask[:, :-1]]})


def test_loading_no_object_or_one_twice_is_an_error(block):
    with pytest.raises(InputError, match="at least one"):
        Pipeline.load([])
    with pytest.raises(InputError, match="each named once"):
        Pipeline.load([block.card.folder, block.card.folder])


def test_missing_files_are_errors(block, tmp_path):
    with pytest.raises(CardError):
        Pipeline.load([tmp_path / "nothing"])
    with pytest.raises(ConfigError):
        Pipeline.load([block.card.folder], tmp_path / "nothing.yaml")
    copy = tmp_path / "block"
    shutil.copytree(block.card.folder, copy)
    shutil.copytree(block.card.folder.parent / "backbone", tmp_path / "backbone")
    (copy / "bank.npz").unlink()
    with pytest.raises(CardError, match=r"no bank\.npz.*pose_node add-object"):
        Pipeline.load([copy])


@pytest.fixture
def two(block, tmp_path):
    """A models folder with the block and a copy of it under another name."""
    for name in ("block", "copy"):
        shutil.copytree(block.card.folder, tmp_path / name)
    shutil.copytree(block.card.folder.parent / "backbone", tmp_path / "backbone")
    card = tmp_path / "copy" / "card.yaml"
    card.write_text(card.read_text().replace("name: block", "name: copy"))
    return tmp_path


def test_other_objects_share_what_has_not_changed(two):
    one = Pipeline.load([two / "block"], PipelineConfig(infer=InferConfig(min_points=100)))
    both = one.with_objects([two / "copy", two / "block"])
    assert list(both.cards) == ["copy", "block"] and list(one.cards) == ["block"]
    assert both.networks["block"] is one.networks["block"] and both.refiners["block"] is one.refiners["block"]
    assert both.config == one.config
    with (two / "block" / "card.yaml").open("a") as card:
        card.write("# measured again\n")
    changed = both.with_objects([two / "copy", two / "block"])
    assert changed.cards["copy"] is both.cards["copy"]
    assert changed.cards["block"] is not both.cards["block"]
    assert changed.refiners["block"].card is changed.cards["block"]
    assert list(changed.with_objects([two / "copy"]).cards) == ["copy"]


def test_objects_that_cannot_be_loaded_change_nothing(two, block, pose):
    (two / "copy" / "surface.npz").write_bytes(b"")
    pipeline = Pipeline.load([two / "block"])
    pipeline.networks["block"].backbone.run = block.oracle(pose, 0.02)
    with pytest.raises(CardError, match=r"copy/surface\.npz"):
        pipeline.with_objects([two / "block", two / "copy"])
    with pytest.raises(InputError, match="at least one"):
        pipeline.with_objects([])
    with pytest.raises(InputError, match="each named once"):
        pipeline.with_objects([two / "block", two / "block"])
    cloud, mask = block.see(pose)
    assert pipeline.estimate(cloud, {"block": [mask]}).estimates


def test_a_folder_that_changes_while_it_is_read_is_refused(two, monkeypatch):
    pipeline = Pipeline.load([two / "block"])
    load = Pipeline._loaded

    def slowly(folders, config, backbone):
        loaded = load(folders, config, backbone)
        (two / "copy" / "mesh.ply").write_bytes(b"another")
        return loaded

    monkeypatch.setattr(Pipeline, "_loaded", slowly)
    with pytest.raises(CardError, match="copy: changed while it was read"):
        pipeline.with_objects([two / "block", two / "copy"])


def test_settings_may_be_a_file(block, tmp_path):
    (tmp_path / "pose.yaml").write_text("infer: {min_points: 100}\n")
    pipeline = Pipeline.load([str(block.card.folder)], str(tmp_path / "pose.yaml"))
    assert pipeline.config == PipelineConfig(infer=InferConfig(min_points=100))
    assert list(pipeline.cards) == ["block"]
    assert pipeline.provider == "CPUExecutionProvider"


# --------------------------------------------------------------------------------- shipped networks on recorded frames

recorded = pytest.mark.skipif(not SHIPPED, reason="no object is shipped in models/ (no bank.npz)")
SCENES = {
    "mustard_bottle": "000002",
    "potted_meat_can": "000002",
    "banana": "000002",
    "gelatin_box": "000000",
    "mug": "000000",
}
AMBIGUOUS = {"mug"}  # its handle is hidden in its scene, so its turn is unobservable


@pytest.fixture(scope="module")
def shipped():
    """Pipelines by object, loaded once."""
    loaded: dict[str, Pipeline] = {}

    def load(name):
        if name not in loaded:
            loaded[name] = Pipeline.load([MODELS / name])
        return loaded[name]

    return load


def frame_of(name, number):
    """Cloud, mask and true pose of the object in a recorded frame."""
    pytest.importorskip("PIL", reason="the demo's frames are PNG")
    from pose_node.ros.demo import recording

    frame = recording.read(SCENES[name])[number]
    bop_id = load_card(MODELS / name).bop_id
    ((label, T),) = [(i, T) for i, (found, T) in enumerate(frame.labels) if found == bop_id]
    return Cloud.from_depth(frame.depth_m, frame.K), frame.mask(label), T


def mean_miss(card, T, truth):
    """Mean distance of the surface points from their true positions, up to symmetry, in diameters."""
    near = nearest_symmetric(T, truth, card.symmetry)
    points = card.surface.points_m[:1000]
    return np.linalg.norm(apply(T, points) - apply(near, points), axis=1).mean() / card.diameter_m


@recorded
@pytest.mark.parametrize("number", [0, 2, 4])
@pytest.mark.parametrize("name", [name for name in SCENES if name in SHIPPED and name not in AMBIGUOUS])
def test_a_shipped_network_finds_its_object_in_a_real_frame(shipped, name, number):
    cloud, mask, truth = frame_of(name, number)
    pipeline = shipped(name)
    result = pipeline.estimate(cloud, {name: [mask]})
    assert result.estimates, [r.reason for r in result.rejected]
    assert mean_miss(pipeline.cards[name], result.estimates[0].T_camera_object, truth) < 0.1


@recorded
@pytest.mark.parametrize("name", [name for name in SCENES if name in SHIPPED])
def test_a_shipped_network_keeps_both_symmetries_on_a_real_frame(shipped, name):
    cloud, mask, _ = frame_of(name, 0)
    cloud, mask = bare(cloud, mask)
    around = np.linalg.norm(cloud.points_m - cloud.points_m[mask].mean(axis=0), axis=1) < 0.3
    points, mask = cloud.points_m[around], mask[around]
    pipeline = shipped(name)
    (first, *_) = pipeline.estimate(Cloud.from_points(points), {name: [mask]}).estimates
    order = np.random.default_rng(0).permutation(len(points))
    (again, *_) = pipeline.estimate(Cloud.from_points(points[order]), {name: [mask[order]]}).estimates
    assert_same_bytes(first, again)
    for M in motions(2):
        (moved, *_) = pipeline.estimate(Cloud.from_points(apply(M, points), M[:3, 3]), {name: [mask]}).estimates
        assert_moved(moved, first, M, pipeline.cards[name].diameter_m)


@recorded
@pytest.mark.parametrize("margin_m", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("name", ["mustard_bottle", "banana", "gelatin_box"])
def test_a_shipped_network_finds_its_object_in_a_cut_out_bare_cloud(shipped, name, margin_m):
    cloud, mask, truth = frame_of(name, 1)
    cloud, mask = bare(cloud, mask)
    low, high = cloud.points_m[mask].min(axis=0) - margin_m, cloud.points_m[mask].max(axis=0) + margin_m
    inside = mask | ((cloud.points_m > low) & (cloud.points_m < high)).all(axis=1) & (margin_m > 0.0)
    pipeline = shipped(name)
    points = cloud.points_m[inside]
    result = pipeline.estimate(Cloud.from_points(points))
    assert result.estimates, [r.reason for r in result.rejected]
    assert mean_miss(pipeline.cards[name], result.estimates[0].T_camera_object, truth) < 0.1
    if margin_m == 0.0:
        order, (M,) = np.random.default_rng(0).permutation(len(points)), motions(1)
        assert_same_bytes(pipeline.estimate(Cloud.from_points(points[order])).estimates[0], result.estimates[0])
        moved = pipeline.estimate(Cloud.from_points(apply(M, points), M[:3, 3])).estimates[0]
        assert_moved(moved, result.estimates[0], M, pipeline.cards[name].diameter_m)


@recorded
@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_network_does_not_see_its_object_in_a_bare_wall(shipped, name):
    rng = np.random.default_rng(0)
    depth = 0.9 + 0.002 * rng.normal(size=(120, 160))
    wall = Cloud.from_depth(depth, np.array([[280.0, 0.0, 79.5], [0.0, 280.0, 59.5], [0.0, 0.0, 1.0]]))
    assert refused(shipped(name).estimate(wall)), "with a reason"


def test_a_deleted_pipeline_frees_its_objects(block, pose):
    """A node that is configured again and again must not accumulate objects."""
    cloud, _ = block.see(pose)
    pipeline = pipeline_for(block, pose)
    pipeline.estimate(cloud)
    card = weakref.ref(pipeline.cards["block"])
    del pipeline
    gc.collect()
    assert card() is None


@pytest.mark.parametrize(("scene", "name"), [("000000", "gelatin_box"), ("000002", "mustard_bottle")])
def test_one_percent_of_infinities_moves_no_object(scene, name):
    """Infinities are no readings; the holes that they leave move a pose by less than the sensor's noise."""
    if name not in SHIPPED:
        pytest.skip(f"models/{name} has no bank.npz")
    pipeline = Pipeline.load([MODELS / name])
    card = pipeline.cards[name]
    frame = recording.read(scene)[0]
    mask = frame.mask([number for number, _ in frame.labels].index(card.bop_id))
    centres = []
    for seed in range(4):
        depth_m = frame.depth_m.copy()
        depth_m[np.random.default_rng(seed).random(depth_m.shape) < 0.01 * (seed > 0)] = np.inf
        (found,) = pipeline.estimate(Cloud.from_depth(depth_m, frame.K), masks={name: [mask]}).estimates
        centres.append(apply(found.T_camera_object, card.centre_m[None])[0])
    assert np.linalg.norm(np.subtract(centres, centres[0]), axis=1).max() < 0.002
