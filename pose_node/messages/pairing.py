"""Messages -> complete measurements: a depth image with its camera info and mask, or a point cloud with its mask."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.measurement.cloud import Cloud
from pose_node.messages import convert
from pose_node.messages.camera_info import camera_from_info
from pose_node.types import Masks, Rejected

_MAX_KEPT = 16  # camera infos, and masks, that arrived before their measurement
_MAX_WAITING = 8  # measurements that wait for a message
_MAX_WAITING_BYTES = 64 << 20

# Of a measurement that is valid and shows nothing.
NO_POINTS = Rejected("no_points", "the measurement has no valid point.")
NO_LABELS = Rejected("no_labels", "the mask has no label of an object.")


@dataclass(frozen=True)
class Frame:
    """One complete measurement: a depth Image with its CameraInfo or a PointCloud2, and its mask where masks are published."""

    message: Any
    arrived_s: float
    info: Any = None
    mask: Any = None

    @property
    def is_point_cloud(self) -> bool:
        """Whether it is a PointCloud2, and no depth image."""
        return self.info is None

    def cloud(
        self, rectified: bool, depth_scale_mm: float | None = None, T_cloud_viewpoint: Array | None = None
    ) -> Cloud:
        """The measured points.

        depth_scale_mm:    as ``convert.depth_from_image``.
        T_cloud_viewpoint: [4, 4] the sensor's pose in the frame of a PointCloud2; by default its origin.
        Raises InputError for invalid messages, and for a camera info of another frame than the image's.
        """
        stamp_ns, frame_id = convert.stamp_ns(self.message), str(self.message.header.frame_id)
        if self.is_point_cloud:
            viewpoint_m = (0.0, 0.0, 0.0) if T_cloud_viewpoint is None else T_cloud_viewpoint[:3, 3]
            return Cloud.from_points(convert.points_from_cloud(self.message), viewpoint_m, stamp_ns, frame_id)
        if not convert.same_frame(str(self.info.header.frame_id), frame_id):
            raise InputError(
                f"camera info: found frame {self.info.header.frame_id!r}, expected the depth image's {frame_id!r}.",
                "frame_mismatch",
            )
        depth_m = convert.depth_from_image(self.message, depth_scale_mm)
        camera = camera_from_info(self.info, rectified, (depth_m.shape[0], depth_m.shape[1]))
        return camera.cloud(depth_m, stamp_ns, frame_id)

    def masks(
        self, cloud: Cloud, names: dict[int, str], objects: tuple[str, ...], viewpoint_frame: str = ""
    ) -> Masks | None:
        """The masks over ``cloud.shape`` by object name; None without a mask message.

        names:           {label: object name}; where empty and there is one object, every label is that object.
        viewpoint_frame: the sensor's own frame, of a point cloud that was transformed to another; the mask may be of either.
        Raises InputError for an invalid mask, and for one of another frame than the measurement's: images of two cameras may be
        of one size, and their pixels still differ.
        """
        if self.mask is None:
            return None
        found, expected = str(self.mask.header.frame_id), str(self.message.header.frame_id)
        is_sensors = viewpoint_frame and self.is_point_cloud and convert.same_frame(found, viewpoint_frame)
        if not is_sensors and not convert.same_frame(found, expected):
            raise InputError(
                f"mask: found frame {found!r}, expected the measurement's {expected!r} (masks of another camera need depth that is "
                "aligned to it).",
                "mask_frame",
            )
        labels = convert.labels_from_image(self.mask)
        if not names and len(objects) == 1:
            names = {int(label): objects[0] for label in np.unique(labels) if label}
        elif not names:
            raise InputError(
                f"mask: found no mask_labels for {len(objects)} objects, expected the parameter mask_labels to name them.",
                "mask_labels",
            )
        return convert.masks_from_labels(labels, names, cloud.shape)


class _Waiting(NamedTuple):
    """A measurement, and why its stamp does not identify it; empty where it does."""

    message: Any
    is_depth: bool
    arrived_s: float
    ambiguous: str = ""


class Pairing:
    """Finds the camera info and the mask of each measurement, by stamp. Memory is bounded.

    A depth image gets the camera info of its own stamp. Where infos come rarely, or with other stamps, it gets the last one
    of its frame: after ``wait_s`` if stamps have matched before, else at once.
    Where masks are published, a measurement whose stamp does not identify it is refused: its mask cannot be found.
    refuse: called with a stable code and a sentence for each measurement that timed out or was superseded.
    """

    def __init__(self, wait_s: float, refuse: Callable[[str, str], None]) -> None:
        self._wait_s = wait_s
        self._refuse = refuse
        self._waiting: deque[_Waiting] = deque()
        self._last: Any = None  # the newest measurement's message
        self._infos: OrderedDict[int, Any] = OrderedDict()
        self._masks: OrderedDict[int, Any] = OrderedDict()
        self._latest_info: Any = None
        self._stamps_match = False

    def add_measurement(self, message: Any, is_depth: bool, now_s: float) -> None:
        """Take a depth Image or a PointCloud2."""
        ambiguous = _why_ambiguous(message, self._last)
        if ambiguous and self._waiting and self._waiting[-1].message is self._last:
            self._waiting[-1] = self._waiting[-1]._replace(ambiguous=ambiguous)
        self._last = message
        self._waiting.append(_Waiting(message, is_depth, now_s, ambiguous))
        while len(self._waiting) > _MAX_WAITING or (
            len(self._waiting) > 1 and _bytes(entry.message for entry in self._waiting) > _MAX_WAITING_BYTES
        ):
            self._waiting.popleft()
            self._refuse("superseded", "measurement: a newer one came before its camera info or mask.")

    def add_info(self, message: Any) -> None:
        """Take a CameraInfo."""
        self._latest_info = message
        _remember(self._infos, message)

    def add_mask(self, message: Any) -> None:
        """Take a mask Image."""
        _remember(self._masks, message)

    def take(self, now_s: float, masked: bool) -> Frame | None:
        """The newest complete frame, if any; older measurements are refused. masked: whether masks are published."""
        self._refuse_ambiguous(masked)
        for position in range(len(self._waiting) - 1, -1, -1):
            frame = self._complete(self._waiting[position], now_s, masked)
            if frame is not None:
                for _ in range(position):
                    self._waiting.popleft()
                    self._refuse("superseded", "measurement: a newer one was complete first.")
                self._waiting.popleft()
                return frame
        self._refuse_late(now_s)
        return None

    def take_each(self, now_s: float, masked: bool) -> list[Frame]:
        """Every complete frame, in order of arrival; an older one that is still incomplete may be returned later."""
        self._refuse_ambiguous(masked)
        found, waiting = [], self._waiting
        self._waiting = deque()
        for entry in waiting:
            frame = self._complete(entry, now_s, masked)
            if frame is None:
                self._waiting.append(entry)
            else:
                found.append(frame)
        self._refuse_late(now_s)
        return found

    def _refuse_late(self, now_s: float) -> None:
        """Refuse the measurements that have waited longer than ``wait_s``."""
        while self._waiting and now_s - self._waiting[0].arrived_s > self._wait_s:
            message, is_depth, *_ = self._waiting.popleft()
            if is_depth and self._info_for(message, True) is None:
                found = "none" if self._latest_info is None else f"frame {self._latest_info.header.frame_id!r}"
                wanted = f"one of its stamp or of frame {message.header.frame_id!r}"
                self._refuse("no_camera_info", f"depth image: found camera info {found}, expected {wanted}.")
            else:
                self._refuse("no_mask", f"mask: found none of the measurement's stamp within {self._wait_s:g} s.")

    def _refuse_ambiguous(self, masked: bool) -> None:
        """Refuse the measurements whose masks cannot be found by stamp."""
        if not masked or not any(entry.ambiguous for entry in self._waiting):
            return
        waiting, self._waiting = self._waiting, deque()
        for entry in waiting:
            if entry.ambiguous:
                self._refuse("stamp_ambiguous", entry.ambiguous)
            else:
                self._waiting.append(entry)

    def _complete(self, entry: _Waiting, now_s: float, masked: bool) -> Frame | None:
        message, is_depth, arrived_s, _ = entry
        info = self._info_for(message, now_s - arrived_s >= self._wait_s) if is_depth else None
        mask = self._masks.get(convert.stamp_ns(message)) if masked else None
        if (is_depth and info is None) or (masked and mask is None):
            return None
        return Frame(message, arrived_s, info, mask)

    def _info_for(self, message: Any, waited: bool) -> Any:
        """The camera info of a depth image; None while there is none. waited: whether ``wait_s`` is over."""
        exact = self._infos.get(convert.stamp_ns(message))
        if exact is not None:
            self._stamps_match = True
            return exact
        latest = self._latest_info
        usable = latest is not None and convert.same_frame(latest.header.frame_id, message.header.frame_id)
        return latest if usable and (waited or not self._stamps_match) else None


class TfQueue:
    """Complete frames that wait for the camera's pose on /tf. The newest one that is ready wins; memory is bounded.

    refuse: called with a stable code and a sentence for each frame that is dropped.
    """

    def __init__(self, refuse: Callable[[str, str], None]) -> None:
        self._refuse = refuse
        self._frames: deque[tuple[Frame, float]] = deque()  # and since when each waits

    def __len__(self) -> int:
        """How many frames wait."""
        return len(self._frames)

    def add(self, frame: Frame, now_s: float) -> None:
        """Add a frame, newer than those before it. Where the queue is full it is refused: the others are ready sooner."""
        size = _bytes([frame.message, *(waiting.message for waiting, _ in self._frames)])
        if len(self._frames) >= _MAX_WAITING or (self._frames and size > _MAX_WAITING_BYTES):
            self._refuse("superseded", "measurement: too many already wait for the camera's pose.")
        else:
            self._frames.append((frame, now_s))

    def take(self, now_s: float, wait_s: float, may_come: Callable[[Frame], bool]) -> Frame | None:
        """The newest frame that is ready, if any; older ones are refused. Ready: no pose may come, or ``wait_s`` is over.

        may_come: whether a frame's pose is missing now, and a later message may bring it.
        """
        for position in range(len(self._frames) - 1, -1, -1):
            frame, since_s = self._frames[position]
            if now_s - since_s >= wait_s or not may_come(frame):
                for _ in range(position):
                    self._frames.popleft()
                    self._refuse("superseded", "measurement: the camera's pose for a newer one came first.")
                self._frames.popleft()
                return frame
        return None


def _why_ambiguous(message: Any, before: Any) -> str:
    """Why a measurement's stamp does not identify it: the one before has it, too, and other data."""
    stamp_ns = convert.stamp_ns(message)
    if before is None or convert.stamp_ns(before) != stamp_ns or bytes(before.data) == bytes(message.data):
        return ""
    return f"measurement: found the stamp {stamp_ns} ns twice in a row, expected a stamp of its own, by which its mask is found."


def _bytes(messages: Iterable[Any]) -> int:
    return sum(len(message.data) for message in messages)


def _remember(kept: OrderedDict[int, Any], message: Any) -> None:
    stamp = convert.stamp_ns(message)
    kept[stamp] = message
    kept.move_to_end(stamp)
    while len(kept) > _MAX_KEPT:
        kept.popitem(last=False)
