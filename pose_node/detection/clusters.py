"""Clusters: surface pieces of a cloud, alone or together, that have the size of an object."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pose_node.arrays import Array, Indices
from pose_node.config import SegmentConfig
from pose_node.detection.mask_trimming import FLYING_SHARE
from pose_node.detection.neighbourhood import MIN_POINTS, Neighbourhood
from pose_node.detection.size_match import size_matches
from pose_node.detection.subsampling import Subsample, restored
from pose_node.detection.support import supports
from pose_node.detection.surface_pieces import components, pieces
from pose_node.detection.tolerances import gap
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.sensor import Sensor
from pose_node.objects.card import ObjectCard
from pose_node.types import Segment

_BRIDGED_GAPS = 2.0  # gaps across which pieces may still belong to one object
_MIN_INSIDE = 0.7  # share of a cluster that must be ``inside``


def clusters(
    cloud: Cloud,
    sample: Subsample | None,
    cards: Mapping[str, ObjectCard],
    config: SegmentConfig,
    inside: NDArray[np.bool_],
    sensor: Sensor,
) -> list[Segment]:
    """Clusters that have an object's size and are mostly ``inside`` [len(cloud)], best first; at most ``max_pairs`` pairs of
    cluster and object. Empty where ``sample`` is None."""
    if sample is None:
        return []
    index, around = sample.index, sample.around
    range_m = np.sqrt(around.range2)
    gap_m = gap(range_m, sensor, around.spacing_rad)
    support = supports(around, cloud.viewpoint_m, cards, gap_m, sensor)
    found, at_support = pieces(around, support, gap_m)
    matches = size_matches(around.points_m, range_m, found, cards, _BRIDGED_GAPS * gap_m, sensor)
    if len(cloud.shape) == 1:  # a bare cloud may have been cropped to the object already
        whole = _without_specks(around, gap_m)
        if len(whole) and not any(np.array_equal(m.rows, whole) for m in matches):
            matches += size_matches(around.points_m, range_m, [whole], cards, gap_m, sensor)
    matches = [m for m in matches if inside[index[m.rows]].mean() > _MIN_INSIDE]
    pairs = sorted((cost, i, name) for i, m in enumerate(matches) for cost, name in m.objects)[: config.max_pairs]
    out = []
    for i, match in enumerate(matches):
        names = tuple(name for _, k, name in pairs if k == i)
        if names:
            only = names[0] if len(cards) == 1 else None
            off_support = np.sort(index[match.rows[~at_support[match.rows]]])
            out.append(Segment(np.sort(index[match.rows]), "cluster", only, names, off_support))
    return restored(cloud, sample, out, config, sensor)


def _without_specks(around: Neighbourhood, gap_m: Array) -> Indices:
    """Rows [M] of the points without the small pieces that lie apart from the rest."""
    label = components(around, np.ones(len(gap_m), dtype=bool), gap_m)
    size = np.bincount(label)
    return np.flatnonzero(size[label] >= max(FLYING_SHARE * len(label), MIN_POINTS))
