"""One HTML page that needs nothing but itself: style sheet inside, charts as SVG, pictures as data; no script, no network."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from PIL.Image import Image

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #5b646d; --paper: #f6f7f8; --card: #fff; --rule: #d9dde1;
  --c0: #2463b0; --c1: #c2471c; --c2: #2b7f4a; --c3: #8a3f9e; --c4: #9a7100; --c5: #1d7d86; --c6: #6a5acd; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #9aa4ae; --paper: #14171a; --card: #1d2125; --rule: #353b41;
  --c0: #6fa8ee; --c1: #f08a5d; --c2: #6cc48c; --c3: #cf8fe0; --c4: #dcb34a; --c5: #5cc3cd; --c6: #a79bf5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1248px; padding: 16px; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 24px; line-height: 1.2; margin: 8px 0 4px; }
h2 { font-size: 18px; margin: 32px 0 8px; }
p { margin: 4px 0 10px; max-width: 78ch; }
.soft, .interval, figcaption small { color: var(--soft); }
.facts { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 0 0 8px; padding: 0; list-style: none; }
.notes { border-left: 4px solid var(--c1); padding: 2px 12px; margin: 12px 0; }
.notes ul { margin: 4px 0; padding-left: 18px; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr)); gap: 14px; }
.card + figure, figure + .grid, figure + p { margin-top: 14px; }
.pictures { grid-template-columns: repeat(auto-fill, minmax(min(100%, 520px), 1fr)); }
figure, .card { margin: 0; padding: 12px; background: var(--card); border: 1px solid var(--rule); border-radius: 6px; min-width: 0; }
.card { overflow-x: auto; }
figcaption { font-weight: 600; margin-bottom: 6px; }
figcaption small { display: block; font-weight: 400; font-size: 13px; }
figure svg, figure img { display: block; width: 100%; height: auto; }
.key { display: flex; flex-wrap: wrap; gap: 2px 14px; margin: 6px 0 0; padding: 0; list-style: none; font-size: 13px; }
.key i { display: inline-block; width: 14px; height: 4px; margin-right: 5px; vertical-align: middle; border-radius: 2px; }
svg text { fill: var(--soft); font: 11px system-ui, "Segoe UI", Roboto, Arial, sans-serif; }
svg .rule { stroke: var(--rule); fill: none; } svg .axis { stroke: var(--soft); fill: none; }
svg .confirmed, .key .confirmed { fill: var(--c2); background: var(--c2); } svg .tentative, .key .tentative { fill: var(--c4); background: var(--c4); }
svg .lost, .key .lost { fill: none; stroke: var(--c1); border: 1px dashed var(--c1); stroke-dasharray: 3 2; }
.key .confirmed, .key .lost { height: 12px; } .key .tentative { height: 6px; }
svg polyline.line, svg polyline.thin { stroke-linecap: round; }
svg .guide { stroke: var(--soft); fill: none; stroke-dasharray: 4 4; }
svg .line { fill: none; stroke-width: 2.2; } svg .thin { fill: none; stroke-width: 1.2; } svg .band { stroke: none; fill-opacity: .18; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 6px; text-align: right; vertical-align: top; border-bottom: 1px solid var(--rule); overflow-wrap: normal; }
th { font-size: 13px; font-weight: 600; color: var(--soft); vertical-align: bottom; }
th:first-child, td:first-child, .words { text-align: left; } td:first-child { overflow-wrap: break-word; }
td:first-child { font-weight: 600; }
tr:last-child td { border-bottom: 0; }
.interval { display: block; font-size: 12px; font-weight: 400; white-space: nowrap; }
.many .interval { white-space: normal; }
.better { color: var(--c2); font-weight: 600; } .worse { color: var(--c1); font-weight: 600; }
.level { display: block; height: 9px; margin-top: 6px; background: var(--c0); border-radius: 2px; min-width: 1px; }
.words { width: 55%; } .many .words { width: 34%; }
@media (max-width: 760px) { body { padding: 10px; } .card { padding: 8px 12px; } }
@media print { body { background: none; } figure, .card, tr { break-inside: avoid; } }
"""
# How a table looks where its columns have no room beside each other: each row is a list of its own.
_LISTED = """
@media (max-width: WIDTHpx) {
  KIND { display: block; } KIND tbody, KIND tr, KIND td { display: block; width: 100%; } KIND thead { display: none; }
  KIND tr { padding: 8px 0; border-bottom: 1px solid var(--rule); } KIND tr:last-child { border-bottom: 0; }
  KIND td { display: flex; justify-content: space-between; gap: 12px; padding: 2px 0; border: 0; text-align: right; }
  KIND td:first-child, KIND td.words { display: block; width: 100%; text-align: left; }
  KIND td::before { content: attr(data-name); color: var(--soft); text-align: left; }
  KIND td:first-child::before, KIND td.words::before { content: none; }
  KIND .interval { display: inline; margin-left: 6px; }
}
"""
_MANY = 8  # columns beyond which a table needs a wide screen
_COLOURS = "".join(
    f"svg .line.c{i}, svg .thin.c{i} {{ stroke: var(--c{i}); }} svg .band.c{i}, svg .dot.c{i}, svg .bar.c{i} {{ fill: var(--c{i}); }} "
    f".key .c{i} {{ background: var(--c{i}); }}\n"
    for i in range(7)
)


