"""Charts are well-formed, hold all their marks, and number their axes roundly."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from pose_node.evaluation.report.svg import HEIGHT, WIDTH, Chart, Scale, number


def parts(chart: Chart, tag: str):
    return [e for e in ET.fromstring(chart.svg("<title> & more")).iter() if e.tag.endswith(tag)]


def test_marks_stay_inside():
    chart = Chart(Scale(0.0, 1.0), Scale(0.0, 10.0), "x & y", "<y>")
    chart.line([-5, 0.5, 20], [-3, 5, 100], 0, "a <line>")
    chart.dots([0.5, np.nan], [5, 5], 1, ["one", "none"])
    chart.bars([0, 0.5, 1], [3, 0], 2, ["three", "none"])
    chart.band([0, 1], [0, 1], [2, 3], 3)
    chart.whiskers([0.5], [1], [9], 4)
    chart.guide([0, 1], [0, 10])
    assert len(parts(chart, "circle")) == len(parts(chart, "rect")) == len(parts(chart, "polygon")) == 1
    numbers = " ".join(e.get("points") for e in parts(chart, "polyline")).replace(",", " ").split()
    x, y = np.array(numbers, float).reshape(-1, 2).T
    assert (x >= 0).all() and (x <= WIDTH).all() and (y >= 0).all() and (y <= HEIGHT).all()


def test_missing_values_break_a_line():
    chart = Chart(Scale(0.0, 3.0), Scale(0.0, 1.0), "x", "y")
    chart.line([0, 1, 2, 3], [0.1, np.nan, 0.3, 0.4], 0)
    assert [len(e.get("points").split()) for e in parts(chart, "polyline")] == [2, 2]
    chart.line([], [], 0)
    chart.band([0, 1], [np.nan, np.nan], [1, 1], 0)
    assert not parts(chart, "polygon")
    chart.band([0, 1, 2, 3, 4], [0, 0, np.nan, 0, 0], [1, 1, 1, 1, 1], 0)
    assert [len(e.get("points").split()) for e in parts(chart, "polygon")] == [4, 4]


@pytest.mark.parametrize("low, high", [(0, 1), (0, 0.2), (-3.7, 3.7), (0, 7), (0, 1e-6), (0, 123456), (5, 5)])
def test_ticks_are_few_and_inside(low, high):
    ticks = Scale(low, high).ticks()
    assert 1 <= len(ticks) <= 8
    assert all(low - 1e-9 <= t <= high + 1e-9 for t in ticks)
    assert len({number(t) for t in ticks}) == len(ticks)


@pytest.mark.parametrize("low, high", [(0.1, 180.0), (0.003, 3.0), (0.1, 1000.0)])
def test_logarithmic_ticks(low, high):
    scale = Scale(low, high, log=True)
    assert 3 <= len(scale.ticks()) <= 8
    np.testing.assert_allclose(scale.unit([low, np.sqrt(low * high), high, 0.0]), [0.0, 0.5, 1.0, 0.0])


def test_counts_are_marked_by_whole_numbers():
    assert Scale(0.0, 3.0).ticks() == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert Scale(0.0, 3.0, whole=True).ticks() == [0.0, 1.0, 2.0, 3.0]
    assert Scale(0.0, 1.0, whole=True).ticks() == [0.0, 1.0]
