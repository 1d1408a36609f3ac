"""The tests mirror the rooms: a test file lies where its source lies, or checks several files of one room together."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "pose_node"
# Tests of behaviour that several files share: the report in a browser, tracks of bags, the whole node in its process.
SHARED = {
    "evaluation/report/test_browser.py",
    "evaluation/runs/test_bag_tracks.py",
    *(f"ros/test_{name}.py" for name in ("bad_models", "detector", "fuzz", "launch", "lifecycle", "recording")),
    *(f"ros/test_{name}.py" for name in ("robot_side", "soak", "stopping", "tf", "tracking", "view_live")),
}


def mirrored() -> list[str]:
    """Test files in rooms, as paths below tests/."""
    found = [p.relative_to(TESTS) for p in TESTS.rglob("test_*.py") if p.parent != TESTS]
    return sorted(p.as_posix() for p in found if p.parts[0] != "benchmarks")


@pytest.mark.parametrize("path", mirrored())
def test_a_test_file_lies_where_its_source_lies(path):
    source = PACKAGE / path.replace("test_", "")
    assert source.is_file() or source.with_suffix("").is_dir() or path in SHARED, f"{path}: {source} does not exist"


def test_shared_tests_exist():
    assert set(mirrored()) >= SHARED
