"""A busy worker gets the latest frame; time is an argument, no test sleeps."""

from __future__ import annotations

import pytest

from pose_node.evaluation.sources.realtime import latest_only


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("work_s", "expected"),
    [
        (0.0, [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4)]),
        (0.9, [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4)]),
        (2.5, [(0, 0), (1, 2), (1, 4)]),
        (100.0, [(0, 0), (3, 4)]),
    ],
)
def test_the_dropped_frames_depend_on_the_working_time(work_s, expected):
    clock, seen = Clock(), []
    for item in latest_only(((float(second), second) for second in range(5)), clock):
        seen.append(item)
        clock.now_s += work_s
    assert seen == expected


def test_nothing_comes_of_nothing():
    assert list(latest_only([])) == []


def test_a_pause_is_waited_for():
    clock, seen = Clock(), []
    for item in latest_only([(0.0, "a"), (0.1, "b"), (10.0, "c"), (10.1, "d")], clock):
        seen.append(item)
        clock.now_s += 1.0
    assert seen == [(0, "a"), (0, "b"), (0, "c"), (0, "d")]