def page(title: str, parts: Iterable[str]) -> str:
    """The whole document around parts that are HTML already."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n<style>{_STYLE}{_COLOURS}{_lists()}</style>\n</head>\n<body>\n'
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>\n"
    )


def heading(title: str) -> str:
    """The name of the page, once at its top."""
    return f"<h1>{escape(title)}</h1>"


def section(title: str, *parts: str) -> str:
    """A heading and what is below it; nothing at all where there is nothing below."""
    inside = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{escape(title)}</h2>\n{inside}\n</section>" if inside else ""


def paragraph(text: str, kind: str = "") -> str:
    """One paragraph of plain text."""
    return f"<p{_class(kind)}>{escape(text)}</p>"


def facts(items: Iterable[str]) -> str:
    """Short plain texts beside each other."""
    return f'<ul class="facts">{"".join(f"<li>{escape(item)}</li>" for item in items)}</ul>'


def notes(sentences: Sequence[str]) -> str:
    """Sentences that should be read before the figures; nothing where there are none."""
    return (
        f'<div class="notes"><ul>{"".join(f"<li>{escape(s)}</li>" for s in sentences)}</ul></div>' if sentences else ""
    )


def figure(caption: str, inside: str, note: str = "", key: Mapping[str, int | str] | None = None) -> str:
    """A chart or picture under its caption; ``key`` names the colours that it uses, by number, or the kinds of its marks."""
    small = f"<small>{escape(note)}</small>" if note else ""
    kinds = {name: mark if isinstance(mark, str) else f"c{mark % 7}" for name, mark in (key or {}).items()}
    names = "".join(f'<li><i class="{kind}"></i>{escape(name)}</li>' for name, kind in kinds.items())
    below = f'<ul class="key">{names}</ul>' if names else ""
    return f"<figure><figcaption>{escape(caption)}{small}</figcaption>{inside}{below}</figure>"


def grid(figures: Iterable[str], kind: str = "") -> str:
    """Figures in as many columns as fit."""
    inside = "\n".join(f for f in figures if f)
    return f'<div class="grid{" " + kind if kind else ""}">\n{inside}\n</div>' if inside else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], words: Sequence[int] = ()) -> str:
    """A table whose cells are HTML already (``text``, ``bar``); columns in ``words`` are read, not compared, and start left.

    On a narrow screen each row stands as a list of its own. Nothing where there are no rows.
    """
    kinds = ["words" if column in words else "" for column in range(len(head))]
    names = "".join(f'<th scope="col"{_class(kind)}>{escape(name)}</th>' for name, kind in zip(head, kinds))
    lines = []
    for row in rows:
        cells = "".join(
            f'<td{_class(kind)} data-name="{escape(name, quote=True)}">{cell}</td>'
            for name, cell, kind in zip(head, row, kinds)
        )
        lines.append(f"<tr>{cells}</tr>")
    body = f"<thead><tr>{names}</tr></thead><tbody>{''.join(lines)}</tbody>"
    kind = _class("many") if len(head) > _MANY else ""
    return f'<div class="card"><table{kind}>{body}</table></div>' if lines else ""


def text(value: object, interval: str = "", kind: str = "") -> str:
    """A cell: plain text, and its interval in smaller letters. Long names may break after an underscore."""
    small = f'<span class="interval">{escape(interval)}</span>' if interval else ""
    words = escape(str(value)).replace("_", "_<wbr>")
    return f"<span{_class(kind)}>{words}{small}</span>"


def link(target: str, words: str) -> str:
    """A cell that leads to another file, its path relative to the page."""
    return f'<a href="{escape(quote(target), quote=True)}">{escape(words)}</a>'


def bar(share: float) -> str:
    """A cell that is a bar over ``share`` (0..1) of its width."""
    return f'<span class="level" style="width:{100 * min(max(share, 0.0), 1.0):.1f}%"></span>'


def picture(image: Image, title: str) -> str:
    """A PIL image as data inside the page."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, format="JPEG", quality=85, optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img alt="{escape(title, quote=True)}" width="{image.width}" height="{image.height}" src="data:image/jpeg;base64,{data}">'


def _lists() -> str:
    sizes = (("table", "760"), ("table.many", "1120"))
    return "".join(_LISTED.replace("KIND", kind).replace("WIDTH", width) for kind, width in sizes)


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
