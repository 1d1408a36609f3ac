"""What a labelled data set hands to the loop: frames with their labels."""

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
    """One instance of ground truth. ``instance`` is its place in the frame's list; mask: [H, W] bool where there is one."""

    bop_id: int
    instance: int
    T_camera_object: Array
    visible_share: float | None = None
    mask: Any = None


@dataclass(frozen=True, eq=False)
class Frame:
    """One measurement. depth_m: [H, W], 0 = no reading, None for a bare cloud; T_fixed_camera: where the set knows it.

    cloud: None where it could not be read; ``refused`` then says why.
    uncounted: labels of further instances, which no figure counts; an estimate of one of them is no false alarm either.
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
    """The depth [H, W] in metres that a cloud came from, 0 where there is no reading; None where that was no pinhole image."""
    if cloud.K is None:
        return None
    depth_m = np.zeros(cloud.shape)
    depth_m.ravel()[cloud.source_index] = cloud.points_m[:, 2]
    return depth_m


class Source(Protocol):
    """A data set. names: {object id: plain name}, empty where the set names none; labelled: how many labels each id has.

    has_truth: whether there is ground truth at all; without, ``labelled`` holds the objects that are looked for, and is empty
    where any may be. notes: sentences on what could not be had.
    """

    names: dict[int, str]
    labelled: dict[int, int]
    has_truth: bool
    notes: list[str]

    def __len__(self) -> int: ...

    def frames(self) -> Iterator[Frame]: ...

    def depth(self, scene: str, frame: str) -> tuple[Array, Array]: ...
