"""The launch files: they cannot run without a ROS install, so stand-ins of launch and launch_ros take down what they say."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = sorted(path.name for path in (REPOSITORY / "launch").glob("*.launch.py"))
ROS = REPOSITORY / "pose_node" / "ros"
# Relative names; /tf is shared by all.
SUBSCRIBED = set(re.findall(r'subscribe\(\w+, "(\w[\w/]+)"', (ROS / "inputs.py").read_text()))


class Configuration:
    """A stand-in of LaunchConfiguration; the context is the arguments' values by name."""

    def __init__(self, name: str) -> None:
        self.kind, self.args = "LaunchConfiguration", (name,)

    def perform(self, context):
        return context[self.args[0]]


def recorder(kind: str):
    return lambda *args, **kwargs: SimpleNamespace(kind=kind, args=args, **kwargs)


@pytest.fixture
def describe(monkeypatch):
    """The actions that a launch file returns."""
    for module, names in {
        "launch": ["LaunchContext", "LaunchDescription"],
        "launch.actions": ["DeclareLaunchArgument", "ExecuteProcess", "OpaqueFunction", "Shutdown"],
        "launch.conditions": ["IfCondition"],
        "launch.substitutions": ["LaunchConfiguration", "PathJoinSubstitution"],
        "launch_ros": [],
        "launch_ros.actions": ["Node"],
        "launch_ros.parameter_descriptions": ["ParameterValue"],
        "launch_ros.substitutions": ["FindPackageShare"],
    }.items():
        stub = ModuleType(module)
        for name in names:
            setattr(stub, name, recorder(name))
        monkeypatch.setitem(sys.modules, module, stub)

    monkeypatch.setattr(sys.modules["launch.substitutions"], "LaunchConfiguration", Configuration)

    def run(name, **given):
        names = runpy.run_path(str(REPOSITORY / "launch" / name))
        (actions,) = names["generate_launch_description"]().args
        defaults = {a.args[0]: a.default_value for a in actions if a.kind == "DeclareLaunchArgument"}
        for action in [a for a in actions if a.kind == "OpaqueFunction"]:
            actions += action.function({**defaults, **given})
        return actions

    return run


def ours(actions):
    return [action for action in actions if action.kind == "Node" and action.package == "pose_node"]


@pytest.mark.parametrize("name", FILES)
def test_it_starts_our_executable_under_our_name(describe, name):
    nodes = ours(describe(name))
    assert nodes
    for node in nodes:
        assert (node.executable, node.name) == ("pose_node", "pose_node")
    assert '"console_scripts": [f"{NAME} = {NAME}.cli:main"]' in (REPOSITORY / "setup.py").read_text()


@pytest.mark.parametrize("name", FILES)
def test_files_that_it_names_exist(describe, name):
    source = (REPOSITORY / "launch" / name).read_text()
    named = re.findall(r'"config", "([\w.]+)"', source)
    assert "pose.yaml" in named
    for file in named:
        assert (REPOSITORY / "config" / file).is_file()
    for module in re.findall(r'"-m", "([\w.]+)"', source):
        assert (REPOSITORY / f"{module.replace('.', '/')}.py").is_file()


@pytest.mark.parametrize("name", FILES)
def test_every_argument_is_described_used_and_declared(describe, name):
    actions = describe(name)
    declared = {a.args[0] for a in actions if a.kind == "DeclareLaunchArgument"}
    assert all(a.description for a in actions if a.kind == "DeclareLaunchArgument")
    source = (REPOSITORY / "launch" / name).read_text()
    assert set(re.findall(r'LaunchConfiguration\("(\w+)"\)', source)) == declared


@pytest.mark.parametrize("name", FILES)
def test_parameters_and_remaps_are_those_of_the_node(describe, name):
    documented = yaml.safe_load((REPOSITORY / "config" / "pose.yaml").read_text())
    known = set(documented["/**"]["ros__parameters"])
    for node in ours(describe(name)):
        assert {inner for inner, _ in getattr(node, "remappings", [])} <= SUBSCRIBED
        for parameters in node.parameters:
            if isinstance(parameters, dict):
                assert set(parameters) <= known


def test_pose_launch_remaps_all_subscriptions(describe):
    actions = describe("pose.launch.py")
    (node,) = ours(actions)
    assert {inner for inner, _ in node.remappings} == SUBSCRIBED
    declared = {a.args[0]: a for a in actions if a.kind == "DeclareLaunchArgument"}
    for inner, outer in node.remappings:
        assert declared[outer.args[0]].default_value == inner


def test_an_empty_fixed_frame_keeps_the_one_in_the_file(describe):
    (node,) = ours(describe("pose.launch.py"))
    assert [p.args for p in node.parameters] == [("params_file",)]
    (node,) = ours(describe("pose.launch.py", fixed_frame="world"))
    _, overrides = node.parameters
    (value,) = overrides["fixed_frame"].args
    assert (value.args, overrides["fixed_frame"].value_type) == (("fixed_frame",), str)


def test_the_demo_ends_with_its_node(describe):
    (node,) = ours(describe("demo.launch.py"))
    assert node.on_exit.kind == "Shutdown"


def test_two_cameras_have_a_namespace_each(describe):
    nodes = ours(describe("two_cameras.launch.py"))
    assert len({node.namespace for node in nodes}) == len(nodes) == 2
    for node in nodes:
        assert all(outer.startswith("/") for _, outer in node.remappings)


def test_rviz_shows_topics_that_the_node_offers():
    shown = (REPOSITORY / "config" / "pose.rviz").read_text()
    topics = re.findall(r"Value: (/\S+)", shown)
    assert yaml.safe_load(shown)["Visualization Manager"]["Displays"]
    for topic in topics:
        inside = topic.removeprefix("/pose_node/")
        assert f'"~/{inside}"' in (ROS / "outputs.py").read_text() or topic.removeprefix("/") in SUBSCRIBED
