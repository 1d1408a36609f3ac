"""The bar on the terminal: silent in a log, complete at the end."""

from __future__ import annotations

import io
import re

import pytest

from pose_node.evaluation.runs.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        """Without colours and movements of the cursor."""
        return re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", self.getvalue())


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")


def test_items_pass_and_the_last_line_is_full():
    out = Terminal()
    assert list(progress("abc", 3, out)) == ["a", "b", "c"]
    assert out.text().splitlines()[-1].endswith("3/3 frames, 0:00:00 left") and out.text().endswith("\n")


def test_an_unknown_total():
    out = Terminal()
    assert list(progress((x for x in "abc"), None, out)) == ["a", "b", "c"]
    assert "3/? frames" in out.text()


def test_a_log_stays_clean():
    out = io.StringIO()
    assert list(progress(range(3), 3, out)) == [0, 1, 2]
    assert out.getvalue() == ""
