"""A sheet that is bent or flat, as a depth camera sees it."""

from __future__ import annotations

import numpy as np

SIDE = 60


def bent(angle_deg: float, turn_m: float = 0.0):
    """Points [N, 3] of a sheet 12 cm long, bent across by an angle (positive: concave to the viewer), and their pixels."""
    row, column = (a.ravel() for a in np.indices((SIDE, SIDE)))
    along = (column - SIDE / 2) * 0.002
    x = (row - SIDE / 2) * 0.002
    depth = 0.6 - np.tan(np.deg2rad(angle_deg) / 2) * np.abs(along)
    return np.stack([x, along, depth], axis=1), (row, column)
