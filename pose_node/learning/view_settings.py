"""What rendered views are drawn from: for training, and frozen for the benchmarks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pose_node.arrays import Array
from pose_node.learning.noise import SimulatedSensor, sensors

XTION_K = np.array([[570.0, 0.0, 319.5], [0.0, 570.0, 239.5], [0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class ViewSettings:
    """What views are drawn from. Pairs are (low, high).

    distance_m:      from the camera to the object's centre.
    K:               fixed intrinsics of a 640 x 480 image, or None: focal length drawn from ``focal_px``.
    min_object_px:   the object spans at least this many pixels; small objects are placed nearer than ``distance_m``.
    max_crop_px:     larger crops are rendered on a coarser grid, as by a binning camera (None: never).
    visible_share:   share of the object's pixels that are not occluded.
    clutter_count:   number of objects beside, around and in front of the object.
    support_share:   share of views with a support plane under the object.
    cluster_share:   share of segments that include foreign points, a patch of something near the object.
    foreign:         share of foreign points in those segments.
    foreign_clutter: whether foreign points are taken from clutter first, and from the support only if that is too little.
    cut_share:       share of segments with a part missing beyond a straight cut; ``cut``: share of the segment cut off.
    mask_error_px:   mean deviation of the segment's border, to either side.
    sensors:         measurement models, used in turn.
    mesh_error_m:    largest smooth deviation of the real object from its mesh.
    margin:          of the crop beyond the object's bounding sphere, relative to its radius.
    """

    distance_m: tuple[float, float] = (0.4, 1.4)
    K: Array | None = None
    focal_px: tuple[float, float] = (450.0, 1100.0)
    min_object_px: float = 25.0
    max_crop_px: int | None = 125
    visible_share: tuple[float, float] = (0.4, 1.0)
    clutter_count: tuple[int, int] = (0, 4)
    support_share: float = 0.75
    cluster_share: float = 0.6
    foreign: tuple[float, float] = (0.05, 0.35)
    foreign_clutter: bool = False
    cut_share: float = 0.15
    cut: tuple[float, float] = (0.1, 0.4)
    mask_error_px: float = 2.0
    sensors: tuple[SimulatedSensor, ...] = field(default_factory=sensors)
    mesh_error_m: float = 0.0015
    margin: float = 0.25


TRAINING = ViewSettings()
BENCHMARK = ViewSettings(
    distance_m=(0.5, 1.2),
    K=XTION_K,
    max_crop_px=None,
    clutter_count=(1, 4),
    cluster_share=1.0,
    foreign=(0.2, 0.2),
    foreign_clutter=True,
    cut_share=0.0,
    mask_error_px=1.0,
    sensors=sensors(strength=1.0, variation=0.0),
    mesh_error_m=0.001,
)
