"""Charts as inline SVG: text that a browser draws in the page's own colours, light or dark, at any width.

A chart is 360 x 240 units, about the pixels that it gets in one column of a telephone, so letters keep their size.
Colours are classes (``c0`` .. ``c6``) that the page's style sheet defines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
from numpy.typing import ArrayLike

WIDTH, HEIGHT = 360, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 348, 12, 196
COLOURS = 7


@dataclass(frozen=True)
class Scale:
    """Numbers from ``low`` to ``high`` along one axis, evenly or, with ``log``, by their logarithm (both above 0).

    whole: they count something, so that no half is marked.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def unit(self, values: ArrayLike) -> np.ndarray:
        """Where values lie between the ends: 0 .. 1, clipped; NaN stays NaN."""
        v, ends = np.asarray(values, float), np.array([self.low, self.high])
        if self.log:
            v, ends = np.log(np.maximum(v, self.low)), np.log(ends)
        return ((v - ends[0]) / max(ends[1] - ends[0], 1e-12)).clip(0.0, 1.0)

    def ticks(self) -> list[float]:
        """Four to seven round numbers inside; powers of ten (and their thirds where those are few) on a logarithmic axis."""
        if not self.log:
            steps = _round_steps(self.low, self.high)
            return [step for step in steps if step == round(step)] if self.whole else steps
        powers = 10.0 ** np.arange(np.floor(np.log10(self.low)), np.ceil(np.log10(self.high)) + 1)
        few = np.log10(self.high / self.low) < 2.5
        marks = np.outer(powers, [1, 3] if few else [1]).ravel()
        return [float(s) for s in marks if self.low * 0.999 <= s <= self.high * 1.001]


