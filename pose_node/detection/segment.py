"""Which points may belong to one instance: the user's masks and boxes, or pieces of surface (``parts``) of an object's size.

Masks are cut by distances alone, so a rigid motion of the cloud changes nothing. Without masks, images are cut into pieces on
their own pixel grid and bare clouds by nearest neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from pose_node.arrays import Array, Indices
from pose_node.config import SegmentConfig
from pose_node.detection.size_match import candidates
from pose_node.detection.surface_pieces import Neighbourhood, components, neighbourhood, pieces
from pose_node.geometry.normals import noise_radius
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.sampling import even_subset, evenly_spaced
from pose_node.measurement.thinning import spaced_subset
from pose_node.objects.card import ObjectCard
from pose_node.types import Masks, Rejected, Segment

_MIN_POINTS = 30  # fewer say nothing about any object
_LINE_RAD = 1e-5  # rays within this of one plane are one row: no camera's pixels are finer
_BODY_SUBSET = 1500  # points of a mask that its bodies are told apart with
_BODY_SHARE = 0.03  # a smaller piece of a mask is flying pixels
_MOST_PIXELS = 320 * 480  # clustering uses at most as many pixels of an image
_SPACINGS = (
    3.0  # of a bare cloud's clustered points in the radius that suits the noise: about as many as of an image's pixels
)
_PLANE_SUBSET = 1500
_PLANE_TRIALS = 256
_NOISE_PER_M2 = 0.003  # growth of distances with the square of the range, 1/m
_SUPPORTS = 3
_LEVEL = 0.8  # cosine between the plane's normal and that of a point in its middle
_SUPPORT_GAP = 0.5  # gaps that part a support: it is smooth
_BRIDGE = 2.0  # gaps across which pieces may still be one object's
_IN_BOX = 0.7  # share of a union that must lie in the box


def segments(
    cloud: Cloud,
    masks: Masks | None,
    cards: Mapping[str, ObjectCard],
    config: SegmentConfig,
    boxes: Masks | None = None,
) -> tuple[list[Segment], list[Rejected]]:
    """Segments of the cloud, and what was asked for but cannot be one.

    masks: {object name: [bool, of the source's shape, ...]}, each one instance. boxes: the same, but holding background
    too. In them, and with neither everywhere, unions of surface pieces whose size fits an object are returned, likeliest first.
    """
    if not masks and not boxes:
        return _free_segments(cloud, cards, config)
    found: list[Segment] = []
    rejected: list[Rejected] = []
    for name, index in _rows(masks, cloud):
        segment = Segment(_main_bodies(cloud, index, cards[name].diameter_m, config), "mask", name)
        flaw = _flaw(cloud, segment)
        if flaw is None:
            found.append(segment)
        else:
            rejected.append(flaw)
    ground = _ground(cloud, config) if boxes else None  # the same for all boxes
    for name, index in _rows(boxes, cloud):
        flaw = _flaw(cloud, Segment(index, "box", name))
        if flaw is None:
            found.extend(_in_box(cloud, ground, index, cards[name], config))
        else:
            rejected.append(flaw)
    return found, rejected


def _flaw(cloud: Cloud, segment: Segment) -> Rejected | None:
    """Why what a user marked can be no view of an object, or None."""
    name, what, count = segment.object_name, segment.source, len(segment.indices)
    if count < _MIN_POINTS:
        reason = f"{name}: its {what} holds {count} measured points, expected at least {_MIN_POINTS}."
        return Rejected("too_few_points", reason, name, segment)
    ray = cloud.points_m[segment.indices] - cloud.viewpoint_m
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    if np.linalg.eigvalsh(ray.T @ ray / count)[0] < _LINE_RAD**2:  # all in one plane with the viewpoint
        reason = f"{name}: its {what} holds {count} points along one ray or one row of rays, expected a surface."
        return Rejected("no_surface", reason, name, segment)
    return None


def _rows(masks: Masks | None, cloud: Cloud) -> list[tuple[str, Indices]]:
    """(object name, rows of the cloud) of each mask."""
    return [
        (name, np.flatnonzero(mask.ravel()[cloud.source_index]))
        for name, each in (masks or {}).items()
        for mask in each
    ]


def _main_bodies(cloud: Cloud, index: Indices, diameter_m: float, config: SegmentConfig) -> Indices:
    """The points of a mask without what bled in from far behind or before the object, and without flying pixels."""
    if len(index) < _MIN_POINTS:
        return index
    points = cloud.points_m[index]
    subset = even_subset(points, _BODY_SUBSET)
    gap_m = float(_gap(np.sum((subset.mean(axis=0) - cloud.viewpoint_m) ** 2), config))
    label, spacing_m = _components(subset, gap_m)
    size = np.bincount(label)
    main = int(size.argmax())
    if size[main] == len(subset):
        return index
    centre = np.array([subset[label == i].mean(axis=0) for i in range(len(size))])
    # A part that an occluder cut off lies within the object's reach of the main body.
    keep = (size >= _BODY_SHARE * len(subset)) & (np.linalg.norm(centre - centre[main], axis=1) < diameter_m)
    distance, nearest = cKDTree(subset).query(points)
    return index[keep[label[nearest]] & (distance < max(gap_m, 2.0 * spacing_m))]


def _components(points: Array, gap_m: float) -> tuple[Indices, float]:
    """Labels [N] of the pieces that gaps of ``gap_m`` (or twice the points' own spacing) part; that spacing."""
    k = min(9, len(points))
    distance, near = cKDTree(points).query(points, k=k)
    spacing_m = float(np.median(distance[:, -1]))
    linked = distance < max(gap_m, 2.0 * spacing_m)
    row = np.broadcast_to(np.arange(len(points))[:, None], near.shape)[linked]
    graph = coo_matrix((np.ones(len(row), dtype=np.int8), (row, near[linked])), shape=(len(points),) * 2)
    return connected_components(graph, directed=False)[1].astype(np.intp), spacing_m


def _free_segments(
    cloud: Cloud, cards: Mapping[str, ObjectCard], config: SegmentConfig
) -> tuple[list[Segment], list[Rejected]]:
    found = _unions(cloud, _ground(cloud, config), cards, config, np.ones(len(cloud), dtype=bool))
    if not found:
        range_m = float(np.median(np.linalg.norm(cloud.points_m - cloud.viewpoint_m, axis=1))) if len(cloud) else 0.0
        sentence = f"cloud: found no piece of surface within reach whose size fits an object, at a median range of {range_m:.2g} m."
        return [], [Rejected("no_segments", sentence)]
    return found, []


@dataclass(frozen=True, slots=True, eq=False)
class _Ground:
    """What is looked at in a cloud: rows that thinning left, those of them within reach, and what lies around each of these."""

    thinned: Indices
    index: Indices
    around: Neighbourhood


def _ground(cloud: Cloud, config: SegmentConfig) -> _Ground | None:
    """None where there is too little to look at."""
    thinned = _thinned(cloud, config)
    index = _within_reach(cloud, thinned, config)
    if len(index) < _MIN_POINTS:
        return None
    return _Ground(thinned, index, neighbourhood(cloud.points_m[index], cloud.viewpoint_m, _pixels(cloud, index)))


def _unions(
    cloud: Cloud,
    ground: _Ground | None,
    cards: Mapping[str, ObjectCard],
    config: SegmentConfig,
    inside: NDArray[np.bool_],
) -> list[Segment]:
    """Surface pieces of the cloud, alone and together, that have an object's size and lie in what is ``inside`` [N], likeliest first."""
    if ground is None:
        return []
    index, around = ground.index, ground.around
    gap_m = _gap(around.range2, config)
    support = _support(around, cloud.viewpoint_m, cards, config, gap_m)
    found, foot = pieces(around, support, gap_m)
    range_m = np.sqrt(around.range2)
    proposed = candidates(around.points_m, range_m, found, cards, _BRIDGE * gap_m)
    if len(cloud.shape) == 1:  # what people cut out of a cloud may be the object as it is
        whole = _without_specks(around, gap_m)
        if len(whole) and not any(np.array_equal(c.rows, whole) for c in proposed):
            proposed += candidates(around.points_m, range_m, [whole], cards, gap_m)
    proposed = [c for c in proposed if inside[index[c.rows]].mean() > _IN_BOX]
    pairs = sorted((cost, i, name) for i, c in enumerate(proposed) for cost, name in c.objects)[: config.max_pairs]
    out = []
    for i, candidate in enumerate(proposed):
        names = tuple(name for _, k, name in pairs if k == i)
        if names:
            only = names[0] if len(cards) == 1 else None
            rows = candidate.rows
            core = np.sort(index[rows[~foot[rows]]])
            out.append(Segment(np.sort(index[rows]), "cluster", only, names, core))
    return _filled(cloud, ground.thinned, out, config)


def _without_specks(around: Neighbourhood, gap_m: Array) -> Indices:
    """Rows of a cloud without the small pieces that lie apart from the rest."""
    label = components(around, np.ones(len(gap_m), dtype=bool), gap_m)
    size = np.bincount(label)
    return np.flatnonzero(size[label] >= max(_BODY_SHARE * len(label), _MIN_POINTS))


def _pixels(cloud: Cloud, index: Indices) -> tuple[Indices, Indices] | None:
    """Rows and columns of points on the thinned grid of an image; None for a bare cloud."""
    if len(cloud.shape) != 2:
        return None
    row, column = np.divmod(cloud.source_index[index], cloud.shape[1])
    return row // _step(cloud), column // _step(cloud)


def _support(
    around: Neighbourhood, viewpoint_m: Array, cards: Mapping[str, ObjectCard], config: SegmentConfig, gap_m: Array
) -> NDArray[np.bool_]:
    """Which points [N] belong to a support: a connected piece of a plane, wider than any object.

    A plane's band alone is none: it holds the foot of all that stands on it, and the bottom of a bowl.
    """
    support = np.zeros(len(around.points_m), dtype=bool)
    widest = max(card.diameter_m for card in cards.values())
    for _ in range(_SUPPORTS if config.remove_plane else 0):
        left = np.flatnonzero(~support)
        if len(left) < _MIN_POINTS:
            break
        plane = _plane(around.points_m[left], viewpoint_m, config)
        # Near and level, both together: the foot of a wall is near, the top of a box is level.
        off = (around.points_m @ plane[:3] + plane[3]) / _plane_limit(around.points_m, viewpoint_m, config)
        tilt = (1.0 - np.abs(around.normals @ plane[:3])) / (1.0 - _LEVEL)
        on = ~support & (off * off + tilt * tilt < 1.0)
        if on.sum() < config.plane_min_share * len(support):
            break
        label = components(around, on, _SUPPORT_GAP * gap_m)
        for piece in np.flatnonzero(np.bincount(label[on]) >= _MIN_POINTS):
            flat = label == piece
            points = around.points_m[flat]
            if np.percentile(np.linalg.norm(points - points.mean(axis=0), axis=1), 90) >= 0.6 * widest:
                support |= flat
    return support


def _filled(cloud: Cloud, thinned: Indices, found: list[Segment], config: SegmentConfig) -> list[Segment]:
    """Segments of thinned rows with all the points that the thinning left out: each follows the nearest row that stayed."""
    if len(thinned) == len(cloud):
        return found
    if len(cloud.shape) == 2:
        step = _step(cloud)
        row, column = np.divmod(cloud.source_index, cloud.shape[1])
        cell = (row // step) * cloud.shape[1] + column // step
        stayed = np.full(int(cell.max()) + 1, -1, dtype=np.intp)
        stayed[cell[thinned]] = thinned
        owner = stayed[cell]
    else:
        distance, near = cKDTree(cloud.points_m[thinned]).query(cloud.points_m, k=2)
        # Of two rows that are equally near, neither owns a point: which one comes first is chance.
        owner = np.where(distance[:, 0] < (1.0 - 1e-9) * distance[:, 1], thinned[near[:, 0]], -1)
    offset = cloud.points_m - cloud.points_m[owner]
    range2 = np.sum((cloud.points_m - cloud.viewpoint_m) ** 2, axis=1)
    limit = _gap(range2, config)
    follows = (owner >= 0) & (np.einsum("ni,ni->n", offset, offset) < limit * limit)
    if len(cloud.shape) == 1:  # thinned within reach alone
        follows &= _reached(range2, config)

    def whole(rows: Indices) -> Indices:
        inside = np.zeros(len(cloud), dtype=bool)
        inside[rows] = True
        return np.flatnonzero(inside[owner] & follows)

    return [
        replace(s, indices=whole(s.indices), off_support=None if s.off_support is None else whole(s.off_support))
        for s in found
    ]


def _in_box(
    cloud: Cloud, ground: _Ground | None, index: Indices, card: ObjectCard, config: SegmentConfig
) -> list[Segment]:
    """What in a box may be the object by its surface and size; the whole box where nothing is parted in it."""
    inside = np.zeros(len(cloud), dtype=bool)
    inside[index] = True
    return _unions(cloud, ground, {card.name: card}, config, inside) or [Segment(index, "box", card.name)]


def _step(cloud: Cloud) -> int:
    """Every so many pixels of an image are clustered."""
    return int(np.ceil(np.sqrt(np.prod(cloud.shape) / _MOST_PIXELS)))


def _thinned(cloud: Cloud, config: SegmentConfig) -> Indices:
    """Rows of the cloud to cluster: every so many pixels of an image; of a bare cloud those within reach, thinned by the noise.

    Points nearer to each other than the noise say nothing of the surface between them.
    """
    if len(cloud.shape) == 2:
        step = _step(cloud)
        row, column = np.divmod(cloud.source_index, cloud.shape[1])
        return np.flatnonzero((row % step == 0) & (column % step == 0))
    index = _within_reach(cloud, np.arange(len(cloud)), config)
    points = cloud.points_m[index]
    range_m = np.linalg.norm(points - cloud.viewpoint_m, axis=1)
    rows = spaced_subset(points, noise_radius(range_m) / _SPACINGS)
    if len(rows) > _MOST_PIXELS:  # chosen by an invariant, as ``even_subset`` does
        distance2 = np.sum((points[rows] - points[rows].mean(axis=0)) ** 2, axis=1)
        rows = rows[np.argsort(distance2, kind="stable")][evenly_spaced(len(rows), _MOST_PIXELS)]
    return index[rows]


def _within_reach(cloud: Cloud, index: Indices, config: SegmentConfig) -> Indices:
    return index[_reached(np.sum((cloud.points_m[index] - cloud.viewpoint_m) ** 2, axis=1), config)]


def _reached(range2: Array, config: SegmentConfig) -> NDArray[np.bool_]:
    range_m = np.sqrt(range2)
    return (range_m >= config.near_m) & (range_m <= config.far_m)


def _plane(points: Array, viewpoint_m: Array, config: SegmentConfig) -> Array:
    """The plane [4] (unit normal, offset) with most points: trials over an even subset, then least squares."""
    subset = even_subset(points, _PLANE_SUBSET)
    rng = np.random.default_rng(0)  # of ranks in an invariant order, never of coordinates
    triple = subset[rng.integers(0, len(subset), (_PLANE_TRIALS, 3))]
    normal = np.cross(triple[:, 1] - triple[:, 0], triple[:, 2] - triple[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    offset = -np.einsum("ti,ti->t", normal, triple[:, 0])
    limit = _plane_limit(subset, viewpoint_m, config)
    near = np.abs(subset @ normal.T + offset) < limit[:, None]
    best = int(near.sum(axis=0).argmax())
    plane = np.append(normal[best], offset[best])
    for _ in range(3):
        on = subset[_on_plane(subset, viewpoint_m, plane, config)]
        if len(on) < 3:
            break
        middle = on.mean(axis=0)
        normal = np.linalg.eigh((on - middle).T @ (on - middle))[1][:, 0]
        plane = np.append(normal, -normal @ middle)
    return plane


def _plane_limit(points: Array, viewpoint_m: Array, config: SegmentConfig) -> Array:
    range2 = np.einsum("ni,ni->n", points - viewpoint_m, points - viewpoint_m)
    return config.plane_distance_m + _NOISE_PER_M2 * range2


def _on_plane(points: Array, viewpoint_m: Array, plane: Array, config: SegmentConfig) -> NDArray[np.bool_]:
    return np.abs(points @ plane[:3] + plane[3]) < _plane_limit(points, viewpoint_m, config)


def _gap(range2: Array, config: SegmentConfig) -> Array:
    """The gap [...] in metres that parts things at squared ranges [...]."""
    return config.cluster_gap_m + _NOISE_PER_M2 * range2
