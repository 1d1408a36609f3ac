"""Rows of environments: one a Python and end of the range, kept beside those of earlier runs; poses compared by size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import results, versions
from pose_node.geometry import se3

COUNTS = {"passed": 5, "failed": 0, "error": 0, "skipped": 1}


def row(python: str, oldest: bool, T: np.ndarray, **more: object) -> dict[str, object]:
    named = dict.fromkeys(("numpy", "scipy", "onnxruntime", "pillow", "ros-rclpy"), "1.0")
    tests = {"core": COUNTS, "node": COUNTS}
    return {
        "python": python,
        "oldest": oldest,
        "versions": {"python": f"{python}.0", **named},
        **tests,
        "poses": [[T.tolist()]],
        "date": "2026-01-01",
        **more,
    }


def test_poses_are_compared_by_distance_and_angle() -> None:
    T = se3.transform(se3.exp_so3(np.array([0.1, 0.2, 0.3])), np.array([0.0, 0.0, 1.0]))
    moved = se3.retract(T, np.array([3e-6, 4e-6, 0.0, 0.0, 2e-9, 0.0]))
    assert versions.difference(row("3.10", True, T), row("3.11", True, T)) == (0.0, 0.0)
    distance_m, angle_rad = versions.difference(row("3.10", True, T), row("3.11", True, moved))
    assert distance_m == pytest.approx(5e-6) and angle_rad == pytest.approx(2e-9, rel=1e-3)


def test_a_run_replaces_its_own_rows_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setattr(versions, "TABLE", tmp_path / "versions.md")
    versions.TABLE.write_text(f"above\n{versions.BEGIN}{versions.END}below\n")
    moved = np.eye(4)
    moved[0, 3] = 2e-4
    versions.write(row("3.13", False, np.eye(4)))
    versions.write(row("3.10", True, moved, core={**COUNTS, "failed": 2}))
    versions.write(row("3.10", True, moved, core={**COUNTS, "failed": 1}))
    found = json.loads((tmp_path / "versions.json").read_text())
    assert [(r["python"], r["oldest"]) for r in found["rows"]] == [("3.10", True), ("3.13", False)]
    assert found["figures"] == {"environments": 2, "failed_tests": 1}
    above, header, rule, first, second, below = versions.TABLE.read_text().replace(versions.BEGIN, "").splitlines()[:6]
    assert (above, below + "\n") == ("above", versions.END)
    assert header.count("|") == rule.count("|") == first.count("|") == second.count("|")
    assert "5 passed, 1 failed" in first and "0.2 mm" in first and "same bytes" in second


def test_the_core_s_tests_are_those_of_no_side() -> None:
    names = {path.parts[1] for path in versions.CORE_TESTS}
    assert {"geometry", "messages", "test_pipeline.py"} <= names
    assert not names & {"ros", "learning", "evaluation", "viewing", "benchmarks", "block.py", "conftest.py"}
    assert all((results.ROOT / path).exists() for path in versions.NODE_TESTS)
