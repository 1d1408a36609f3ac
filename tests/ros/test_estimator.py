"""What the node publishes about a frame, from stand-ins of the pipeline: no ROS, no network."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rcl_interfaces", reason="ROS messages are not installed")

from pose_node.messages.pairing import Frame
from pose_node.messages.tf_buffer import TfBuffer
from pose_node.ros.estimator import FrameEstimator, is_finite
from pose_node.ros.loading import LoadedObjects
from pose_node.ros.parameters import NodeConfig, Settings
from pose_node.types import Estimate, Evidence, Result, Segment, Step, Track

TRACKING = Settings(NodeConfig(fixed_frame="camera"))


def estimate(name: str = "mug", score: float = 0.8) -> Estimate:
    evidence = Evidence(0.9, 0.0, 0.1, 0.9, 0.9, 0.001)
    return Estimate(name, np.eye(4), score, np.eye(6), evidence, Segment(np.arange(3), "mask"))


def track(number: int, state: str, seen: Estimate | None) -> Track:
    return Track(number, "mug", state, np.eye(4), np.eye(6), np.zeros(6), 0.8, 0, seen)


class FakePipeline:
    """Says what it was asked, and answers with the given estimates and tracks."""

    def __init__(self, *estimates: Estimate, tracks: tuple[Track, ...] = ()) -> None:
        self.cards = {"mug": None, "bowl": None}
        self.calls: list[str] = []
        self.searched: list[object] = []
        self.stream = SimpleNamespace(
            request_detection=lambda: self.calls.append("detect"), search_for=self.searched.append
        )
        self._result, self._tracks = Result(estimates, (), stage_s={"refine": 0.1}), tracks

    def retune(self, config) -> None: ...

    def reset(self) -> None:
        self.calls.append("reset")

    def estimate(self, cloud, masks=None, objects=None) -> Result:
        self.searched.append(objects)
        return self._result

    def step(self, cloud, T_fixed_camera, masks=None) -> Step:
        return Step(self._result, self._tracks, T_fixed_camera)


def estimator(pipeline: FakePipeline, tf: TfBuffer | None = None) -> FrameEstimator:
    return FrameEstimator(LoadedObjects(pipeline, [], {5: "mug"}, 0.0), tf, None)


def cloud_frame(distance_m: float = 1.0, points: int = 20, mask=None) -> Frame:
    header = SimpleNamespace(stamp=SimpleNamespace(sec=1, nanosec=0), frame_id="camera")
    xyz = np.full((points, 3), distance_m, np.float32)
    fields = [SimpleNamespace(name=n, offset=4 * i, datatype=7, count=1) for i, n in enumerate("xyz")]
    message = SimpleNamespace(
        header=header, height=1, width=points, point_step=12, row_step=12 * points, fields=fields, is_bigendian=False
    )
    message.data = xyz.tobytes()
    if mask is not None:
        mask = SimpleNamespace(header=header, encoding="mono8", height=1, width=points, step=points, is_bigendian=0)
        mask.data = bytes(points)
    return Frame(message, 0.0, mask=mask)


def codes(answer) -> list[str]:
    return [rejected.code for rejected in answer.rejected]


def test_estimates_pass_through_without_tracks():
    answer = estimator(FakePipeline(estimate(), estimate("bowl"))).answer(cloud_frame(), Settings())
    assert [e.object_name for e in answer.estimates] == [e.object_name for e in answer.confirmed] == ["mug", "bowl"]
    assert (answer.ids, answer.tracks, codes(answer)) == ([], None, [])
    assert set(answer.stage_s) == {"convert", "refine"}


def test_only_confirmed_tracks_are_poses_to_act_on():
    tracks = (track(1, "confirmed", estimate()), track(2, "tentative", estimate()), track(3, "lost", None))
    answer = estimator(FakePipeline(tracks=tracks), TfBuffer()).answer(cloud_frame(), TRACKING)
    assert answer.ids == ["mug_1", "mug_2/tentative"]
    assert (len(answer.estimates), len(answer.confirmed), len(answer.tracks)) == (2, 1, 3)


@pytest.mark.parametrize("field", ["T_camera_object", "covariance"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_estimate_that_is_not_finite_is_rejected(field, value):
    bad = estimate("bowl")
    bad = replace(bad, **{field: np.full_like(getattr(bad, field), value)})
    assert is_finite(estimate()) and not is_finite(bad)
    answer = estimator(FakePipeline(bad, estimate())).answer(cloud_frame(), Settings())
    assert [e.object_name for e in answer.estimates] == ["mug"]
    assert codes(answer) == ["not_finite"]


def test_a_measurement_in_another_unit_is_out_of_range():
    answer = estimator(FakePipeline()).answer(cloud_frame(distance_m=50.0), Settings())
    assert codes(answer) == ["out_of_reach"]
    assert "is its unit right?" in answer.rejected[0].reason


def test_measurements_without_points_or_labels_are_rejected():
    assert codes(estimator(FakePipeline()).answer(cloud_frame(distance_m=np.nan), Settings())) == ["no_points"]
    assert codes(estimator(FakePipeline()).answer(cloud_frame(mask=True), Settings())) == ["no_labels"]


def test_requests_are_served_once_with_the_next_frame():
    pipeline = FakePipeline()
    node = estimator(pipeline, TfBuffer())
    node.answer(cloud_frame(), TRACKING)
    assert pipeline.calls == ["reset"], "an activation begins without tracks"
    node.reset_requested.set()
    node.detection_requested.set()
    node.active_objects = frozenset(["bowl"])
    node.answer(cloud_frame(), TRACKING)
    node.answer(cloud_frame(), TRACKING)
    assert pipeline.calls == ["reset", "reset", "detect"]
    assert pipeline.searched == [frozenset(["mug", "bowl"]), frozenset(["bowl"]), frozenset(["bowl"])]


def test_objects_that_come_are_searched_for_and_the_others_as_before():
    node = estimator(FakePipeline(), TfBuffer())
    node.active_objects = frozenset(["bowl"])
    other = FakePipeline(estimate("bowl"))
    other.cards = {"bowl": None, "mug": None, "can": None}
    node.use(LoadedObjects(other, [], {}, 0.0), None)
    assert node.active_objects == {"bowl", "can"}, "the mug was not searched for"
    node.answer(cloud_frame(), TRACKING)
    assert other.searched == [{"bowl", "can"}]
    other.cards = {"mug": None}
    node.use(LoadedObjects(other, [], {}, 0.0), None)
    assert node.active_objects == set()
