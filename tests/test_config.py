"""config/pose.yaml documents every setting as the dataclasses state it: same name, same default, same sentence, same range."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from pose_node import config
from pose_node.errors import ConfigError

pytest.importorskip("rcl_interfaces", reason="the node's own settings need ROS messages")

from pose_node.ros import parameters

PATH = Path(__file__).resolve().parents[1] / "config" / "pose.yaml"
PARAMETERS = list(parameters.parameters())


def flat(values: dict, prefix: str = "") -> dict:
    """{"segment": {"near_m": 0.1}} -> {"segment.near_m": 0.1}"""
    found = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


@pytest.fixture(scope="module")
def values():
    (section,) = yaml.safe_load(PATH.read_text()).values()
    return flat(section["ros__parameters"])


@pytest.fixture(scope="module")
def comments():
    """{parameter: the comment on its line}"""
    found, stage = {}, ""
    for line in PATH.read_text().splitlines():
        text, _, comment = line.partition("  # ")
        key = text.split(":")[0].strip()
        depth = len(text) - len(text.lstrip())
        if depth == 4 and text.rstrip().endswith(":"):
            stage = f"{key}."
        elif depth >= 4:
            found[key if depth == 4 else stage + key] = comment
    return found


def test_it_names_every_parameter_and_no_other(values):
    assert set(values) == {parameter.name for parameter in PARAMETERS}


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda p: p.name)
def test_a_parameter_is_documented_as_it_is(parameter, values, comments):
    sentence = parameter.metadata["doc"]
    notes = []
    if "range" in parameter.metadata:
        notes.append("{:g} to {:g}".format(*parameter.metadata["range"]))
    if "options" in parameter.metadata:
        notes.append(", ".join(parameter.metadata["options"]))
    notes += [word for word, holds in (("live", parameter.live), ("reload", parameter.reload)) if holds]
    if notes:
        sentence += f" [{'; '.join(notes)}]"
    assert comments[parameter.name] == sentence
    assert parameter.checked(values[parameter.name]) == parameter.default
    assert type(values[parameter.name]) is (list if parameter.kind is tuple else parameter.kind)


def test_it_gives_the_default_pipeline():
    assert config.load(PATH) == config.PipelineConfig()


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda p: p.name)
def test_a_default_is_within_its_own_bounds_and_described(parameter):
    assert parameter.checked(parameter.default) == parameter.default
    assert parameter.descriptor().description == parameter.metadata["doc"]
    if parameter.kind in (int, float):
        low, high = parameter.metadata["range"]
        (bounds,) = (
            parameter.descriptor().integer_range
            if parameter.kind is int
            else parameter.descriptor().floating_point_range
        )
        assert (bounds.from_value, bounds.to_value) == (low, high)


@pytest.mark.parametrize("name", config.REPLACED)
def test_a_removed_setting_says_what_replaces_it(name):
    stage, _, key = name.partition(".")
    assert not hasattr(getattr(config.PipelineConfig(), stage), key)
    with pytest.raises(ConfigError, match=re.escape(config.REPLACED[name])):
        config.from_mapping(config.PipelineConfig, {stage: {key: 1.0}})
