"""Which estimates and tracks of one object stand at the same place. (Kuhn, "The Hungarian method for the assignment problem",
1955, within a gate.)"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from pose_node.arrays import Array
from pose_node.objects.card import ObjectCard

_PLACE_REL = 0.25  # of the diameter: poses whose centres are nearer than this are of one instance
_SIGMAS = 3.0  # of both positions, by which that distance grows
_BEYOND_M = 1e3  # costs more than all pairs that are allowed


def assign(
    measured: Sequence[tuple[Array, Array]], tracked: Sequence[tuple[Array, Array]], card: ObjectCard
) -> dict[int, int]:
    """{row of ``measured``: row of ``tracked``} of the pairs at one place, with the least sum of distances.

    Both are lists of (T_fixed_object [4, 4], covariance [6, 6]), of which only the trace of the position is used.
    """
    if not measured or not tracked:
        return {}
    centre = np.append(card.centre_m, 1.0)
    cost = np.full((len(measured), len(tracked)), np.inf)
    for j, (T, P) in enumerate(tracked):
        for i, (T_measured, P_measured) in enumerate(measured):
            off_m = np.linalg.norm((T_measured - T)[:3] @ centre)
            spread_m = np.sqrt((np.trace(P[:3, :3]) + np.trace(P_measured[:3, :3])) / 3.0)
            if off_m < max(_PLACE_REL * card.diameter_m, _SIGMAS * spread_m):
                cost[i, j] = off_m
    rows, columns = linear_sum_assignment(np.where(np.isinf(cost), _BEYOND_M, cost))
    return {int(i): int(j) for i, j in zip(rows, columns) if np.isfinite(cost[i, j])}


def at_one_place(T_a: Array, T_b: Array, card: ObjectCard) -> bool:
    """Whether two poses [4, 4] of one object have their centres at the same place."""
    centre = np.append(card.centre_m, 1.0)
    return bool(np.linalg.norm(T_a[:3] @ centre - T_b[:3] @ centre) < _PLACE_REL * card.diameter_m)
