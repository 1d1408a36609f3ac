"""Which unions of neighbouring surface pieces have the size of an object.

The size of a set of points is its spread along its three main axes, which no motion changes. Each view of an object has such a
size; an occluder makes it smaller, nothing makes it larger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from scipy.spatial import cKDTree

from pose_node.arrays import Array, Indices
from pose_node.measurement.sampling import even_subset
from pose_node.measurement.sensor import Sensor
from pose_node.objects.card import ObjectCard
from pose_node.objects.surface import Surface

_MAX_PIECES = 4  # of one object
_MAX_UNIONS = 400  # of the same number of pieces
_SUBSET = 150  # points of a piece that are used to find its neighbours
_SLACK_REL = 0.02  # of the diameter: spread that noise, and what lies beside the object, may add
_MAX_EXCESS = 0.15  # logarithm of spread / a view's spread: above it, the view is excluded
_MAX_COST = 1.9  # above it, too little of the object is left, or it is too small for the noise
_EXCESS_COST = 3.0  # weight of a spread above a view's, relative to one below
_UNION_COST = 0.15  # for each piece beyond the first
_NOISE_COST = 5.0  # for the tolerance in diameters: at a large range sizes are less distinctive


@dataclass(frozen=True, slots=True, eq=False)
class SizeMatch:
    """Rows [M] that may be one object, and the objects whose size they have: ((cost, name), ...), lowest cost first."""

    rows: Indices
    objects: tuple[tuple[float, str], ...]


def size_matches(
    points_m: Array,
    range_m: Array,
    pieces: Sequence[Indices],
    cards: Mapping[str, ObjectCard],
    gap_m: Array,
    sensor: Sensor,
) -> list[SizeMatch]:
    """Unions of up to four neighbouring pieces that have the size of an object, lowest cost first.

    points_m: [N, 3]; range_m: [N]; pieces: rows of each. Pieces closer to each other than ``gap_m`` [N] are neighbours: the
    inside and the outside of a mug, for example, which its rim divides.
    """
    if not pieces:
        return []
    noise_m = np.array([sensor.tolerance_m(float(np.median(range_m[rows]))) for rows in pieces])
    unions = _unions(_moments(points_m, pieces), _neighbours(points_m, pieces, gap_m), cards)
    out = []
    for union, cost in unions.items():
        noise = noise_m[sorted(union)].min()
        fitting = []
        for c, (name, card) in zip(cost, cards.items()):
            found = float(c) + _NOISE_COST * noise / card.diameter_m
            if found < _MAX_COST:
                fitting.append((found + _UNION_COST * (len(union) - 1), name))
        if fitting:
            out.append(SizeMatch(np.sort(np.concatenate([pieces[i] for i in sorted(union)])), tuple(sorted(fitting))))
    return sorted(out, key=lambda c: (c.objects[0], -len(c.rows)))


def _unions(moments: Array, near: Sequence[set[int]], cards: Mapping[str, ObjectCard]) -> dict[frozenset[int], Array]:
    """Unions of neighbouring pieces that are not larger than an object, with their costs [objects], see ``_costs``.

    moments: [P, 4, 4] of the pieces; near: their neighbours. They grow piece by piece from unions that are not too large.
    """
    costs = _costs(_spreads(moments), cards)
    alone = np.isfinite(costs).any(axis=1)
    unions = {frozenset([i]): costs[i] for i in np.flatnonzero(alone)}
    level = list(unions)
    for _ in range(_MAX_PIECES - 1):
        wider = {u | {i} for u in level for i in set().union(*(near[j] for j in u)) - u if alone[i]}
        level = sorted(wider, key=sorted)[:_MAX_UNIONS]
        if not level:
            break
        costs = _costs(_spreads(np.stack([moments[sorted(u)].sum(axis=0) for u in level])), cards)
        unions.update((u, c) for u, c in zip(level, costs) if np.isfinite(c).any())
        level = [u for u, c in zip(level, costs) if np.isfinite(c).any()]
    return unions


def _moments(points_m: Array, pieces: Sequence[Indices]) -> Array:
    """Sums [P, 4, 4] of x x^T over the points x = (x, y, z, 1) of each piece: those of a union are their sums."""
    origin = points_m.mean(axis=0)
    ones = [np.column_stack([points_m[rows] - origin, np.ones(len(rows))]) for rows in pieces]
    return np.stack([x.T @ x for x in ones])


def _spreads(moments: Array) -> Array:
    """Standard deviations [B, 3] along the main axes, largest first."""
    count = moments[:, 3, 3, None, None]
    mean = moments[:, :3, 3:] / count
    scatter = moments[:, :3, :3] / count - mean @ np.swapaxes(mean, 1, 2)
    return np.sqrt(np.maximum(np.linalg.eigvalsh(scatter)[:, ::-1], 0.0))


def _costs(spreads: Array, cards: Mapping[str, ObjectCard]) -> Array:
    """Difference [B, objects] of spreads [B, 3] from the most similar view of each object; infinite if larger than all views."""
    out = np.empty((len(spreads), len(cards)))
    for k, card in enumerate(cards.values()):
        ratio = np.log(spreads + _SLACK_REL * card.diameter_m)[:, None] - _log_views(card)
        excess = ratio.max(axis=2)
        cost = _EXCESS_COST * np.maximum(excess, 0.0) - np.minimum(ratio, 0.0).sum(axis=2)
        out[:, k] = np.where(excess < _MAX_EXCESS, cost, np.inf).min(axis=1)
    return out


# Weak: the cache does not keep a card alive.
_log_views_of: WeakKeyDictionary[ObjectCard, Array] = WeakKeyDictionary()


def _log_views(card: ObjectCard) -> Array:
    """Logarithms [V, 3] of the spreads of the object's visible surface from each of its view directions; computed once."""
    known = _log_views_of.get(card)
    if known is None:
        known = _log_views_of[card] = _view_spreads(card.surface, _SLACK_REL * card.diameter_m)
    return known


