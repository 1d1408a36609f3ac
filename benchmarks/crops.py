"""Labels of a set as crops: a cloud, the true mask, the label, and the data set's own model to measure with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import data
from benchmarks.set_objects import card_name
from pose_node.arrays import Array
from pose_node.measurement.cloud import Cloud

# In these sets the frames of one scene show one placement, from neighbouring views or by one moving camera.
ONE_PLACEMENT_A_SCENE = ("ycbv", "ycbv_demo", "apc_shelf", "m3t_bottle", "visp_cube")
PILES = ("pipes_rs",)  # neighbouring frames show partly the same pile, so a frame's labels count as one placement
SCANS = ("stanford_bunny",)


@dataclass(frozen=True, eq=False)
class Crop:
    """One label. mask: of the cloud's source shape. name: that of the object's card.

    placement: shared by labels that are not independent: the instance in its scene where a set's frames of one scene are
    neighbours (``ONE_PLACEMENT_A_SCENE``), the frame of a pile (``PILES``), else the label itself.
    """

    key: str
    placement: str
    set_name: str
    object_id: int
    name: str
    cloud: Cloud
    mask: Any
    T_label: Array

    @property
    def model(self) -> data.Model:
        return data.model(self.set_name, self.object_id)


def crops(set_name: str, object_id: int) -> Iterator[Crop]:
    """All labels of one object of a set, frame by frame."""
    for scene, frame, cloud, labels in _frames(set_name):
        mine = [(mask, T_label) for label_id, mask, T_label in labels if label_id == object_id]
        for instance, (mask, T_label) in enumerate(mine):
            name = card_name(set_name, object_id)
            key = f"{set_name}/{scene}/{frame}/{name}/{instance}"
            place = f"{set_name}/{scene}/{name}/{instance}" if set_name in ONE_PLACEMENT_A_SCENE else key
            place = f"{set_name}/{scene}" if set_name in PILES else place
            yield Crop(key, place, set_name, object_id, name, cloud, mask, T_label)


def _frames(set_name: str) -> Iterator[tuple[str, str, Cloud, list[tuple[int, Any, Array]]]]:
    """(scene, frame, cloud, [(object id, mask, T_camera_object)]) of all frames."""
    if set_name in SCANS:
        from pose_node.evaluation.sources.scans import Scans

        for scan in Scans(data.data_folder() / set_name).frames():
            everything = np.ones(scan.cloud.shape, dtype=bool)  # a scan contains only its object
            labels = [(label.bop_id, everything, label.T_camera_object) for label in scan.labels]
            yield scan.scene, scan.frame, scan.cloud, labels
        return
    for frame in data.frames(set_name):
        labels = [(label.object_id, label.mask, label.T_camera_object) for label in frame.labels]
        yield frame.scene, f"{frame.frame:06d}", Cloud.from_depth(frame.depth_m, frame.K), labels
