"""Charts are well-formed, in the page's colours, without gaps where there is data, and the same bytes each time."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from pose_node.evaluation.report.svg import HEIGHT, WIDTH, draw_band, draw_line, new_axes, set_tooltip, to_svg

XLINK = 'xmlns:xlink="http://www.w3.org/1999/xlink"'


def axes(x=(0.0, 3.0), y=(0.0, 1.0), **kinds):
    return new_axes("x & y", "<y>", x, y, **kinds)


def parts(axes, tag: str):
    svg = str(to_svg(axes, "<title> & more")).replace("<svg ", f"<svg {XLINK} ", 1)
    return [e for e in ET.fromstring(svg).iter() if e.tag.endswith(tag)]


def paths_of(axes, colour: str) -> list[np.ndarray]:
    """The points [N, 2] of each path in a colour."""
    found = [e for e in parts(axes, "path") if f"stroke: var(--{colour})" in e.get("style", "")]
    return [np.array(re.findall(r"-?[\d.]+", e.get("d")), float).reshape(-1, 2) for e in found]


def test_text_is_text_and_colours_are_the_pages():
    made = axes()
    draw_line(made, [0, 1], [0, 1], 3, tooltip='a <line> & "more"')
    assert {"x & y", "<y>"} <= {e.text for e in parts(made, "text")}
    assert [e.text for e in parts(made, "title")] == ['a <line> & "more"']
    svg = to_svg(made, "line")
    assert "var(--c3)" in svg and "var(--soft)" in svg and "#" not in re.sub(r"url\([^)]*\)", "", svg)


def test_the_same_axes_give_the_same_bytes_and_two_charts_share_no_id():
    one, two = (to_svg(axes(), title) for title in ("one", "two"))
    assert one == to_svg(axes(), "one")
    ids = [set(re.findall(r' id="([^"]*)"', svg)) for svg in (one, two)]
    assert ids[0] and not ids[0] & ids[1]


def test_lines_stay_inside():
    made = axes()
    draw_line(made, [0, 1.5, 3], [-3, 0.5, 100], 0)
    (path,) = paths_of(made, "c0")
    assert (path >= 0).all() and (path <= (WIDTH, HEIGHT)).all() and len(path) == 3


def test_missing_values_break_a_line_and_a_lone_one_is_a_dot():
    made = axes()
    draw_line(made, [0, 1, 2, 3], [0.1, np.nan, 0.3, 0.4], 0)
    assert len(parts(made, "use")) == 1  # the dot
    draw_line(made, [], [], 0)
    made = axes((0.0, 4.0))
    draw_band(made, [0, 1], [np.nan, np.nan], [1, 1], 0)
    assert "fill-opacity" not in to_svg(made, "band")
    draw_band(made, [0, 1, 2, 3, 4], [0, 0, np.nan, 0, 0], [1, 1, 1, 1, 1], 0)
    assert to_svg(made, "band").count("fill-opacity") == 2


@pytest.mark.parametrize("low, high", [(0, 1), (0, 0.2), (-3.7, 3.7), (0, 7), (0, 1e-6), (0, 123456)])
def test_ticks_are_few_and_inside(low, high):
    ticks = [t for t in axes((low, high)).get_xticks() if low <= t <= high]
    assert 2 <= len(ticks) <= 8 and len({f"{t:.4g}" for t in ticks}) == len(ticks)


@pytest.mark.parametrize("low, high, numbers", [(0.1, 180.0, "0.1 1 10 100"), (0.1, 9.0, "0.1 0.3 1 3")])
def test_logarithmic_ticks(low, high, numbers):
    assert set(numbers.split()) <= {e.text for e in parts(axes((low, high), log=True), "text")}


def test_counts_have_whole_numbers():
    assert all(t == int(t) for t in axes(y=(0.0, 3.0), counts=True).get_yticks())
    assert not all(t == int(t) for t in axes(y=(0.0, 3.0)).get_yticks())


def test_tooltips_of_bars():
    made = axes()
    for bar, text in zip(made.bar([0, 1], [0.5, 0.7]), ("one", "two")):
        set_tooltip(bar, text)
    assert [e.text for e in parts(made, "title")] == ["one", "two"]
