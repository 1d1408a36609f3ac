"""Parameters from the dataclasses and back, against a node's parameter interface without ROS underneath."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

pytest.importorskip("rcl_interfaces", reason="ROS messages are not installed")

from pose_node.config import PipelineConfig
from pose_node.errors import ConfigError
from pose_node.ros import parameters


class FakeNode:
    """The parameter interface of a node."""

    def __init__(self) -> None:
        self.values: dict = {}

    def declare_parameter(self, name, value, descriptor, ignore_override):
        assert ignore_override
        assert descriptor.description
        assert name not in self.values
        self.values[name] = value

    def get_parameter(self, name):
        return SimpleNamespace(value=self.values[name])


def settings(**overrides) -> parameters.Settings:
    node = FakeNode()
    parameters.declare(node, {name: SimpleNamespace(value=value) for name, value in overrides.items()})
    return parameters.read(node)


def test_defaults():
    assert settings().pipeline == PipelineConfig()
    node = settings().node
    assert (node.objects, node.mask_labels, node.autostart, node.input) == ((), (), True, "auto")


def test_overrides():
    found = settings(**{"objects": ["mug", "bowl"], "segment.far_m": 2, "infer.threads": 4, "use_sim_time": True})
    assert found.node.objects == ("mug", "bowl")
    assert found.pipeline.segment.far_m == 2.0
    assert isinstance(found.pipeline.segment.far_m, float)
    assert found.pipeline.infer.threads == 4


@pytest.mark.parametrize("value", [[], [""], None, ()])
def test_an_empty_list_in_every_spelling(value):
    assert settings(objects=value).node.objects == ()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("far_m", 2.0, r"unknown \(did you mean 'segment.far_m'\?\)"),
        ("refine.min_score", 2.0, r"did you mean 'judge.min_score'"),
        ("segment.far", 2.0, r"did you mean 'segment.far_m'"),
        ("qqqq", 2.0, "unknown; config/pose.yaml"),
        ("segment.far_m", "near", "expected float"),
        ("segment.far_m", -1.0, "from 0 to 100"),
        ("infer.threads", 1.5, "expected int"),
        ("infer.threads", True, "expected int"),
        ("infer.provider", "gpu", "one of auto, cpu"),
        ("objects", "mug", "list of strings"),
        ("objects", [1, 2], "list of strings"),
        ("autostart", 1, "expected bool"),
    ],
)
def test_an_invalid_parameter_is_refused_by_name(name, value, words):
    with pytest.raises(ConfigError, match=words) as caught:
        settings(**{name: value})
    assert f"parameter {name}" in str(caught.value)


def test_live_parameters_change_and_nothing_else_does():
    before = settings()
    after = parameters.changed(before, {"judge.min_score": 0.3, "tf_wait_s": 1, "unknown": object()}, running=True)
    assert (after.pipeline.judge.min_score, after.node.tf_wait_s) == (0.3, 1.0)
    assert replace(after.pipeline, judge=before.pipeline.judge) == before.pipeline
    assert replace(after.node, tf_wait_s=before.node.tf_wait_s) == before.node
    assert before == settings()


@pytest.mark.parametrize("running", [True, False])
def test_a_change_is_checked_like_an_override(running):
    with pytest.raises(ConfigError, match="from 0 to 100"):
        parameters.changed(settings(), {"segment.far_m": 300.0}, running)


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ConfigError, match=r"segment.near_m: found 5 with segment.far_m 3"):
        settings(**{"segment.near_m": 5.0})
    with pytest.raises(ConfigError, match=r"parameter publish_tf: found true with fixed_frame ''"):
        settings(publish_tf=True)
    with pytest.raises(ConfigError, match=r"publish_tf: .* track.enabled false"):
        settings(**{"publish_tf": True, "fixed_frame": "map", "track.enabled": False})
    before = settings()
    with pytest.raises(ConfigError, match=r"segment.near_m"):
        parameters.changed(before, {"segment.near_m": 5.0}, running=True)
    after = parameters.changed(before, {"segment.near_m": 5.0, "segment.far_m": 6.0}, running=True)
    assert (after.pipeline.segment.near_m, after.pipeline.segment.far_m) == (5.0, 6.0)


def test_what_configure_reads_cannot_change_once_objects_are_loaded():
    change = {"judge.min_score": 0.3, "infer.threads": 2}
    with pytest.raises(
        ConfigError, match=r"parameter infer.threads is read at configure.*, track.forget_after_s may change"
    ):
        parameters.changed(settings(), change, running=True)
    assert parameters.changed(settings(), {"infer.threads": 2}, running=False) == settings(), "configure reads it"


def test_loading_a_dump_of_the_same_values_changes_nothing():
    before = settings(objects=["mug"])
    dump = {p.name: list(p.default) if p.kind is tuple else p.default for p in parameters.parameters()}
    assert parameters.changed(before, {**dump, "objects": ["mug"]}, running=True) == before


def test_what_a_reload_reads_may_be_set_and_changes_nothing_before_it():
    before = settings(objects=["mug"])
    assert parameters.changed(before, {"objects": ["mug", "bowl"], "models": "/elsewhere"}, running=True) == before
    with pytest.raises(ConfigError, match="list of strings"):
        parameters.changed(before, {"objects": "bowl"}, running=True)
    newer = settings(**{"objects": ["bowl"], "mask_labels": ["1:bowl"], "judge.min_score": 0.9, "fixed_frame": "map"})
    after = parameters.reread(before, newer)
    assert (after.node.objects, after.node.mask_labels) == (("bowl",), ("1:bowl",))
    assert (after.node.fixed_frame, after.pipeline) == ("", before.pipeline), "no more than that"
