"""The report's charts: matplotlib axes, and their SVG in the page's own colours, light or dark.

A chart is 360 x 240 units, about the pixels of one column on a phone, so that letters keep their size.
"""

from __future__ import annotations

import io
import re

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike

WIDTH, HEIGHT = 360, 240
# CSS variable: colour on a light page, colour on a dark one. Series are numbered; the rest is text, lines and backgrounds.
THEME = {
    "ink": ("#1c2024", "#e6e9ec"),
    "soft": ("#5b646d", "#9aa4ae"),
    "paper": ("#f6f7f8", "#14171a"),
    "card": ("#ffffff", "#1d2125"),
    "rule": ("#d9dde1", "#353b41"),
    "c0": ("#2463b0", "#6fa8ee"),
    "c1": ("#c2471c", "#f08a5d"),
    "c2": ("#2b7f4a", "#6cc48c"),
    "c3": ("#8a3f9e", "#cf8fe0"),
    "c4": ("#9a7100", "#dcb34a"),
    "c5": ("#1d7d86", "#5cc3cd"),
    "c6": ("#6a5acd", "#a79bf5"),
}
COLOURS = [light for name, (light, _) in THEME.items() if re.fullmatch(r"c\d", name)]
_VARIABLES = {light: f"var(--{name})" for name, (light, _) in THEME.items()}
_SOFT, _RULE = THEME["soft"][0], THEME["rule"][0]
_STYLE = {
    "figure.dpi": 72,  # one unit of the chart is one point
    "font.size": 11,
    "svg.fonttype": "none",  # text stays text: small, and found by the browser's search
    "axes.edgecolor": _SOFT,
    "axes.labelcolor": _SOFT,
    "axes.labelpad": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": False,
    "grid.color": _RULE,
    "xtick.color": _RULE,
    "ytick.color": _RULE,
    "xtick.labelcolor": _SOFT,
    "ytick.labelcolor": _SOFT,
    "xtick.major.size": 0,
    "xtick.major.pad": 12,
    "ytick.major.size": 0,
    "ytick.major.pad": 5,
}
ROUND = (1, 2, 5, 10)  # steps between the numbers of an axis, times a power of ten
_TOOLTIP = "tooltip:"


def new_axes(
    x_label: str, y_label: str, x: tuple[float, float], y: tuple[float, float], log: bool = False, counts: bool = False
) -> Axes:
    """Axes from ``x`` and ``y``, the (low, high) of each. log: x is logarithmic. counts: y has whole numbers alone."""
    with matplotlib.rc_context(_STYLE):
        axes = Figure(figsize=(WIDTH / 72, HEIGHT / 72)).add_axes((0.145, 0.2, 0.815, 0.765))
    axes.set(xlabel=x_label, ylabel=y_label, xscale="log" if log else "linear", xlim=x, ylim=y)
    if log:
        few = np.log10(x[1] / x[0]) < 2.5
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if few else (1.0,)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=ROUND))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=ROUND, integer=counts))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:.4g}")
    return axes


def draw_line(axes: Axes, x: ArrayLike, y: ArrayLike, colour: int, width: float = 2.2, tooltip: str = "") -> None:
    """A line in the numbered colour, cut at the ends of the y axis; NaN breaks it, and a lone point is a dot."""
    y = np.clip(np.asarray(y, float), *axes.get_ylim())
    known = np.pad(np.isfinite(y), 1)
    lone = known[1:-1] & ~known[:-2] & ~known[2:]
    style = {"color": COLOURS[colour % len(COLOURS)], "linewidth": width, "solid_capstyle": "round", "clip_on": False}
    (line,) = axes.plot(x, y, **style, marker="o" if lone.any() else "", markersize=width, markevery=lone)
    if tooltip:
        set_tooltip(line, tooltip)


def draw_band(axes: Axes, x: ArrayLike, low: ArrayLike, high: ArrayLike, colour: int) -> None:
    """The area between two lines, as an interval around a curve; NaN breaks it."""
    low, high = (np.clip(np.asarray(v, float), *axes.get_ylim()) for v in (low, high))
    axes.fill_between(x, low, high, color=COLOURS[colour % len(COLOURS)], alpha=0.18, linewidth=0)


def set_tooltip(artist: matplotlib.artist.Artist, text: str) -> None:
    """What a browser shows while the pointer is over the artist."""
    artist.set_gid(_TOOLTIP + text)


def to_svg(axes: Axes, title: str) -> Markup:
    """The chart as one element without ids or namespaces that a page would have twice; ``title`` is for screen readers.

    The same axes give the same bytes.
    """
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": title}):
        axes.figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    text = file.getvalue()
    text = re.sub(r"<defs>\s*<style.*?</defs>", "", text[text.index("<g ") :], flags=re.DOTALL)
    text = re.sub(rf"<g id=([\"']){_TOOLTIP}(.*?)\1>", r"<g><title>\2</title>", text)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r'<g/>\s*| font-family: [^;]*;| transform="rotate\(-0 [^"]*"', "", text)  # the page sets the font
    # A hundredth of a unit is below what any screen shows.
    text = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+|\s*\n", r"\1", path[0]), text)
    text = re.sub("|".join(_VARIABLES), lambda colour: _VARIABLES[colour[0]], text)
    head = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, HEIGHT, title)
    return head + Markup(re.sub(r"\n\s*", "\n", text))