@dataclass
class Chart:
    """Axes with marks on them, drawn in the order in which they were added."""

    x: Scale
    y: Scale
    x_label: str
    y_label: str
    _marks: list[str] = field(default_factory=list)

    def line(self, x: ArrayLike, y: ArrayLike, colour: int, title: str = "", thin: bool = False) -> None:
        """A line through points; NaN breaks it, and a point alone is a dot of the line's width."""
        kind = "thin" if thin else "line"
        for run_x, run_y in _runs(x, y):
            # A line needs two ends, be they at one place: its ends are round, so this is a dot.
            ends = max(2 // len(run_x), 1)
            path = self._path(np.repeat(run_x, ends), np.repeat(run_y, ends))
            self._marks.append(
                f'<polyline class="{kind} c{colour % COLOURS}" points="{path}">{_title(title)}</polyline>'
            )

    def band(self, x: ArrayLike, low: ArrayLike, high: ArrayLike, colour: int) -> None:
        """The area between two lines, as an interval around a curve; NaN breaks it."""
        for run_x, bottom, top in _runs(x, low, high):
            path = self._path(np.concatenate([run_x, run_x[::-1]]), np.concatenate([bottom, top[::-1]]))
            self._marks.append(f'<polygon class="band c{colour % COLOURS}" points="{path}"/>')

    def dots(self, x: ArrayLike, y: ArrayLike, colour: int, titles: Sequence[str] = (), radius: float = 3.0) -> None:
        """A dot at each point, with a title each where given; NaN is left out."""
        px, py = self._at(x, y)
        for i in np.flatnonzero(np.isfinite(px) & np.isfinite(py)):
            title = _title(titles[i]) if titles else ""
            self._marks.append(
                f'<circle class="dot c{colour % COLOURS}" cx="{px[i]:.1f}" cy="{py[i]:.1f}" r="{radius:g}">{title}</circle>'
            )

    def whiskers(self, x: ArrayLike, low: ArrayLike, high: ArrayLike, colour: int) -> None:
        """An upright line at each x from low to high; NaN is left out."""
        px, bottom = self._at(x, low)
        _, top = self._at(x, high)
        for i in np.flatnonzero(np.isfinite(px) & np.isfinite(bottom) & np.isfinite(top)):
            self._marks.append(
                f'<path class="line c{colour % COLOURS}" d="M{px[i]:.1f} {bottom[i]:.1f}V{top[i]:.1f}"/>'
            )

    def bars(self, edges: ArrayLike, heights: ArrayLike, colour: int, titles: Sequence[str] = ()) -> None:
        """A bar between each two neighbouring edges [N + 1], from the axis up to heights [N]."""
        left, top = self._at(np.asarray(edges, float)[:-1], heights)
        right, _ = self._at(np.asarray(edges, float)[1:], heights)
        for i, height in enumerate(np.asarray(heights, float)):
            if height > 0:
                title = _title(titles[i]) if titles else ""
                self._marks.append(
                    f'<rect class="bar c{colour % COLOURS}" x="{left[i] + 0.5:.1f}" y="{top[i]:.1f}" '
                    f'width="{max(right[i] - left[i] - 1, 0.5):.1f}" height="{_BOTTOM - top[i]:.1f}">{title}</rect>'
                )

    def guide(self, x: Sequence[float], y: Sequence[float]) -> None:
        """A dashed line to compare with: a threshold, a diagonal."""
        self._marks.append(f'<polyline class="guide" points="{self._path(x, y)}"/>')

    def svg(self, title: str) -> str:
        """The chart as one element; ``title`` is what a screen reader says."""
        parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title, quote=True)}">']
        for tick, place in zip(self.y.ticks(), self._at([self.x.low] * len(self.y.ticks()), self.y.ticks())[1]):
            parts.append(f'<path class="rule" d="M{_LEFT} {place:.1f}H{_RIGHT}"/>')
            parts.append(f'<text x="{_LEFT - 5}" y="{place + 4:.1f}" text-anchor="end">{number(tick)}</text>')
        for tick, place in zip(self.x.ticks(), self._at(self.x.ticks(), [self.y.low] * len(self.x.ticks()))[0]):
            parts.append(f'<path class="rule" d="M{place:.1f} {_TOP}V{_BOTTOM}"/>')
            # The last number would stick out on the right if it stood centred under its tick.
            anchor = "end" if place > _RIGHT - 8 else "middle"
            parts.append(
                f'<text x="{min(place, WIDTH - 4):.1f}" y="{_BOTTOM + 18}" text-anchor="{anchor}">{number(tick)}</text>'
            )
        parts += self._marks
        parts.append(f'<path class="axis" d="M{_LEFT} {_TOP}V{_BOTTOM}H{_RIGHT}"/>')
        middle_x, middle_y = (_LEFT + _RIGHT) / 2, (_TOP + _BOTTOM) / 2
        parts.append(f'<text x="{middle_x}" y="{HEIGHT - 8}" text-anchor="middle">{escape(self.x_label)}</text>')
        parts.append(
            f'<text transform="translate(12 {middle_y}) rotate(-90)" text-anchor="middle">{escape(self.y_label)}</text>'
        )
        return "".join([*parts, "</svg>"])

    def _at(self, x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        return _LEFT + (_RIGHT - _LEFT) * self.x.unit(x), _BOTTOM - (_BOTTOM - _TOP) * self.y.unit(y)

    def _path(self, x: ArrayLike, y: ArrayLike) -> str:
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(*self._at(x, y)))


def number(value: float) -> str:
    """A number as short as an axis wants it: 0.05, 1, 2,000."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value + 0.0:.4g}"


def _round_steps(low: float, high: float) -> list[float]:
    span = max(high - low, 1e-12)
    power = 10.0 ** np.floor(np.log10(span / 5))
    step = power * next(m for m in (1, 2, 5, 10) if span / (power * m) <= 6)
    ticks = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step
    return [float(np.round(t, 12)) for t in ticks]


def _runs(*columns: ArrayLike) -> list[list[np.ndarray]]:
    """Columns [N] cut into the stretches in which all of them are numbers."""
    arrays = [np.asarray(column, float) for column in columns]
    known = np.isfinite(arrays).all(axis=0)
    breaks = np.flatnonzero(np.diff(known.astype(int)) != 0) + 1
    pieces = np.split(np.arange(len(known)), breaks)
    return [[array[p] for array in arrays] for p in pieces if len(p) and known[p[0]]]


def _title(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""
