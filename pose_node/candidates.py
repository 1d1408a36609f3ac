"""Which unions of neighbouring surface pieces may be one object, judged by their size alone, likeliest first.

The size of a set of points is the spread along its three main axes, which no motion changes. A view of an object has such a
size, too; an occluder makes it smaller, nothing makes it larger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree

from pose_node.card import ObjectCard
from pose_node.normals import noise_radius
from pose_node.prepare import even_subset
from pose_node.types import Array, Indices

_MOST_PIECES = 4  # of one object
_MOST_UNIONS = 400
_SUBSET = 150  # points of a piece that its neighbours are found with
_SLACK_M = 0.003  # spread that noise may add
_TOO_LARGE = 0.15  # logarithm of a spread beyond a view's: not this view
_TOO_UNLIKE = 1.6  # sum over the axes of logarithms: too little is left of the object
_EXCESS_COST = 3.0  # of a logarithm beyond a view's, against one below
_TOO_NOISY = 0.12  # of the diameter: nothing can be told
_NOISE_COST = 4.0  # of the sensor's noise, in diameters: far off, there is little to tell things by


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """Rows [M] that may be one object, and the objects whose size they have: ((cost, name), ...), likeliest first."""

    rows: Indices
    objects: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Moments:
    count: float
    first: Array
    second: Array

    def __add__(self, other: _Moments) -> _Moments:
        return _Moments(self.count + other.count, self.first + other.first, self.second + other.second)

    def spread(self) -> Array:
        """Standard deviations [3] along the main axes, largest first."""
        mean = self.first / self.count
        return np.sqrt(np.maximum(np.linalg.eigvalsh(self.second / self.count - np.outer(mean, mean))[::-1], 0.0))


def candidates(
    points_m: Array, range_m: Array, pieces: Sequence[Indices], cards: Mapping[str, ObjectCard], gap_m: Array
) -> list[Candidate]:
    """Unions of up to four of the pieces (rows of points [N, 3]) that some object may be, likeliest first.

    Pieces nearer to each other than ``gap_m`` [N] are neighbours: the rim of a mug parts its inside from its outside.
    """
    if not pieces:
        return []
    origin = points_m.mean(axis=0)
    moments = []
    for rows in pieces:
        x = points_m[rows] - origin
        moments.append(_Moments(float(len(rows)), x.sum(axis=0), x.T @ x))
    range_of = np.array([np.median(range_m[rows]) for rows in pieces])
    near = _neighbours(points_m, pieces, gap_m)
    level = {frozenset([i]): m for i, m in enumerate(moments) if _may_grow(m.spread(), cards)}
    unions = dict(level)
    for _ in range(_MOST_PIECES - 1):
        grown: dict[frozenset[int], _Moments] = {}
        for union, moment in level.items():
            for i in sorted(set().union(*(near[j] for j in union)) - union):
                wider = union | {i}
                if wider in grown or frozenset([i]) not in unions:
                    continue
                total = moment + moments[i]
                if _may_grow(total.spread(), cards):
                    grown[wider] = total
        if len(unions) + len(grown) > _MOST_UNIONS:
            break
        unions.update(grown)
        level = grown
    out = []
    for union, moment in unions.items():
        spread, noise_m = moment.spread(), float(noise_radius(min(range_of[i] for i in union)))
        costs = [
            (cost + _NOISE_COST * noise_m / card.diameter_m, name)
            for name, card in cards.items()
            if noise_m < _TOO_NOISY * card.diameter_m and (cost := _cost(spread, card)) < _TOO_UNLIKE
        ]
        if costs:
            out.append(Candidate(np.sort(np.concatenate([pieces[i] for i in union])), tuple(sorted(costs))))
    return sorted(out, key=lambda c: (c.objects[0][0], -len(c.rows)))


def _may_grow(spread: Array, cards: Mapping[str, ObjectCard]) -> bool:
    return any((np.log((spread + _SLACK_M) / (_views(card) + _SLACK_M)).max(axis=1) < _TOO_LARGE).any() for card in cards.values())


def _cost(spread: Array, card: ObjectCard) -> float:
    """How unlike a spread [3] is to the most similar view of the object; infinite when it is larger than all of them."""
    ratio = np.log((spread + _SLACK_M) / (_views(card) + _SLACK_M))
    excess, missing = np.maximum(ratio, 0.0).max(axis=1), np.maximum(-ratio, 0.0).sum(axis=1)
    cost = np.where(excess < _TOO_LARGE, _EXCESS_COST * excess + missing, np.inf)
    return float(cost.min())


@lru_cache(maxsize=64)
def _views(card: ObjectCard) -> Array:
    """Spreads [V, 3] in metres of what a camera sees of the object from each of its view directions."""
    surface = card.surface
    visible = np.asarray(surface.visible, dtype=bool)
    points, normals = (a[: visible.shape[1]] for a in (surface.points_m, surface.normals))
    weight = np.where(visible, np.maximum(np.asarray(surface.view_directions) @ normals.T, 0.0), 0.0)
    weight = weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-12)
    mean = weight @ points
    second = np.einsum("vs,si,sj->vij", weight, points, points, optimize=True) - mean[:, :, None] * mean[:, None]
    return np.sqrt(np.maximum(np.linalg.eigvalsh(second)[:, ::-1], 0.0))


def _neighbours(points_m: Array, pieces: Sequence[Indices], gap_m: Array) -> list[set[int]]:
    """For each piece those that lie within ``gap_m`` of it."""
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
