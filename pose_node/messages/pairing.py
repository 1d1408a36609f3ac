"""Putting a measurement together from its messages. Attributes and times only."""

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
from pose_node.types import Masks

_KEPT = 16  # camera infos and masks kept for a measurement that is still to come
_WAITING = 8  # measurements that wait for their mask or camera info
_WAITING_BYTES = 64 << 20


@dataclass(frozen=True)
class Frame:
    """One measurement, complete: a depth Image with its CameraInfo or a PointCloud2, and its mask where masks are sent."""

    message: Any
    arrived_s: float
    info: Any = None
    mask: Any = None

    def cloud(
        self, rectified: bool, depth_scale_mm: float | None = None, T_cloud_viewpoint: Array | None = None
    ) -> Cloud:
        """The measured points; InputError when the messages cannot be meant. depth_scale_mm: as ``convert.depth_from_image``.

        T_cloud_viewpoint: [4, 4] where the sensor stood in the frame of a PointCloud2, by default at its origin.
        """
        stamp_ns, frame_id = convert.stamp_ns(self.message), str(self.message.header.frame_id)
        if self.info is None:
            viewpoint_m = (0.0, 0.0, 0.0) if T_cloud_viewpoint is None else T_cloud_viewpoint[:3, 3]
            return Cloud.from_points(convert.points_from_cloud(self.message), viewpoint_m, stamp_ns, frame_id)
        if not convert.same_frame(str(self.info.header.frame_id), frame_id):
            raise InputError(
                f"camera info: found frame {self.info.header.frame_id!r}, expected the depth image's {frame_id!r}.",
                "frame_mismatch",
            )
        depth_m = convert.depth_from_image(self.message, depth_scale_mm)
        camera = convert.camera_from_info(self.info, rectified, (depth_m.shape[0], depth_m.shape[1]))
        return camera.cloud(depth_m, stamp_ns, frame_id)

    def masks(
        self, cloud: Cloud, names: dict[int, str], objects: tuple[str, ...], viewpoint_frame: str = ""
    ) -> Masks | None:
        """The masks over ``cloud.shape``; None where no mask is sent. Labels: ``names``, or the only object for any label.

        viewpoint_frame: where the sensor of a point cloud stood that was moved to another frame: masks may be of either.
        Raises InputError for a mask that cannot be meant, and for one of another frame than the measurement: two cameras side by
        side have images of one size, and yet a pixel of one is not that of the other.
        """
        if self.mask is None:
            return None
        found, expected = str(self.mask.header.frame_id), str(self.message.header.frame_id)
        own = viewpoint_frame and self.info is None and convert.same_frame(found, viewpoint_frame)
        if not own and not convert.same_frame(found, expected):
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
    """A measurement, and why its stamp does not tell it from others; empty where it does."""

    message: Any
    is_depth: bool
    arrived_s: float
    ambiguous: str = ""


