"""Result files: complete, replaced as a whole, and silent about whose machine it was. Rows that outlive a killed run."""

from __future__ import annotations

import getpass
import json
import math
import socket
from pathlib import Path

import pytest

from benchmarks import data, results, rows


def test_a_result_says_what_was_measured_and_where(tmp_path: Path) -> None:
    path = results.write_result("some", "python -m benchmarks.some", {"a": 1, "b": 0.25, "none": math.nan}, tmp_path)
    text = path.read_text()
    content = json.loads(text)
    assert set(content) == {"command", "commit", "date", "machine", "figures"}
    assert content["figures"] == {"a": 1, "b": 0.25, "none": None}
    assert {"cpu", "cores"} <= set(content["machine"])
    assert socket.gethostname() not in text
    assert str(Path.home()) not in text and str(data.ROOT) not in text
    assert getpass.getuser() not in json.dumps(content["machine"]) or getpass.getuser() in content["machine"]["cpu"]


def test_figures_are_numbers(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="figure 'a': found 'x', expected a number"):
        results.write_result("some", "command", {"a": "x"}, tmp_path)  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="found True"):
        results.write_result("some", "command", {"a": True}, tmp_path)
    assert not list(tmp_path.iterdir())


def test_files_are_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.md"
    results.write_text(path, "old")
    results.write_table(path, "Title", ("object", "recall"), [("mug", 0.98765), ("bowl", math.nan)])
    assert path.read_text() == "# Title\n\n| object | recall |\n|---|---|\n| mug | 0.988 |\n| bowl | - |\n"
    assert [p.name for p in path.parent.iterdir()] == ["file.md"]


def test_shares_and_percentiles_of_nothing_are_nan() -> None:
    assert math.isnan(results.share([])) and math.isnan(results.percentile([], 50))
    assert results.share([True, False]) == 0.5 and results.percentile([1.0, 3.0], 50) == 2.0


def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSE_NODE_BENCH_CACHE", str(tmp_path))
    done: list[str] = []

    def work(key: str) -> dict[str, object]:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(key)
        return {"value": key * 2}

    keys = ["a", "b", "c", "d"]
    with pytest.raises(KeyboardInterrupt):
        rows.measure("some/thing-1", keys, work, lambda: None, (), jobs=1)
    file = tmp_path / "some" / "thing-1.jsonl"
    file.write_text(file.read_text()[:-9])  # the last line cut short, as a kill may leave it
    done.clear()
    found = rows.measure("some/thing-1", keys, work, lambda: None, (), jobs=1)
    assert done == ["c", "d"]
    assert found == [{"value": key * 2} for key in keys]
    assert rows.measure("some/thing-1", keys, work, lambda: None, (), jobs=1) == found
    assert done == ["c", "d"]


def test_rows_are_kept_while_only_comments_change(tmp_path: Path) -> None:
    code = tmp_path / "code.py"
    code.write_text('"""One."""\nx = 1  # one\n')
    first = rows.fingerprint([], None, code=[code])
    code.write_text('"""Other words."""\n\nx = 1\n')
    assert rows.fingerprint([], None, code=[code]) == first
    code.write_text("x = 2\n")
    assert rows.fingerprint([], None, code=[code]) != first
    assert rows.fingerprint([], None, 5, code=[code]) != rows.fingerprint([], None, code=[code])


def test_what_a_module_imports_is_reached() -> None:
    names = {path.stem for path in rows.reached("pose_node.pose.refine")}
    assert {"refine", "residuals", "se3", "surface_lookup"} <= names
    assert not names & {"pipeline", "selection", "object_network"}
