"""The interface of a data set: frames with their labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pose_node.arrays import Array
from pose_node.measurement.cloud import Cloud
from pose_node.types import Rejected


@dataclass(frozen=True, eq=False)
class Label:
    """One instance of ground truth. instance: its index in the frame's list. mask: [H, W] bool, None without one."""

    bop_id: int
    instance: int
    T_camera_object: Array
    visible_share: float | None = None
    mask: Any = None


@dataclass(frozen=True, eq=False)
class Frame:
    """One measurement. depth_m: [H, W], 0 = no reading, None without an image; T_fixed_camera: None where unknown.

    cloud: None where it could not be read; ``refused`` then has the reason.
    uncounted: labels of instances that no figure counts; an estimate that matches one of them is no false alarm.
    """

    scene: str
    frame: str
    cloud: Cloud | None
    labels: tuple[Label, ...]
    depth_m: Array | None = None
    T_fixed_camera: Array | None = None
    uncounted: tuple[Label, ...] = ()
    refused: Rejected | None = None


def depth_image(cloud: Cloud) -> Array | None:
    """The depth image [H, W] in metres of a cloud, 0 = no reading; None where the cloud is not from a pinhole image."""
    if cloud.K is None:
        return None
    depth_m = np.zeros(cloud.shape)
    depth_m.ravel()[cloud.source_index] = cloud.points_m[:, 2]
    return depth_m


class Source(Protocol):
    """A data set. names: {object id: name}, empty where the set has no names; labelled: {object id: number of labels}.

    has_truth: whether there is ground truth. Without it ``labelled`` has the objects to look for, and is empty if any object
    may be in the set. notes: sentences on what was left out.
    """

    names: dict[int, str]
    labelled: dict[int, int]
    has_truth: bool
    notes: list[str]

    def __len__(self) -> int: ...

    def frames(self) -> Iterator[Frame]: ...

    def depth(self, scene: str, frame: str) -> tuple[Array, Array]: ...
