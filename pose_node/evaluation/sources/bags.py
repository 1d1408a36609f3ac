"""A recording as a sequence of frames: measurement, masks, camera pose and labels, synchronised by stamp.

The node's own ``Pairing`` and conversion are used, with the recording's clock as time. Every frame is kept, also those that
the node would drop while it is busy, unless ``realtime`` is set.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from pose_node.arrays import Array
from pose_node.errors import InputError
from pose_node.evaluation.sources.bag_frame import BagFrame, Conversion, RawFrame
from pose_node.evaluation.sources.bag_labels import BagLabel, BagLabels, label_topics
from pose_node.evaluation.sources.realsense import depth_units_m
from pose_node.evaluation.sources.realtime import latest_only
from pose_node.evaluation.sources.recordings import Message, Recording
from pose_node.evaluation.sources.topic_selection import COMPRESSED, Topics, select_topics
from pose_node.messages import convert
from pose_node.messages.compressed_depth import image_from_compressed
from pose_node.messages.pairing import Frame, Pairing
from pose_node.messages.transforms import TransformTree
from pose_node.timing import CLOCK_SET_NS
from pose_node.types import Rejected

_SYNC_TIMEOUT_S = 0.5  # for camera info and mask, as the node's default
_LATE_TIMEOUT_S = 1.0  # for transforms and labels, which are published after the measurement


class _PlacedFrame(NamedTuple):
    """A frame with all that depends on transforms and labels."""

    scene: str
    frame: Frame
    T_fixed_camera: Array | None
    labels: tuple[BagLabel, ...]
    viewpoint: Array | Rejected | None


class _Buffers(NamedTuple):
    """Messages until their frame is complete. paired: frames that wait for transforms and labels."""

    pairing: Pairing
    paired: deque[Frame]
    tree: TransformTree
    labels: BagLabels


class BagFrames:
    """The frames of a recording, in the order of recording; can be iterated several times.

    Stamps that decrease by up to a second are messages out of order, which keep their place. A larger step is a clock that
    was reset: a new scene begins.

    objects:     objects to look for. A single one is the object of all mask labels where ``labels`` is empty.
    topics:      {role: topic} for topics that are not selected automatically: depth, info, points, mask.
    labels:      {mask label: object name}. fixed_frame: of the camera poses, by default the root of the camera's tree.
    ids:         {BOP id: object name}: may stand for an object's name in topics of ground truth.
    rectified:   as the node's parameter; None: true unless the depth topic is named raw and not rect.
    depth_scale_mm: millimetres per count of 16UC1, or per 1.0 of 32FC1; None: a millimetre and a metre (REP 118), or the
                 depth units of a recording of the RealSense SDK.
    viewpoint_frame: frame whose origin is the sensor, for point clouds transformed to another frame; None: their own frame.
    realtime:    drop frames as the node does. The node's processing time is that between two frames of the iteration.
    Raises InputError when the recording cannot be read at all, or has no topic to measure with.
    """

    def __init__(
        self,
        path: str | Path,
        objects: Sequence[str] = (),
        topics: Mapping[str, str] | None = None,
        labels: Mapping[int, str] | None = None,
        rectified: bool | None = None,
        fixed_frame: str | None = None,
        realtime: bool = False,
        ids: Mapping[int, str] | None = None,
        depth_scale_mm: float | None = None,
        viewpoint_frame: str | None = None,
    ) -> None:
        if depth_scale_mm is not None and not 0.0 < depth_scale_mm < math.inf:
            raise InputError(f"depth scale: found {depth_scale_mm:g}, expected millimetres per count, above 0.")
        self.path = Path(path)
        self._objects, self._labels, self._realtime = tuple(objects), dict(labels or {}), realtime
        with Recording(self.path) as recording:
            self._initial_notes: list[str] = []
            masked = bool(self._labels) or len(self._objects) == 1 or "mask" in (topics or {})
            self.topics: Topics = select_topics(recording, topics or {}, self._initial_notes, masked)
            numbered = {**(ids or {}), **self._labels}
            names = {**{str(number): name for number, name in numbered.items()}, **{n: n for n in self._objects}}
            known = {word: name for word, name in names.items() if name in self._objects}
            self.label_topics: dict[str, tuple[str, int]] = label_topics(recording, known, self._initial_notes)
            measurement = self.topics.measurement
            self._rectified = ("rect" in measurement or "raw" not in measurement) if rectified is None else rectified
            self.expected: int = recording.counts[measurement]
            self.depth_scale_mm = depth_scale_mm or self._own_scale_mm(recording)
            self._first_info = self._single_info(recording)
            self._unstamped = self._find_unstamped(recording)
            self.fixed_frame = fixed_frame or self._root(recording)
            self.viewpoint_frame = None if self.topics.depth else viewpoint_frame
            if viewpoint_frame and self.topics.depth:
                self._initial_notes.append(
                    f"viewpoint frame {viewpoint_frame!r}: not used, as depth images are in their camera's frame."
                )
            self._initial_notes += [note for note in recording.notes if note not in self._initial_notes]
        self.notes: list[str] = list(self._initial_notes)

    def __len__(self) -> int:
        """The number of measurements in the recording."""
        return self.expected

    @property
    def camera_is_fixed(self) -> bool:
        """Whether no transform moves the camera's frame, so that it is the fixed frame itself."""
        return self.fixed_frame in (None, self.topics.camera_frame)

    def __iter__(self) -> Iterator[BagFrame]:
        """The frames; afterwards ``notes`` has a sentence for all that was left out or assumed."""
        return (frame.convert() for frame in self.raw())

    def raw(self) -> Iterator[RawFrame]:
        """The same frames before conversion, which takes most of the reading time."""
        self.notes = list(self._initial_notes)
        refusals: Counter[str] = Counter()
        sentences: dict[str, str] = {}

        def refuse(code: str, sentence: str) -> None:
            refusals[code] += 1
            sentences.setdefault(code, sentence)

        with Recording(self.path) as recording:
            placed = self._placed_frames(recording, refuse)
            kept: Iterator[tuple[int, _PlacedFrame]]
            if self._realtime:
                kept = latest_only((one.frame.arrived_s, one) for one in placed)
            else:
                kept = ((0, one) for one in placed)
            viewpoint_frame = self.viewpoint_frame or ""
            how = Conversion(self._rectified, self.depth_scale_mm, self._labels, self._objects, viewpoint_frame)
            for number, (dropped, one) in enumerate(kept):
                yield RawFrame(one.scene, f"{number:06d}", one.frame, one.T_fixed_camera, dropped, how, *one[3:])
            for code, times in refusals.items():
                self.notes.append(f"{times} times {code}: {sentences[code]}")
            self.notes += [note for note in recording.notes if note not in self.notes]

    def _placed_frames(self, recording: Recording, refuse: Any) -> Iterator[_PlacedFrame]:
        """Complete frames with camera pose and labels, by the recording's clock."""
        clock, scenes = _Clock(), count(2)
        scene = self.path.name.split(".")[0] or "bag"
        name = scene
        buffers = _Buffers(self._pairing(refuse), deque(), TransformTree(), BagLabels(self.label_topics, refuse))
        now_s = 0.0
        for message in recording.messages([*self.topics.all(), *self.label_topics]):
            if message.topic in self.label_topics:
                buffers.labels.add(message.topic, message.message)
                continue
            self._stamp(message)
            if clock.jumped(message):
                yield from self._finish(scene, buffers, now_s, refuse)
                scene = f"{name}_{next(scenes)}"
                self.notes.append(f"{message.topic}: its clock was set back; scene {scene} begins there.")
                buffers = buffers._replace(pairing=self._pairing(refuse))
            now_s = message.logged_ns * 1e-9
            self._add(message, buffers, now_s, refuse)
            buffers.paired.extend(self._complete(buffers.pairing, now_s))
            yield from self._placed(scene, buffers, now_s, refuse)
        yield from self._finish(scene, buffers, now_s, refuse)
        buffers.labels.close()

    def _pairing(self, refuse: Any) -> Pairing:
        pairing = Pairing(_SYNC_TIMEOUT_S, refuse)
        if self._first_info is not None:
            pairing.add_info(self._first_info)
        return pairing

    def _single_info(self, recording: Recording) -> Any:
        """The first camera info, where there are fewer of them than images: a latched one comes once, possibly late; else None."""
        info = self.topics.info
        if info is None or recording.counts[info] >= self.expected:
            return None
        first = recording.first(info)
        return None if first is None else self._with_camera_frame(first)

    def _with_camera_frame(self, info: Any) -> Any:
        """A camera info, with the measurement's frame where it applies whatever frame it states."""
        if self.topics.any_info:
            info.header.frame_id = self.topics.camera_frame
        return info

    def _own_scale_mm(self, recording: Recording) -> float | None:
        depth = self.topics.depth
        units_m = None if depth is None else depth_units_m(recording, depth, self._initial_notes)
        # The SDK's float32 0.001 is exactly a millimetre, the default.
        return None if units_m is None or math.isclose(units_m, 0.001, rel_tol=1e-6) else 1000.0 * units_m

    def _find_unstamped(self, recording: Recording) -> bool:
        """Whether the measurements have no stamps, so that no mask could be matched by stamp."""
        first = recording.first(self.topics.measurement)
        unstamped = first is not None and convert.stamp_ns(first) == 0
        if unstamped:
            self._initial_notes.append(
                f"{self.topics.measurement}: found stamp 0, expected the time of measurement; the time of recording is used for all "
                "messages without a stamp, and a mask is matched with the measurement recorded at the same time."
            )
        return unstamped

    def _stamp(self, message: Message) -> None:
        """Set the stamp of an unstamped message to its time of recording, in a recording without stamps."""
        if not self._unstamped or message.topic == self.topics.info or message.topic.endswith("tf_static"):
            return
        for part in getattr(message.message, "transforms", [message.message]):
            if convert.stamp_ns(part) == 0:
                stamp = part.header.stamp
                stamp.sec, stamp.nanosec = divmod(message.logged_ns, 1_000_000_000)

    def _add(self, message: Message, buffers: _Buffers, now_s: float, refuse: Any) -> None:
        """Add one message to the buffer of its topic."""
        topics, pairing = self.topics, buffers.pairing
        try:
            if message.topic == topics.measurement:
                compressed = message.msgtype == COMPRESSED
                measurement = image_from_compressed(message.message) if compressed else message.message
                pairing.add_measurement(measurement, topics.depth is not None, now_s)
            elif message.topic == topics.info:
                pairing.add_info(self._with_camera_frame(message.message))
            elif message.topic == topics.mask:
                pairing.add_mask(message.message)
            else:
                buffers.tree.add_message(message.message, static=message.topic.endswith("tf_static"))
        except InputError as error:
            refuse(error.code, str(error))

    def _complete(self, pairing: Pairing, now_s: float) -> list[Frame]:
        """The complete frames: all of them, or with ``realtime`` those that the node would use."""
        masked = self.topics.mask is not None
        if not self._realtime:
            return pairing.take_each(now_s, masked)
        return list(iter(lambda: pairing.take(now_s, masked), None))

    def _finish(self, scene: str, buffers: _Buffers, now_s: float, refuse: Any) -> Iterator[_PlacedFrame]:
        """The frames that are left at the end of a scene, as after all timeouts."""
        buffers.paired.extend(self._complete(buffers.pairing, now_s + 2.0 * _SYNC_TIMEOUT_S))
        yield from self._placed(scene, buffers, now_s + 2.0 * _LATE_TIMEOUT_S, refuse)

    def _placed(self, scene: str, buffers: _Buffers, now_s: float, refuse: Any) -> Iterator[_PlacedFrame]:
        """The next frames whose camera pose and labels are known or timed out, in order."""
        _, paired, tree, labels = buffers
        while paired:
            message, early = paired[0].message, now_s - paired[0].arrived_s < _LATE_TIMEOUT_S
            stamp_ns, frame_id = convert.stamp_ns(message), str(message.header.frame_id)
            if early and not labels.complete(stamp_ns):
                return
            T_fixed_camera, viewpoint = None, None
            if self.fixed_frame is not None:
                try:
                    T_fixed_camera = tree.lookup(self.fixed_frame, frame_id, stamp_ns)
                except InputError as error:
                    if error.code != "tf_early" and early:
                        return
                    refuse(error.code, str(error))
            if self.viewpoint_frame is not None:
                try:
                    viewpoint = tree.lookup(frame_id, self.viewpoint_frame, stamp_ns)
                except InputError as error:
                    if error.code != "tf_early" and early:
                        return
                    viewpoint = Rejected(error.code, str(error))
            yield _PlacedFrame(
                scene, paired.popleft(), T_fixed_camera, labels.take(stamp_ns, frame_id, tree), viewpoint
            )

    def _root(self, recording: Recording) -> str | None:
        """The root of the camera's tree after all transforms: the first ones may only lead to the camera's mount."""
        tree = TransformTree(keep_ns=0)
        for message in recording.messages(self.topics.tf):
            try:
                tree.add_message(message.message, static=message.topic.endswith("tf_static"))
            except InputError:
                pass  # counted when the frames are read
        root = tree.root(self.topics.camera_frame)
        if self.topics.tf and root is None:
            frame = self.topics.camera_frame
            self._initial_notes.append(
                f"transforms: found none of the camera's frame {frame!r}; its motion is unknown."
            )
        return root


class _Clock:
    """Detects a clock that was reset, by the stamps of each topic: a recording played in a loop, or a restarted simulation.

    Transforms are not considered: they come from several publishers, some of them late, and the tree detects its own resets.
    """

    def __init__(self) -> None:
        self._latest_ns: dict[str, int] = {}

    def jumped(self, message: Message) -> bool:
        """Whether this message is the first after a reset."""
        if hasattr(message.message, "transforms"):
            return False
        stamp_ns = convert.stamp_ns(message.message)
        latest_ns = self._latest_ns.get(message.topic, stamp_ns)
        jumped = stamp_ns < latest_ns - CLOCK_SET_NS
        if jumped:
            self._latest_ns = {}
        self._latest_ns[message.topic] = stamp_ns if jumped else max(stamp_ns, latest_ns)
        return jumped
