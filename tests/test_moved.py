"""Names of earlier versions: one sentence says what they are now."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from pose_node.moved import MOVED

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("old", "sentence"),
    [
        ("cloud", "pose_node.cloud is pose_node.measurement.cloud now; the stable name is pose_node.Cloud."),
        ("judge", "pose_node.judge is pose_node.pose.selection now."),
        ("evaluation.bags", "pose_node.evaluation.bags is pose_node.evaluation.sources.bags now."),
    ],
)
def test_an_old_name_says_what_it_is_now(old, sentence):
    with pytest.raises(ModuleNotFoundError) as error:
        importlib.import_module(f"pose_node.{old}")
    assert str(error.value) == sentence


@pytest.mark.parametrize("old", [old for old in MOVED if "." not in old])
def test_from_the_package_too(old):
    with pytest.raises(ModuleNotFoundError, match=rf"pose_node\.{old} is pose_node\."):
        exec(f"from pose_node import {old}")


def test_what_never_was_is_python_s_own_error():
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'pose_node\.spoon'"):
        importlib.import_module("pose_node.spoon")
    assert importlib.util.find_spec("cloud") is None


@pytest.mark.parametrize("old", ["demo", "interfaces", "node"])
def test_old_commands_end_with_that_sentence_alone(old):
    done = subprocess.run(
        [sys.executable, "-m", f"pose_node.{old}"], cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert f"pose_node.{old} is pose_node.ros.{old} now." in done.stderr
    assert "Traceback" not in done.stderr
