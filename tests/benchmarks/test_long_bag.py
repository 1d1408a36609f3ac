"""The figures of a long run from looks at it, and bags that are wrong in the way that their name says."""

from __future__ import annotations

import pytest

from benchmarks.cut_bags import DEPTH, INFO, wrong
from benchmarks.labelled_bag import demo_frames, labelled_messages
from benchmarks.long_bag import Sample, figures_of


def samples(growth: float) -> list[Sample]:
    """A command of two processes that writes ten frames a second and keeps three quarters of two cores busy; its second
    process grows by ``growth`` from the middle of the run on. Before the hundredth frame it starts up."""
    looks = []
    for i in range(1001):
        grown = 100.0 * (1.0 + growth) if i > 500 else 100.0
        resident = {1: 300.0, 2: 10.0 if i < 100 else grown}
        seconds = 0.1 * i + (0.0 if i >= 100 else -50.0)
        looks.append(Sample(i, seconds, 1.5 * 0.1 * i, resident, [(0.09 * i, 0.1 * i), (0.07 * i, 0.1 * i)]))
    return looks


def test_figures_are_those_of_steady_work():
    figures = figures_of(samples(0.2), 1000)
    assert figures["frames_per_s"] == pytest.approx(10.0)
    assert figures["cpu_share"] == pytest.approx(0.75)
    assert figures["core_busy_min"] == pytest.approx(0.7)
    assert figures["resident_mb"] == pytest.approx(420.0)
    assert figures["memory_growth"] == pytest.approx(0.05)
    assert figures["memory_growth_max"] == pytest.approx(0.2)


def test_a_command_that_nobody_saw_at_work_has_no_figures():
    with pytest.raises(ValueError, match="expected more frames"):
        figures_of(samples(0.0)[:50], 1000)


def test_bags_are_wrong_as_they_say():
    messages = list(labelled_messages(demo_frames("000002")[:2]))
    bags = dict(wrong(messages))
    assert {topic for topic, *_ in bags["no_info"]} == {topic for topic, *_ in messages} - {INFO}
    assert {m.__msgtype__ for topic, _, m in bags["wrong_type"] if topic == DEPTH} == {"geometry_msgs/msg/PoseStamped"}
    stamps = {
        kind: {(m.header.stamp.sec, m.header.stamp.nanosec) for topic, _, m in bags["out_of_step"] if topic == kind}
        for kind in (DEPTH, INFO)
    }
    assert len(stamps[DEPTH]) == len(stamps[INFO]) == 2 and not stamps[DEPTH] & stamps[INFO]
    assert len(bags["looped_clock"]) == 2 * len(messages)
