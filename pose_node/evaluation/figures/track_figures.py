"""The figures of a run's tracks in its summary: how often they are lost, and how steady they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pose_node.evaluation.figures.summarise import mean_figure, median_figure
from pose_node.evaluation.figures.tracks import track_paths
from pose_node.evaluation.records import FrameRecord

_TRACKED = {
    "track_losses": "mean times that a track was lost, of those that were ever confirmed",
    "track_flips": "mean times that a confirmed track turned by more than 30 degrees from one frame to the next",
    "track_farthest_mm": "farthest that any confirmed frame of any track was from its track's median, millimetres",
    "track_farthest_deg": "farthest that any confirmed frame of any track was turned from its track's middle turn, degrees",
    "track_spread_mm": "median over tracks of how far 95 % of the confirmed frames stay within of the track's median, millimetres",
    "track_spread_deg": "median over tracks of how far 95 % of the confirmed frames stay within of its middle turn, degrees",
}


def track_figures(frames: Sequence[FrameRecord], seed: int = 0) -> dict[str, Any]:
    """{key: figure} as in ``summarise``, with intervals over tracks; empty where none was confirmed."""
    paths = [path for path in track_paths(frames) if path.confirmed.any()]
    spreads = np.array([path.spread() for path in paths]).reshape(-1, 2)
    names = [path.name for path in paths]
    figures = {}
    if paths:
        figures["track_losses"] = mean_figure(np.array([len(path.losses) for path in paths], float), names, seed)
        figures["track_flips"] = mean_figure(np.array([path.flips for path in paths], float), names, seed)
    if np.isfinite(spreads).any():
        figures["track_spread_mm"] = median_figure(spreads[:, 0], names, seed)
        figures["track_spread_deg"] = median_figure(spreads[:, 1], names, seed)
        # A largest value has no interval that drawing tracks again could tell.
        farthest = np.nanmax([path.farthest() for path in paths], axis=0)
        for key, value in zip(("track_farthest_mm", "track_farthest_deg"), farthest):
            figures[key] = {"value": float(value), "low": None, "high": None}
    return figures


def track_meaning(key: str) -> str:
    """What a figure is, for a reader; raises KeyError for another."""
    return _TRACKED[key]
