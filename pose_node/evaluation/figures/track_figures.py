"""The figures of a run's tracks in its summary: losses, flips and spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pose_node.evaluation.figures.figure import mean_figure, median_figure
from pose_node.evaluation.figures.tracks import track_paths
from pose_node.evaluation.records import FrameRecord

_TRACKED = {
    "track_losses": "mean number of losses per confirmed track",
    "track_flips": "mean number of rotations by more than 30 degrees from one frame to the next, per confirmed track",
    "track_farthest_mm": "largest distance of any confirmed pose from its track's median, millimetres",
    "track_farthest_deg": "largest angle of any confirmed pose from its track's median orientation, degrees",
    "track_spread_mm": "95th percentile of the distance of confirmed poses from the track's median, median over tracks, millimetres",
    "track_spread_deg": "95th percentile of the angle of confirmed poses from the track's median orientation, median over tracks, degrees",
}


def track_figures(frames: Sequence[FrameRecord], seed: int = 0) -> dict[str, Any]:
    """{key: figure} as in ``summarise``, with intervals over tracks; empty without a confirmed track."""
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
        # The bootstrap gives no interval of a maximum.
        farthest = np.nanmax([path.farthest() for path in paths], axis=0)
        for key, value in zip(("track_farthest_mm", "track_farthest_deg"), farthest):
            figures[key] = {"value": float(value), "low": None, "high": None}
    return figures


def track_meaning(key: str) -> str:
    """A figure's definition in words; raises KeyError for an unknown figure."""
    return _TRACKED[key]
