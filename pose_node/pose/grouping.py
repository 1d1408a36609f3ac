"""Hypotheses compete within their object and segment: this is where they are grouped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from pose_node.types import Hypothesis

Item = TypeVar("Item")


def by_segment_and_object(items: Sequence[Item], key: Callable[[Item], Hypothesis]) -> list[list[Item]]:
    """``items`` grouped by segment and object of their ``key``, groups in the order of their first member."""
    groups: dict[tuple[int, str], list[Item]] = {}
    for item in items:
        hypothesis = key(item)
        groups.setdefault((id(hypothesis.segment), hypothesis.object_name), []).append(item)
    return list(groups.values())
