"""Arguments of ``estimate`` and ``step``: invalid ones are refused in one sentence, and leave the tracks unchanged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_node.config import PipelineConfig
from pose_node.errors import InputError
from pose_node.geometry import se3
from pose_node.measurement.checks import checked_request
from pose_node.pipeline import Pipeline
from pose_node.types import Hypothesis, Segment

SHAPE = (120, 160)
WHOLE = np.ones(SHAPE, bool)
ARGUMENTS = ("masks", "boxes", "first step", "later step")
MASKS = [
    ({"teapot": [WHOLE]}, "unknown_object", "found object 'teapot', expected one of block"),
    ({"block": [WHOLE[:60, :80]]}, "mask_shape", r"found shape \(60, 80\) of mask 0, expected \(120, 160\)"),
    ({"block": WHOLE[:60, :80]}, "mask_shape", r"found shape \(60, 80\)"),
    ({"block": [WHOLE, np.ones((240, 320), bool)]}, "mask_shape", r"found shape \(240, 320\) of mask 1"),
    ({"block": [WHOLE.T]}, "mask_shape", r"found shape \(160, 120\)"),
    ({"block": WHOLE.ravel()}, "mask_shape", r"found shape \(\)"),
    ({"block": [WHOLE.astype(float)]}, "mask_type", "found float64 in mask 0, expected bool"),
    ({"block": None}, "mask_type", "found NoneType, expected a list of masks"),
    ({"block": "mask.png"}, "mask_type", "found str"),
    (WHOLE, "mask_type", "found ndarray, expected {object name"),
    ([WHOLE], "mask_type", "found list, expected {object name"),
]


@pytest.fixture
def pipeline(block, pose):
    """A pipeline of the block whose network predicts its pose."""
    pipeline = Pipeline.load([block.card.folder], PipelineConfig())
    pipeline.networks["block"].backbone.run = block.oracle(pose, 0.02)
    return pipeline


def frame(block, pose, seconds):
    cloud, mask = block.see(pose)
    return replace(cloud, stamp_ns=int(seconds * 1e9)), {"block": [mask]}


def tracked(pipeline, block, pose):
    cloud, masks = frame(block, pose, 1.0)
    (track,) = pipeline.step(cloud, np.eye(4), masks).tracks
    return track


@pytest.mark.parametrize("argument", ARGUMENTS)
@pytest.mark.parametrize(("masks", "code", "what"), MASKS)
def test_invalid_masks_are_refused_wherever_they_are_given(pipeline, block, pose, argument, masks, code, what):
    cloud, _ = frame(block, pose, 1.1)
    if argument == "later step":
        tracked(pipeline, block, pose)
    with pytest.raises(InputError, match=what) as refused:
        if argument in ("masks", "boxes"):
            pipeline.estimate(cloud, **{argument: masks})
        else:
            pipeline.step(cloud, np.eye(4), masks)
    assert refused.value.code == code


def test_a_single_mask_counts_as_a_list_of_one(pipeline, block, pose):
    for i in range(3):
        cloud, masks = frame(block, pose, 1.0 + 0.1 * i)
        (track,) = pipeline.step(cloud, np.eye(4), {"block": masks["block"][0]}).tracks
        assert track.estimate is not None and track.estimate.segment.source == "mask"
    assert pipeline.estimate(cloud, {"block": np.array(masks["block"])}).estimates, "a stack of masks"


@pytest.mark.parametrize(
    ("T", "what"),
    [
        (np.diag([2.0, 2.0, 2.0, 1.0]), r"axes of lengths \[2.0, 2.0, 2.0\], expected a rotation"),
        (np.full((4, 4), np.nan), "not finite"),
        (np.diag([1.0, 1.0, -1.0, 1.0]), "a mirror image"),
        (np.eye(3), r"shape \(3, 3\), expected \(4, 4\)"),
        (se3.transform(np.eye(3), [0.1, 0.2, 0.3]).T, "last row"),
        (np.zeros((4, 4)), "axes of lengths"),
        ("world", "no array of numbers"),
        (None, "T_fixed_camera"),
    ],
)
@pytest.mark.parametrize("later", [False, True])
def test_camera_poses_that_are_not_rigid_are_refused(pipeline, block, pose, T, what, later):
    before = tracked(pipeline, block, pose) if later else None
    cloud, masks = frame(block, pose, 1.1)
    with pytest.raises(InputError, match=what) as refused:
        pipeline.step(cloud, T, masks)
    assert refused.value.code == "not_rigid"
    (track,) = pipeline.step(cloud, np.eye(4), masks).tracks
    assert before is None or (track.track_id, track.state) == (before.track_id, "confirmed"), "the tracks are unchanged"


@pytest.mark.parametrize("stamp_ns", [float("nan"), 1.5, "now", None])
def test_stamps_that_are_not_whole_nanoseconds_are_refused(pipeline, block, pose, stamp_ns):
    cloud, masks = frame(block, pose, 1.0)
    with pytest.raises(InputError, match=r"stamp: found .*, expected a whole number of nanoseconds"):
        pipeline.step(replace(cloud, stamp_ns=stamp_ns), np.eye(4), masks)


@pytest.mark.parametrize("objects", [["teapot"], ["block", "teapot"], "block"])
def test_unknown_objects_are_refused(pipeline, block, pose, objects):
    cloud, masks = frame(block, pose, 1.0)
    for call in (lambda: pipeline.estimate(cloud, masks, objects=objects), lambda: pipeline.stream.search_for(objects)):
        with pytest.raises(InputError, match="objects: found") as refused:
            call()
        assert refused.value.code == "unknown_object"


@pytest.mark.parametrize(
    ("name", "T", "rows", "what"),
    [
        ("teapot", np.eye(4), np.arange(100), "found object 'teapot'"),
        (
            "block",
            np.full((4, 4), np.inf),
            np.arange(100),
            "expected 0: T_camera_object: found numbers that are not finite",
        ),
        ("block", np.eye(4), np.array([10**7]), "not of this cloud"),
        ("block", np.eye(4), np.array([], int), "not of this cloud"),
    ],
)
def test_invalid_hypotheses_are_refused(pipeline, block, pose, name, T, rows, what):
    cloud, _ = frame(block, pose, 1.0)
    with pytest.raises(InputError, match=what):
        pipeline.estimate(cloud, expected=[Hypothesis(name, T, Segment(rows, "mask", name), "expected")])


def test_a_request_has_only_the_objects_that_are_looked_for(block, pose):
    cloud, masks = frame(block, pose, 1.0)
    cards = {"block": block.card, "other": replace(block.card, name="other")}
    rows = np.arange(100)
    expected = [Hypothesis(name, pose, Segment(rows, "mask", name), "expected") for name in cards]
    both = {**masks, "other": masks["block"]}
    request = checked_request(cloud, both, None, expected, ["other"], cards)
    assert list(request.cards) == list(request.masks) == [h.object_name for h in request.expected] == ["other"]
    assert list(checked_request(cloud, both, None, expected, None, cards).cards) == ["block", "other"]
    assert not checked_request(cloud, masks, None, expected, ["other"], cards).cards, "no mask of what is looked for"
    assert not checked_request(cloud, None, None, (), [], cards).cards
