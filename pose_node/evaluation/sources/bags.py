"""A recording as the node would have met it: frames of measurement, masks and camera pose, put together by stamp.

The same ``Pairing`` and the same conversion as in the node, with the recording's clock for time. No frame is left out
because a newer one came, unless ``realtime`` asks for that.
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
from pose_node.evaluation.sources.bag_labels import BagLabel, BagLabels, label_topics
from pose_node.evaluation.sources.realsense import depth_units_m
from pose_node.evaluation.sources.realtime import latest_only
from pose_node.evaluation.sources.recordings import Message, Recording
from pose_node.evaluation.sources.topic_selection import COMPRESSED, Topics, select_topics
from pose_node.measurement.cloud import Cloud
from pose_node.messages import convert
from pose_node.messages.compressed_depth import image_from_compressed
from pose_node.messages.pairing import NO_LABELS, NO_POINTS, Frame, Pairing
from pose_node.messages.transforms import TransformTree
from pose_node.timing import CLOCK_SET_NS
from pose_node.types import Masks, Rejected

_WAIT_S = 0.5  # for camera info and mask, as the node's own default
_WAIT_OTHERS_S = 1.0  # transforms and labels are published after the moment that they tell of


class BagFrame(NamedTuple):
    """One measurement, as ``Pipeline.estimate`` takes it.

    scene: the recording's name, with a number after each jump of its clock. T_fixed_camera: [4, 4], None where it is not
    known. dropped: frames left out before this one. refused: why there is nothing to estimate from; ``cloud`` is then None.
    labels: the ground truth that the recording itself holds.
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


class Meaning(NamedTuple):
    """How messages become a frame: ``BagFrames``' rectified, depth_scale_mm, labels, objects and viewpoint_frame."""

    rectified: bool
    depth_scale_mm: float | None
    labels: Mapping[int, str]
    objects: tuple[str, ...]
    viewpoint_frame: str


class RawFrame(NamedTuple):
    """A frame as its messages, which are small to send to whoever works on it; the rest as in ``BagFrame``.

    viewpoint: [4, 4] where a point cloud was seen from, in its own frame, or why that is not known; None: from its origin.
    """

    scene: str
    frame: str
    messages: Frame
    T_fixed_camera: Array | None
    dropped: int
    meaning: Meaning
    labels: tuple[BagLabel, ...] = ()
    viewpoint: Array | Rejected | None = None

    def converted(self) -> BagFrame:
        """The frame, converted as the node's worker does; what cannot be meant is a frame with its reason."""
        cloud, masks, refused = None, None, None
        try:
            if isinstance(self.viewpoint, Rejected):
                raise InputError(self.viewpoint.reason, self.viewpoint.code)
            cloud = self.messages.cloud(self.meaning.rectified, self.meaning.depth_scale_mm, self.viewpoint)
            told = (dict(self.meaning.labels), self.meaning.objects, self.meaning.viewpoint_frame)
            masks = self.messages.masks(cloud, *told)
            if not len(cloud):
                refused = NO_POINTS
            elif masks is not None and not masks:
                refused = NO_LABELS
        except InputError as error:
            sentence = str(error)
            if error.code == "not_metres" and self.messages.info is not None:
                sentence = f"{sentence.removesuffix('.')}; --depth-scale says what a count stands for."
            refused = Rejected(error.code, sentence)
        if refused is not None:
            cloud, masks = None, None
        stamp_ns = convert.stamp_ns(self.messages.message)
        return BagFrame(
            self.scene, self.frame, cloud, masks, self.T_fixed_camera, stamp_ns, self.dropped, refused, self.labels
        )


class _Measured(NamedTuple):
    scene: str
    frame: Frame
    T_fixed_camera: Array | None
    labels: tuple[BagLabel, ...]
    viewpoint: Array | Rejected | None


class _Waiting(NamedTuple):
    """What a measurement is put together from, until it is whole."""

    pairing: Pairing
    held: deque[Frame]
    tree: TransformTree
    labels: BagLabels


