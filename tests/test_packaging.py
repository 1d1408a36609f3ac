"""What pip and colcon will find, without building: setup.py's own words held against the files."""

from __future__ import annotations

import ast
import os
import re
import runpy
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import pose_node

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS = ("script/setup", "script/demo", "script/test", ".ci/run")


@pytest.fixture(scope="module")
def told():
    """The arguments that setup.py hands to setuptools."""
    setuptools = pytest.importorskip("setuptools")
    kept: dict = {}
    before, original = Path.cwd(), setuptools.setup
    setuptools.setup = lambda **arguments: kept.update(arguments)
    os.chdir(REPOSITORY)
    try:
        runpy.run_path("setup.py")
    finally:
        os.chdir(before)
        setuptools.setup = original
    return kept


@pytest.fixture(scope="module")
def manifest():
    return ElementTree.parse(REPOSITORY / "package.xml").getroot()


def test_one_version_everywhere(told, manifest):
    changes = (REPOSITORY / "CHANGELOG.rst").read_text(encoding="utf-8")
    newest = re.search(r"^(\d+\.\d+\.\d+) \(.+\)$", changes, re.MULTILINE)
    assert newest is not None
    assert {told["version"], manifest.findtext("version"), newest[1]} == {pose_node.__version__}


def test_one_name_and_licence_everywhere(told, manifest):
    assert told["name"] == manifest.findtext("name") == "pose_node"
    assert (REPOSITORY / "resource" / "pose_node").is_file()
    assert told["license"] == manifest.findtext("license") == "Apache-2.0"
    assert "Apache License" in (REPOSITORY / "LICENSE").read_text(encoding="utf-8")


def test_colcon_takes_it_for_an_ament_python_package(told, manifest):
    assert manifest.get("format") == "3"
    assert manifest.findtext("export/build_type") == "ament_python"
    targets = {target for target, _ in told["data_files"]}
    assert "share/ament_index/resource_index/packages" in targets
    assert {f"share/pose_node/{d}" for d in ("launch", "config", "models")} <= targets
    assert "pytest" in told["extras_require"]["test"], "colcon test runs nothing without this extra"


def test_every_file_to_install_exists_and_nothing_is_forgotten(told):
    for _, files in told["data_files"]:
        for file in files:
            assert (REPOSITORY / file).is_file(), file
    installed = {file for _, files in told["data_files"] for file in files}
    for folder in ("models", "launch", "config"):
        for path in (REPOSITORY / folder).rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                assert str(path.relative_to(REPOSITORY)) in installed


def test_all_packages_are_found(told):
    there = {".".join(p.parent.relative_to(REPOSITORY).parts) for p in (REPOSITORY / "pose_node").rglob("__init__.py")}
    assert set(told["packages"]) == there


def test_the_demo_recording_travels_with_its_licence(told):
    shipped = told["package_data"]["pose_node"]
    assert any(file.endswith(".png") for file in shipped)
    assert any(Path(file).name == "LICENSE" for file in shipped)
    assert "YCB-Video" in (REPOSITORY / "NOTICE").read_text(encoding="utf-8")


def test_the_coupling_table_is_shipped_and_needs_no_fortran(told):
    assert "learning/coupling_table.npz" in told["package_data"]["pose_node"]
    assert "pose_node/learning/coupling_table.npz" in (REPOSITORY / "MANIFEST.in").read_text(encoding="utf-8")
    for extra in ("learn", "dev"):
        assert not any(re.match(r"(escnn|py3nj|lie.learn)", need) for need in told["extras_require"][extra])


def test_the_templates_of_reports_are_shipped(told):
    templates = {
        str(p.relative_to(REPOSITORY / "pose_node"))
        for p in (REPOSITORY / "pose_node").glob("**/templates/*")
        if p.is_file()
    }
    assert templates and templates <= set(told["package_data"]["pose_node"])
    included = (REPOSITORY / "MANIFEST.in").read_text(encoding="utf-8")
    assert "recursive-include pose_node/evaluation/report/templates *.html *.css\n" in included
    assert {Path(template).suffix for template in templates} == {".html", ".css"}


def test_the_robot_side_needs_wheels_only_and_no_pins(told):
    needs = told["install_requires"]
    assert {re.split(r"[<>=!~ \[]", need)[0] for need in needs} == {
        "numpy",
        "scipy",
        "pyyaml",
        "onnxruntime",
        "pillow",
        "threadpoolctl",
    }
    assert not any("==" in need for need in needs), "it must live beside what a ROS machine has"
    assert {"learn", "eval", "ros", "dev"} <= set(told["extras_require"])
    everything = [need for extra in told["extras_require"].values() for need in extra]
    assert not any(re.match(r"launch\b", need) for need in everything), "PyPI's launch is an unrelated program"


def test_ros_dependencies_are_declared_on_both_sides(told, manifest):
    declared = {node.text for node in manifest.findall("exec_depend")}
    for need in told["extras_require"]["ros"]:
        package = re.match(r"ros-([a-z0-9-]+)", need)[1].replace("-", "_")
        assert package in declared, f"package.xml lacks {package}"


def test_the_command_exists(told):
    target = dict(entry.split(" = ") for entry in told["entry_points"]["console_scripts"])["pose_node"]
    module, function = target.split(":")
    source = (REPOSITORY / Path(*module.split(".")) / "__init__.py").read_text(encoding="utf-8")
    assert function in {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_plain_sh_and_executable(script):
    path = REPOSITORY / script
    assert path.read_text(encoding="utf-8").startswith("#!/bin/sh\n")
    assert os.access(path, os.X_OK)
    shell = shutil.which("dash") or shutil.which("sh")
    done = subprocess.run([shell, "-n", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_setup_takes_the_pythons_that_the_package_names(told):
    newest = told["classifiers"][-1].rpartition(".")[2]
    assert f"robot) newest={newest} ;;" in (REPOSITORY / "script/setup").read_text(encoding="utf-8")


def test_setup_refuses_what_it_does_not_know():
    done = subprocess.run(["sh", str(REPOSITORY / "script/setup"), "everything"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "script/setup: found 'everything', expected 'robot' or 'all'.\n"


def test_ci_runs_the_test_script_and_nothing_else():
    lines = (REPOSITORY / ".ci/run").read_text(encoding="utf-8").splitlines()
    commands = [line for line in lines if line and not line.startswith("#")]
    assert commands == ["set -eu", 'exec sh "$(dirname -- "$0")/../script/test"']
