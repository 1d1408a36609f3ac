"""The launch file: it cannot run without a ROS install, so stand-ins of launch and launch_ros take down what it says."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def recorder(kind: str):
    return lambda *args, **kwargs: SimpleNamespace(kind=kind, args=args, **kwargs)


@pytest.fixture
def described(monkeypatch):
    """The actions that the launch file returns."""
    for module, names in {
        "launch": ["LaunchDescription"],
        "launch.actions": ["DeclareLaunchArgument"],
        "launch.substitutions": ["LaunchConfiguration", "PathJoinSubstitution"],
        "launch_ros": [],
        "launch_ros.actions": ["Node"],
        "launch_ros.substitutions": ["FindPackageShare"],
    }.items():
        stub = ModuleType(module)
        for name in names:
            setattr(stub, name, recorder(name))
        monkeypatch.setitem(sys.modules, module, stub)
    told = runpy.run_path(str(REPOSITORY / "launch" / "pose.launch.py"))
    (actions,) = told["generate_launch_description"]().args
    return actions


def test_it_starts_our_executable_under_our_name_from_a_file_that_exists(described):
    (node,) = [action for action in described if action.kind == "Node"]
    assert (node.package, node.executable, node.name) == ("pose_node", "pose_node", "pose_node")
    assert '"console_scripts": [f"{NAME} = {NAME}.cli:main"]' in (REPOSITORY / "setup.py").read_text()
    (params,) = [a for a in described if a.kind == "DeclareLaunchArgument" and a.args == ("params_file",)]
    share, *path = params.default_value.args[0]
    assert (share.kind, share.args) == ("FindPackageShare", ("pose_node",))
    assert REPOSITORY.joinpath(*path).is_file()
    assert node.parameters[0].args == ("params_file",)


def test_every_argument_is_described_used_and_declared(described):
    declared = {a.args[0] for a in described if a.kind == "DeclareLaunchArgument"}
    assert all(a.description for a in described if a.kind == "DeclareLaunchArgument")
    source = (REPOSITORY / "launch" / "pose.launch.py").read_text()
    assert set(re.findall(r'LaunchConfiguration\("(\w+)"\)', source)) == declared


def test_it_remaps_the_topics_that_the_node_subscribes_to(described):
    (node,) = [action for action in described if action.kind == "Node"]
    source = (REPOSITORY / "pose_node" / "node.py").read_text()
    assert {inner for inner, _ in node.remappings} == set(re.findall(r'_Input\(self, \w+, "([\w/]+)"', source))
    declared = {a.args[0]: a for a in described if a.kind == "DeclareLaunchArgument"}
    for inner, outer in node.remappings:
        assert declared[outer.args[0]].default_value == inner
