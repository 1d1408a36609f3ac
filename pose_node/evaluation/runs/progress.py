"""A progress bar on the terminal: frames done, frames in all, time left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")


def progress(items: Iterable[Item], total: int | None, stream: TextIO | None = None) -> Iterator[Item]:
    """The items, with a progress bar on ``stream`` (default: stderr); silent where that is no terminal. total: None if unknown."""
    console = Console(file=stream, stderr=stream is None)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("frames,"), TimeRemainingColumn(), TextColumn("left"))
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        yield from bar.track(items, total)