class Pairing:
    """Finds the camera info and the mask of each measurement, by stamp. Memory is bounded, and the newest complete wins.

    A depth image takes the camera info of its own stamp. Where infos come rarely, or with other stamps, the last one of
    the same frame serves, after ``wait_s`` if stamps have matched before, else at once.
    Where masks are sent, a measurement whose stamp does not tell it from others cannot be given one: it is refused.
    refuse: called with a stable code and a sentence for each measurement that waited in vain or was overtaken.
    """

    def __init__(self, wait_s: float, refuse: Callable[[str, str], None]) -> None:
        self._wait_s = wait_s
        self._refuse = refuse
        self._waiting: deque[_Waiting] = deque()
        self._last: Any = None  # measurement
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
        while len(self._waiting) > _WAITING or (
            len(self._waiting) > 1 and _bytes(entry.message for entry in self._waiting) > _WAITING_BYTES
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
        """The newest complete frame, if any; older measurements are let go. masked: somebody publishes masks."""
        self._refuse_ambiguous(masked)
        for position in range(len(self._waiting) - 1, -1, -1):
            frame = self._complete(self._waiting[position], now_s, masked)
            if frame is not None:
                for _ in range(position):
                    self._waiting.popleft()
                    self._refuse("superseded", "measurement: a newer one was complete first.")
                self._waiting.popleft()
                return frame
        self._let_go(now_s)
        return None

    def take_each(self, now_s: float, masked: bool) -> list[Frame]:
        """Every complete frame in order of arrival; none is let go because a newer one was complete first."""
        self._refuse_ambiguous(masked)
        found, waiting = [], self._waiting
        self._waiting = deque()
        for entry in waiting:
            frame = self._complete(entry, now_s, masked)
            if frame is None:
                self._waiting.append(entry)
            else:
                found.append(frame)
        self._let_go(now_s)
        return found

    def _let_go(self, now_s: float) -> None:
        """Refuse the measurements that have waited for too long."""
        while self._waiting and now_s - self._waiting[0].arrived_s > self._wait_s:
            message, is_depth, *_ = self._waiting.popleft()
            if is_depth and self._info_for(message, True) is None:
                found = "none" if self._latest_info is None else f"frame {self._latest_info.header.frame_id!r}"
                wanted = f"one of its stamp or of frame {message.header.frame_id!r}"
                self._refuse("no_camera_info", f"depth image: found camera info {found}, expected {wanted}.")
            else:
                self._refuse("no_mask", f"mask: found none of the measurement's stamp within {self._wait_s:g} s.")

    def _refuse_ambiguous(self, masked: bool) -> None:
        """Refuse the measurements that no mask can be told to belong to."""
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
        exact = self._infos.get(convert.stamp_ns(message))
        if exact is not None:
            self._stamps_match = True
            return exact
        latest = self._latest_info
        usable = latest is not None and convert.same_frame(latest.header.frame_id, message.header.frame_id)
        return latest if usable and (waited or not self._stamps_match) else None


class Holding:
    """Frames that are whole and wait for the camera's pose, so that a /tf that is late delays them and holds up nobody.

    The newest that need not wait is taken, and those before it are let go: the newest wins here, too. Memory is bounded.
    refuse: called with a stable code and a sentence for each frame that is let go.
    """

    def __init__(self, refuse: Callable[[str, str], None]) -> None:
        self._refuse = refuse
        self._held: deque[tuple[Frame, float]] = deque()  # and since when

    def __len__(self) -> int:
        """How many frames wait."""
        return len(self._held)

    def add(self, frame: Frame, now_s: float) -> None:
        """Take a frame, newer than those before it. Where too many wait it is let go: they will be ready sooner."""
        size = _bytes([frame.message, *(held.message for held, _ in self._held)])
        if len(self._held) >= _WAITING or (self._held and size > _WAITING_BYTES):
            self._refuse("superseded", "measurement: too many wait for the camera's pose already.")
        else:
            self._held.append((frame, now_s))

    def take(self, now_s: float, wait_s: float, may_come: Callable[[Frame], bool]) -> Frame | None:
        """The newest frame that need not wait, if any: nothing may come for it any more, or it has waited for ``wait_s``.

        may_come: whether what a frame waits for is not there, and may still come.
        """
        for position in range(len(self._held) - 1, -1, -1):
            frame, since_s = self._held[position]
            if now_s - since_s >= wait_s or not may_come(frame):
                for _ in range(position):
                    self._held.popleft()
                    self._refuse("superseded", "measurement: the camera's pose of a newer one came first.")
                self._held.popleft()
                return frame
        return None


def _why_ambiguous(message: Any, before: Any) -> str:
    """Why a measurement's stamp cannot say which mask is its own. One that is sent again as it was is the same measurement."""
    stamp_ns = convert.stamp_ns(message)
    if before is None or convert.stamp_ns(before) != stamp_ns or bytes(before.data) == bytes(message.data):
        return ""
    return f"measurement: found the stamp {stamp_ns} ns twice in a row, expected one of its own, by which masks are told apart."


def _bytes(messages: Iterable[Any]) -> int:
    return sum(len(message.data) for message in messages)


def _remember(kept: OrderedDict[int, Any], message: Any) -> None:
    stamp = convert.stamp_ns(message)
    kept[stamp] = message
    kept.move_to_end(stamp)
    while len(kept) > _KEPT:
        kept.popitem(last=False)
