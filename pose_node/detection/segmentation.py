"""Which points may belong to one instance: the caller's masks and boxes, or clusters of surface pieces of an object's size.

Masks are trimmed by distances alone, so a rigid motion of the cloud changes nothing. Where clusters are looked for, images are
cut into surface pieces on their own pixel grid and bare clouds by nearest neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pose_node.arrays import Indices
from pose_node.config import SegmentConfig
from pose_node.detection.clusters import clusters
from pose_node.detection.mask_trimming import main_bodies
from pose_node.detection.neighbourhood import MIN_POINTS
from pose_node.detection.subsampling import Subsample, subsample
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.sensor import DEFAULT, Sensor
from pose_node.objects.card import ObjectCard
from pose_node.types import Masks, Rejected, Segment

_ROW_RAD = 1e-5  # rays within this of one plane are one row: no camera's pixels are finer


def segments(
    cloud: Cloud,
    masks: Masks | None,
    cards: Mapping[str, ObjectCard],
    config: SegmentConfig,
    boxes: Masks | None = None,
    sensor: Sensor = DEFAULT,
) -> tuple[list[Segment], list[Rejected]]:
    """Segments of the cloud, and the masks and boxes that cannot be one.

    masks: {object name: [bool, of the source's shape, ...]}, each one instance. boxes: the same, but with background. In
    boxes, and with neither masks nor boxes everywhere, clusters of surface pieces whose size fits an object are returned, best
    first.
    """
    if not masks and not boxes:
        return _everywhere(cloud, cards, config, sensor)
    in_masks, bad_masks = _in_masks(cloud, masks, cards, sensor)
    in_boxes, bad_boxes = _in_boxes(cloud, boxes, cards, config, sensor)
    return in_masks + in_boxes, bad_masks + bad_boxes


def _everywhere(
    cloud: Cloud, cards: Mapping[str, ObjectCard], config: SegmentConfig, sensor: Sensor
) -> tuple[list[Segment], list[Rejected]]:
    """The clusters of the whole cloud, or the median range of the points where there are none."""
    found = clusters(cloud, subsample(cloud, config, sensor), cards, config, np.ones(len(cloud), dtype=bool), sensor)
    if not found:
        range_m = float(np.median(np.linalg.norm(cloud.points_m - cloud.viewpoint_m, axis=1))) if len(cloud) else 0.0
        reason = f"cloud: found no piece of surface within reach whose size fits an object, at a median range of {range_m:.2g} m."
        return [], [Rejected("no_segments", reason)]
    return found, []


def _in_masks(
    cloud: Cloud, masks: Masks | None, cards: Mapping[str, ObjectCard], sensor: Sensor
) -> tuple[list[Segment], list[Rejected]]:
    """A segment for each mask: its points without background and flying pixels."""
    found: list[Segment] = []
    rejected: list[Rejected] = []
    for name, rows in _rows(masks, cloud):
        segment = Segment(main_bodies(cloud, rows, cards[name].diameter_m, sensor), "mask", name)
        flaw = _flaw(cloud, segment)
        if flaw is None:
            found.append(segment)
        else:
            rejected.append(flaw)
    return found, rejected


def _in_boxes(
    cloud: Cloud, boxes: Masks | None, cards: Mapping[str, ObjectCard], config: SegmentConfig, sensor: Sensor
) -> tuple[list[Segment], list[Rejected]]:
    """The clusters in each box that fit its object; the whole box where there are none."""
    found: list[Segment] = []
    rejected: list[Rejected] = []
    sample: Subsample | None = subsample(cloud, config, sensor) if boxes else None  # the same for all boxes
    for name, rows in _rows(boxes, cloud):
        whole = Segment(rows, "box", name)
        flaw = _flaw(cloud, whole)
        if flaw is None:
            inside = np.zeros(len(cloud), dtype=bool)
            inside[rows] = True
            found.extend(clusters(cloud, sample, {name: cards[name]}, config, inside, sensor) or [whole])
        else:
            rejected.append(flaw)
    return found, rejected


def _flaw(cloud: Cloud, segment: Segment) -> Rejected | None:
    """Why a mask or box cannot be a view of an object, or None."""
    name, what, count = segment.object_name, segment.source, len(segment.indices)
    if count < MIN_POINTS:
        reason = f"{name}: its {what} has {count} measured points, expected at least {MIN_POINTS}."
        return Rejected("too_few_points", reason, name, segment)
    ray = cloud.points_m[segment.indices] - cloud.viewpoint_m
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    if np.linalg.eigvalsh(ray.T @ ray / count)[0] < _ROW_RAD**2:  # all in one plane with the viewpoint
        reason = f"{name}: its {what} has {count} points along one ray or one row of rays, expected a surface."
        return Rejected("no_surface", reason, name, segment)
    return None


def _rows(masks: Masks | None, cloud: Cloud) -> list[tuple[str, Indices]]:
    """(object name, rows of the cloud) of each mask."""
    return [
        (name, np.flatnonzero(mask.ravel()[cloud.source_index]))
        for name, each in (masks or {}).items()
        for mask in each
    ]