class BagFrames:
    """The frames of a recording, in the order of recording; can be iterated again.

    Stamps that fall back by up to a second are messages out of order, each of which keeps its place; by more, they are those of
    a new clock, with which a new scene begins.

    objects:     those that are looked for; a mask's labels mean the only one of them where ``labels`` is empty.
    topics:      {role: topic} where the choice is not to be made from the types: depth, info, points, mask.
    labels:      {mask label: object name}. fixed_frame: of the camera's poses, else the root of its tree.
    ids:         {BOP id: object name}: beside their names what may stand for objects in topics of ground truth.
    rectified:   as the node's parameter; None: unless the depth topic is named raw and not rect.
    depth_scale_mm: millimetres that a count of 16UC1 or 1.0 of 32FC1 stands for; None: a millimetre and a metre (REP 118), or
                 what a recording of the RealSense SDK says.
    viewpoint_frame: in whose origin the sensor of point clouds stood, where they were moved to another; None: their own.
    realtime:    drop frames as the node would, whose worker takes the time between two frames of the iteration.
    Raises InputError when the recording cannot be read at all, or holds nothing to measure with.
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
            self._opening: list[str] = []
            masked = bool(self._labels) or len(self._objects) == 1 or "mask" in (topics or {})
            self.topics: Topics = select_topics(recording, topics or {}, self._opening, masked)
            numbered = {**(ids or {}), **self._labels}
            names = {**{str(number): name for number, name in numbered.items()}, **{n: n for n in self._objects}}
            known = {word: name for word, name in names.items() if name in self._objects}
            self.label_topics: dict[str, tuple[str, int]] = label_topics(recording, known, self._opening)
            measurement = self.topics.measurement
            self._rectified = ("rect" in measurement or "raw" not in measurement) if rectified is None else rectified
            self.expected: int = recording.counts[measurement]
            self.depth_scale_mm = depth_scale_mm or self._own_scale_mm(recording)
            self._rare_info = self._info_where_rare(recording)
            self._unstamped = self._find_unstamped(recording)
            self.fixed_frame = fixed_frame or self._root(recording)
            self.viewpoint_frame = None if self.topics.depth else viewpoint_frame
            if viewpoint_frame and self.topics.depth:
                self._opening.append(
                    f"viewpoint frame {viewpoint_frame!r}: not used, as depth images are in their camera's frame."
                )
            self._opening += [note for note in recording.notes if note not in self._opening]
        self.notes: list[str] = list(self._opening)

    def __len__(self) -> int:
        """How many measurements the recording holds: what a progress bar counts to."""
        return self.expected

    @property
    def still(self) -> bool:
        """Whether nothing moves the camera's frame, so that it is the fixed one."""
        return self.fixed_frame in (None, self.topics.camera_frame)

    def __iter__(self) -> Iterator[BagFrame]:
        """Frames; afterwards ``notes`` says, in sentences, all that could not be had."""
        return (frame.converted() for frame in self.raw())

    def raw(self) -> Iterator[RawFrame]:
        """The same frames before they are converted, which is most of the work of reading them."""
        self.notes = list(self._opening)
        refusals: Counter[str] = Counter()
        sentences: dict[str, str] = {}

        def refuse(code: str, sentence: str) -> None:
            refusals[code] += 1
            sentences.setdefault(code, sentence)

        with Recording(self.path) as recording:
            measured = self._measured(recording, refuse)
            chosen: Iterator[tuple[int, _Measured]]
            if self._realtime:
                chosen = latest_only((one.frame.arrived_s, one) for one in measured)
            else:
                chosen = ((0, one) for one in measured)
            viewpoint_frame = self.viewpoint_frame or ""
            meaning = Meaning(self._rectified, self.depth_scale_mm, self._labels, self._objects, viewpoint_frame)
            for number, (dropped, one) in enumerate(chosen):
                yield RawFrame(one.scene, f"{number:06d}", one.frame, one.T_fixed_camera, dropped, meaning, *one[3:])
            for code, times in refusals.items():
                self.notes.append(f"{times} times {code}: {sentences[code]}")
            self.notes += [note for note in recording.notes if note not in self.notes]

    def _measured(self, recording: Recording, refuse: Any) -> Iterator[_Measured]:
        """Complete frames with the camera's pose, by the recording's clock."""
        clock, scenes = _Clock(), count(2)
        scene = self.path.name.split(".")[0] or "bag"
        name = scene
        waiting = _Waiting(self._pairing(refuse), deque(), TransformTree(), BagLabels(self.label_topics, refuse))
        now_s = 0.0
        for message in recording.messages([*self.topics.all(), *self.label_topics]):
            if message.topic in self.label_topics:
                waiting.labels.add(message.topic, message.message)
                continue
            self._stamp(message)
            if clock.jumped(message):
                yield from self._finish(scene, waiting, now_s, refuse)
                scene = f"{name}_{next(scenes)}"
                self.notes.append(f"{message.topic}: found its clock set back; {scene} begins there.")
                waiting = waiting._replace(pairing=self._pairing(refuse))
            now_s = message.logged_ns * 1e-9
            self._take(message, waiting, now_s, refuse)
            waiting.held.extend(self._complete(waiting.pairing, now_s))
            yield from self._placed(scene, waiting, now_s, refuse)
        yield from self._finish(scene, waiting, now_s, refuse)
        waiting.labels.close()

    def _pairing(self, refuse: Any) -> Pairing:
        pairing = Pairing(_WAIT_S, refuse)
        if self._rare_info is not None:
            pairing.add_info(self._rare_info)
        return pairing

    def _info_where_rare(self, recording: Recording) -> Any:
        """The first camera info of a recording with fewer of them than images: latched ones come once, and some come late."""
        info = self.topics.info
        if info is None or recording.counts[info] >= self.expected:
            return None
        first = recording.first(info)
        return None if first is None else self._meant(first)

    def _meant(self, info: Any) -> Any:
        """A camera info, of the measurement's frame where it serves whatever frame it states."""
        if self.topics.any_info:
            info.header.frame_id = self.topics.camera_frame
        return info

    def _own_scale_mm(self, recording: Recording) -> float | None:
        depth = self.topics.depth
        units_m = None if depth is None else depth_units_m(recording, depth, self._opening)
        # A float32 of 0.001 is meant as a millimetre, which depth is read with anyway.
        return None if units_m is None or math.isclose(units_m, 0.001, rel_tol=1e-6) else 1000.0 * units_m

    def _find_unstamped(self, recording: Recording) -> bool:
        """Whether the measurements have no stamps, so that masks would all be of one moment."""
        first = recording.first(self.topics.measurement)
        unstamped = first is not None and convert.stamp_ns(first) == 0
        if unstamped:
            self._opening.append(
                f"{self.topics.measurement}: found stamp 0, expected the moment of measuring; the time of recording serves as the "
                "stamp of all that has none, and a mask belongs to the measurement that was recorded at the same time."
            )
        return unstamped

    def _stamp(self, message: Message) -> None:
        """Give a message without a stamp the time of its recording, in a recording without stamps."""
        if not self._unstamped or message.topic == self.topics.info or message.topic.endswith("tf_static"):
            return
        for part in getattr(message.message, "transforms", [message.message]):
            if convert.stamp_ns(part) == 0:
                stamp = part.header.stamp
                stamp.sec, stamp.nanosec = divmod(message.logged_ns, 1_000_000_000)

    def _take(self, message: Message, waiting: _Waiting, now_s: float, refuse: Any) -> None:
        """Give one message to whom it belongs."""
        topics, pairing = self.topics, waiting.pairing
        try:
            if message.topic == topics.measurement:
                packed = message.msgtype == COMPRESSED
                measurement = image_from_compressed(message.message) if packed else message.message
                pairing.add_measurement(measurement, topics.depth is not None, now_s)
            elif message.topic == topics.info:
                pairing.add_info(self._meant(message.message))
            elif message.topic == topics.mask:
                pairing.add_mask(message.message)
            else:
                waiting.tree.add_message(message.message, static=message.topic.endswith("tf_static"))
        except InputError as error:
            refuse(error.code, str(error))

    def _complete(self, pairing: Pairing, now_s: float) -> list[Frame]:
        """The frames that are whole: all of them, but in real time those that the node would take."""
        masked = self.topics.mask is not None
        if not self._realtime:
            return pairing.take_each(now_s, masked)
        return list(iter(lambda: pairing.take(now_s, masked), None))

    def _finish(self, scene: str, waiting: _Waiting, now_s: float, refuse: Any) -> Iterator[_Measured]:
        """What still waits when nothing more comes."""
        waiting.held.extend(self._complete(waiting.pairing, now_s + 2.0 * _WAIT_S))
        yield from self._placed(scene, waiting, now_s + 2.0 * _WAIT_OTHERS_S, refuse)

    def _placed(self, scene: str, waiting: _Waiting, now_s: float, refuse: Any) -> Iterator[_Measured]:
        """The frames whose camera pose and labels are known, or will not be any more, in order."""
        _, held, tree, labels = waiting
        while held:
            message, early = held[0].message, now_s - held[0].arrived_s < _WAIT_OTHERS_S
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
            yield _Measured(scene, held.popleft(), T_fixed_camera, labels.take(stamp_ns, frame_id, tree), viewpoint)

    def _root(self, recording: Recording) -> str | None:
        """The root of the camera's tree when all transforms are known: at the beginning it may be the camera's own mount."""
        tree = TransformTree(keep_ns=0)
        for message in recording.messages(self.topics.tf):
            try:
                tree.add_message(message.message, static=message.topic.endswith("tf_static"))
            except InputError:
                pass  # counted when the frames are read
        root = tree.root(self.topics.camera_frame)
        if self.topics.tf and root is None:
            frame = self.topics.camera_frame
            self._opening.append(f"transforms: found none of the camera's frame {frame!r}; its motion is not known.")
        return root


class _Clock:
    """Tells when the stamps of a measurement's topics fall back: a recording of a loop, or of a simulation started again.

    Transforms come from many publishers, and one that lags is no clock: their tree tells its own runs apart.
    """

    def __init__(self) -> None:
        self._latest_ns: dict[str, int] = {}

    def jumped(self, message: Message) -> bool:
        """Whether this message is the first of a new clock."""
        if hasattr(message.message, "transforms"):
            return False
        stamp_ns = convert.stamp_ns(message.message)
        latest_ns = self._latest_ns.get(message.topic, stamp_ns)
        jumped = stamp_ns < latest_ns - CLOCK_SET_NS
        if jumped:
            self._latest_ns = {}
        self._latest_ns[message.topic] = stamp_ns if jumped else max(stamp_ns, latest_ns)
        return jumped
