"""One frame of a recording: as messages, and converted to a point cloud with masks, as in the node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.evaluation.sources.bag_labels import BagLabel
from pose_node.measurement.cloud import Cloud
from pose_node.messages import convert
from pose_node.messages.pairing import NO_LABELS, NO_POINTS, Frame
from pose_node.types import Masks, Rejected


class BagFrame(NamedTuple):
    """One measurement, as input of ``Pipeline.estimate``.

    scene: the recording's name, with a number after each jump of its clock. T_fixed_camera: [4, 4], None where unknown.
    dropped: frames dropped before this one. refused: why the frame cannot be used; ``cloud`` is then None.
    labels: the recording's own ground truth.
    """

    scene: str
    frame: str
    cloud: Cloud | None
    masks: Masks | None
    T_fixed_camera: Array | None
    stamp_ns: int
    dropped: int = 0
    refused: Rejected | None = None
    labels: tuple[BagLabel, ...] = ()


class Conversion(NamedTuple):
    """How messages are converted: rectified, depth_scale_mm, labels, objects and viewpoint_frame as of ``BagFrames``."""

    rectified: bool
    depth_scale_mm: float | None
    labels: Mapping[int, str]
    objects: tuple[str, ...]
    viewpoint_frame: str


class RawFrame(NamedTuple):
    """A frame before conversion, as the messages, which are smaller to send to a worker; other fields as of ``BagFrame``.

    viewpoint: [4, 4] of the sensor of a point cloud in the cloud's frame, or why it is unknown; None: the frame's origin.
    """

    scene: str
    frame: str
    messages: Frame
    T_fixed_camera: Array | None
    dropped: int
    conversion: Conversion
    labels: tuple[BagLabel, ...] = ()
    viewpoint: Array | Rejected | None = None

    def convert(self) -> BagFrame:
        """The frame, converted as in the node's worker. Invalid messages give a frame that is refused with the reason."""
        cloud, masks, refused = None, None, None
        try:
            if isinstance(self.viewpoint, Rejected):
                raise InputError(self.viewpoint.reason, self.viewpoint.code)
            cloud = self.messages.cloud(self.conversion.rectified, self.conversion.depth_scale_mm, self.viewpoint)
            how = self.conversion
            masks = self.messages.masks(cloud, dict(how.labels), how.objects, how.viewpoint_frame)
            if not len(cloud):
                refused = NO_POINTS
            elif masks is not None and not masks:
                refused = NO_LABELS
        except InputError as error:
            reason = str(error)
            if error.code == "not_metres" and self.messages.info is not None:
                reason = f"{reason.removesuffix('.')}; --depth-scale sets the millimetres per count."
            refused = Rejected(error.code, reason)
        if refused is not None:
            cloud, masks = None, None
        stamp_ns = convert.stamp_ns(self.messages.message)
        return BagFrame(
            self.scene, self.frame, cloud, masks, self.T_fixed_camera, stamp_ns, self.dropped, refused, self.labels
        )
