"""The bar on the terminal: silent in a log, right about what is left."""

from __future__ import annotations

import io

from pose_node.evaluation.runs.progress import bar, progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_foretells_the_time_left():
    assert bar(5, 10, 60.0) == "[############            ] 5/10 frames, 1:00 left"
    assert bar(1, 3, 5000.0).endswith("1/3 frames, 2:46:40 left")
    assert bar(7, None, 61.0) == "7 frames, 1:01"


def test_items_pass_and_the_last_line_is_full():
    ticks = iter(range(100))
    out = Terminal()
    assert list(progress("abc", 3, out, lambda: float(next(ticks)))) == ["a", "b", "c"]
    assert "3/3 frames, 0:00 left" in out.getvalue().split("\r")[-1]
    assert out.getvalue().endswith("\n")


def test_a_log_stays_clean():
    out = io.StringIO()
    assert list(progress(range(3), 3, out)) == [0, 1, 2]
    assert out.getvalue() == ""
