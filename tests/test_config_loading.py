"""Settings from YAML: an unknown key or a value out of range is refused by name."""

from __future__ import annotations

from dataclasses import fields

import pytest

from pose_node import config
from pose_node.config import PipelineConfig
from pose_node.errors import ConfigError


@pytest.fixture
def load(tmp_path):
    """Write text to a file and load it."""

    def write_and_load(text: str) -> PipelineConfig:
        path = tmp_path / "pose.yaml"
        path.write_text(text)
        return config.load(path)

    return write_and_load


def test_no_file_means_the_defaults():
    assert config.load(None) == PipelineConfig()


@pytest.mark.parametrize("text", ["", "{}", "# only a comment\n"])
def test_an_empty_file_means_the_defaults(load, text):
    assert load(text) == PipelineConfig()


def test_bare_stages(load):
    loaded = load("judge: {min_score: 0.7}\ninfer:\n  threads: 2\n")
    assert (loaded.judge.min_score, loaded.infer.threads) == (0.7, 2)
    assert loaded.refine == PipelineConfig().refine


def test_a_ros_parameter_file_and_its_other_parameters(load):
    loaded = load("/**:\n  ros__parameters:\n    use_sim_time: true\n    refine:\n      points: 500\n")
    assert loaded.refine.points == 500


def test_an_int_is_accepted_for_a_float(load):
    value = load("judge: {min_score: 1}").judge.min_score
    assert (value, type(value)) == (1.0, float)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("judge: {min_scor: 0.5}", r"judge: unknown key 'min_scor' \(did you mean 'min_score'\?\); expected one of"),
        ("juge: {}", r"unknown key 'juge' \(did you mean 'judge'\?\)"),
        ("min_score: 0.5", r"unknown key 'min_score' \(did you mean 'judge.min_score'\?\); expected one of sensor"),
        ("3: {}", "unknown key 3"),
        ("judge: {min_score: 1.5}", r"judge.min_score: found 1.5, expected a number from 0 to 1\."),
        ("judge: {min_score: .nan}", "judge.min_score: found nan"),
        ("judge: {min_score: high}", "judge.min_score: found 'high', expected float"),
        ("judge: {min_score: true}", "judge.min_score: found True, expected float"),
        ("refine: {points: 100.5}", "refine.points: found 100.5, expected int"),
        ("refine: {points: true}", "refine.points: found True, expected int"),
        ("refine: {points: 1}", "refine.points: found 1, expected a number from 50"),
        ("infer: {require_gpu: 1}", "infer.require_gpu: found 1, expected bool"),
        ("infer: {provider: gpu}", "infer.provider: found 'gpu', expected one of auto, cpu, cuda, tensorrt"),
        (
            "segment: {near_m: 4.0}",
            "segment.near_m: found 4 with segment.far_m 3, expected near_m to be less than far_m",
        ),
        ("segment: {near_m: 1, far_m: 1}", "segment.near_m: found 1 with segment.far_m 1"),
        ("track: {lost_after_s: 2, forget_after_s: 1}", "track.lost_after_s: found 2 with track.forget_after_s 1"),
        ("judge: 5", "judge: found int, expected a mapping"),
        ("- judge", "found list, expected a mapping"),
        ("judge: {", "is not YAML"),
        ("/**:\n  ros__parameters:\n    judge: {min_scor: 0.5}\n", "unknown key 'min_scor'"),
        ("judge: {centre_rel: 0.1}", "'centre_rel' is no longer a setting"),
    ],
)
def test_invalid_settings(load, text, sentence):
    with pytest.raises(ConfigError, match=sentence):
        load(text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read \(No such file"):
        config.load(tmp_path / "absent.yaml")


def test_binary_junk_is_named(tmp_path):
    path = tmp_path / "junk.yaml"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(ConfigError, match=r"junk\.yaml"):
        config.load(path)


@pytest.mark.parametrize("stage", [f.name for f in fields(PipelineConfig)])
def test_every_field_has_a_sentence_and_a_default_that_it_accepts(stage):
    values = getattr(PipelineConfig(), stage)
    for field in fields(values):
        assert field.metadata["doc"], f"{stage}.{field.name} has no sentence for users"
        value = getattr(values, field.name)
        assert config.checked_value(value, type(value), field.metadata, field.name) == value
