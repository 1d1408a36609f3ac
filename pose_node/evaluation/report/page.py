"""Pages from the jinja2 templates beside this file, and what the templates are given: tables, cells and figures.

A page needs nothing but itself: style sheet inside, charts as SVG, pictures as data; no script, no network.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pose_node.errors import InputError
from pose_node.evaluation.report.formatting import footnote
from pose_node.evaluation.report.svg import THEME

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Cell:
    """Plain text, its interval in smaller letters, and a CSS class; a link where there is a ``target`` (relative to the page), a
    bar over a ``share`` (0..1) of the cell's width where there is one."""

    text: object = ""
    interval: str = ""
    kind: str = ""
    target: str = ""
    share: float | None = None


@dataclass(frozen=True)
class Table:
    """Rows of ``Cell``, or of anything that is shown as plain text. prose: the columns [index] of sentences, aligned left."""

    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    prose: Sequence[int] = ()

    @property
    def cells(self) -> list[list[Cell]]:
        """[row][column]."""
        return [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in self.rows]

    @property
    def footnote(self) -> str:
        """Why some figures have no interval; empty where each has one."""
        return footnote(cell.interval for row in self.cells for cell in row)


@dataclass(frozen=True)
class Figure:
    """A chart or picture, its caption, a note below that, and {series: CSS class of its colour}."""

    caption: str
    body: Markup
    note: str = ""
    key: Mapping[str, str] = field(default_factory=dict)


def picture(image: Image, title: str) -> Markup:
    """A PIL image as data inside the page."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, format="JPEG", quality=85, optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    tag = Markup('<img alt="{}" width="{}" height="{}" src="data:image/jpeg;base64,{}">')
    return tag.format(title, image.width, image.height, data)


def write_page(path: Path, template: str, **values: Any) -> Path:
    """Fill in a template and write it; raises InputError when the file cannot be written."""
    text = _ENVIRONMENT.get_template(template).render(values)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: found {error.strerror}, expected a place to write a page to.") from None
    return path


def _breakable(text: object) -> Markup:
    """Text in which long names may break after an underscore."""
    return escape(text).replace("_", Markup("_<wbr>"))


_ENVIRONMENT = Environment(
    loader=PackageLoader("pose_node.evaluation.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters["breakable"] = _breakable
_ENVIRONMENT.globals["theme"] = THEME