def _view_spreads(surface: Surface, slack_m: float) -> Array:
    """See ``_log_views``."""
    visible = np.asarray(surface.visible, dtype=bool)
    points, normals = (a[: visible.shape[1]] for a in (surface.points_m, surface.normals))
    weight = np.where(visible, np.maximum(np.asarray(surface.view_directions) @ normals.T, 0.0), 0.0)
    weight = weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-12)
    mean = weight @ points
    second = np.einsum("vs,si,sj->vij", weight, points, points, optimize=True) - mean[:, :, None] * mean[:, None]
    return np.log(np.sqrt(np.maximum(np.linalg.eigvalsh(second)[:, ::-1], 0.0)) + slack_m)


def _neighbours(points_m: Array, pieces: Sequence[Indices], gap_m: Array) -> list[set[int]]:
    """For each piece the indices of those within ``gap_m`` [N] of it."""
    subsets, owner, reach = [], [], []
    for i, rows in enumerate(pieces):
        subset = even_subset(points_m[rows], _SUBSET)
        spacing = float(np.median(cKDTree(subset).query(subset, k=2)[0][:, 1])) if len(subset) > 1 else 0.0
        subsets.append(subset)
        owner.append(np.full(len(subset), i))
        reach.append(0.5 * (float(np.median(gap_m[rows])) + spacing))
    x, of, half = np.concatenate(subsets), np.concatenate(owner), np.array(reach)
    pairs = cKDTree(x).query_pairs(2.0 * half.max(), output_type="ndarray")
    i, j = of[pairs[:, 0]], of[pairs[:, 1]]
    apart = np.linalg.norm(x[pairs[:, 0]] - x[pairs[:, 1]], axis=1)
    linked = (i != j) & (apart < half[i] + half[j])
    near: list[set[int]] = [set() for _ in pieces]
    for a, b in np.unique(np.stack([i[linked], j[linked]], axis=1), axis=0):
        near[a].add(int(b))
        near[b].add(int(a))
    return near
