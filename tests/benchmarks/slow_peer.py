"""Peers that misbehave on demand: a process of its own must be able to import them."""

from __future__ import annotations

import os
from typing import Any

import numpy as np


class Peer:
    """Answers with the crop's middle; a crop of one point keeps it busy for ever, one of two raises, one of three ends it."""

    def __init__(self, training: str = "") -> None:
        if training == "endless":
            _busy()
        if training == "raises":
            raise ValueError("no such model")

    def poses(self, points_m: Any, viewpoint_m: Any) -> list[Any]:
        if len(points_m) == 1:
            _busy()
        if len(points_m) == 2:
            raise ValueError("too few points")
        if len(points_m) == 3:
            os._exit(1)
        T = np.eye(4)
        T[:3, 3] = points_m.mean(axis=0)
        return [T]


def _busy() -> None:
    while True:
        sum(range(1000))
