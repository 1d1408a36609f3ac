"""The options ``--topics`` and ``--labels`` of ``pose_node evaluate`` and ``pose_node view``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from pose_node.errors import InputError


def topics_of(options: argparse.Namespace) -> dict[str, str]:
    """{role: topic} of ``--topics``; raises InputError for a word that is not ROLE=TOPIC."""
    return dict(_pairs(options.topics, "--topics"))


def labels_of(options: argparse.Namespace) -> dict[int, str]:
    """{mask value: object} of ``--labels``; raises InputError for a word that is not VALUE=OBJECT, or a value that is no whole number."""
    return {_mask_value(value): name for value, name in _pairs(options.labels, "--labels")}


def _pairs(words: Sequence[str], option: str) -> list[tuple[str, str]]:
    pairs = [(key, value) for key, _, value in (word.partition("=") for word in words)]
    wrong = next((word for word, (key, value) in zip(words, pairs) if not (key and value)), None)
    if wrong is not None:
        raise InputError(f"{option}: found {wrong!r}, expected two words joined by '='.")
    return pairs


def _mask_value(value: str) -> int:
    if not value.isdigit():
        raise InputError(f"--labels: found {value!r}, expected a whole number, a value of the mask.")
    return int(value)
