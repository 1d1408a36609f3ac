"""The ROS 2 node: a lifecycle node around ``Pipeline``. The only module of the chain that imports rclpy.

Two threads: the executor's takes messages and puts them together, the worker's estimates and publishes. Between them
lies one slot, so the newest frame wins and memory is bounded whatever the rate of the camera. With a fixed frame objects
are tracked in it (``Pipeline.step``), and detections run in a process beside; without one every frame stands alone.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseArray, PoseStamped, PoseWithCovarianceStamped
from rcl_interfaces.msg import SetParametersResult
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger
from threadpoolctl import threadpool_limits
from visualization_msgs.msg import MarkerArray

from pose_node import convert, ros_messages, ros_parameters
from pose_node.cloud import Cloud
from pose_node.errors import ConfigError, InputError, PoseNodeError
from pose_node.frames import Frame, Holding, Mailbox, Pairing
from pose_node.objects import object_folders
from pose_node.ros_subscription import Input
from pose_node.tf_buffer import TfBuffer
from pose_node.types import Estimate, Rejected, Result, Step, Track

_HOUSEKEEPING_S = 0.1
_SOURCE_SILENT_S = 1.0  # with input "auto", the other source may take over after this silence
_STOP_S = 3.0  # the worker's time to finish its frame
_FAILED = (PoseNodeError, OSError)  # what configuring can meet in folders and settings


class PoseNode(LifecycleNode):
    """Subscribes to measurements, publishes poses. Raises ConfigError at once for parameters that cannot be meant."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("pose_node", **kwargs)
        ros_parameters.declare(self, self._parameter_overrides)
        self.settings = ros_parameters.read(self)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._pipeline: Any = None
        self._meshes: dict[str, str] = {}
        self._boxes_m: dict[str, Any] = {}
        self._labels: dict[int, str] = {}
        self._outputs: dict[str, Any] = {}
        self._inputs: list[Input] = []
        self._own_services: list[Any] = []
        self._pairing: Pairing | None = None
        self._holding: Holding | None = None
        self._mailbox: Mailbox[Frame] | None = None
        self._worker: threading.Thread | None = None
        self._source: tuple[str, float] | None = None
        self._measured_ns: int | None = None
        self._beside: Any = None
        self._tf: TfBuffer | None = None
        self._wanted: Counter[str] = Counter()  # asked for by services, done by the worker
        self._active: frozenset[str] = frozenset()
        self._status = _Status()
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._timers_own = [
            self.create_timer(_HOUSEKEEPING_S, self._keep_house),
            self.create_timer(self.settings.node.diagnostics_period_s, self._report),
        ]

    # Lifecycle ------------------------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the objects and offer the outputs; on failure say why and stay unconfigured."""
        try:
            self.settings = ros_parameters.read(self)
            self._load()
        except _FAILED as error:
            self._status.failed(_code(error), str(error))
            self.get_logger().error(str(error))
            self._forget()
            return TransitionCallbackReturn.FAILURE
        except Exception as error:  # rclpy would turn it into an error state without a word
            self._status.failed("internal", f"{type(error).__name__}: {error}")
            self.get_logger().error(f"cannot configure: {type(error).__name__}: {error}\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe, and start the worker."""
        self._status.begin()
        self._source = self._measured_ns = None
        self._pairing = Pairing(self.settings.node.sync_wait_s, self._refuse)
        self._mailbox = Mailbox()
        self._tf = TfBuffer() if self._tracks() else None
        self._holding = Holding(self._refuse) if self._tracks() else None
        self._pipeline.reset()
        self._active = frozenset(self._pipeline.cards)
        self._worker = threading.Thread(target=self._work, args=(self._mailbox,), name="estimate", daemon=True)
        self._worker.start()
        self._own_services = self._serve()
        self._inputs = self._subscribe()
        self.get_logger().info("active")
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe, and stop the worker; nothing is published after this."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget the objects and the outputs."""
        self._forget()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop from any state."""
        self._stop()
        self._forget()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured, from where the node can be configured again."""
        self._stop()
        self._forget()
        return TransitionCallbackReturn.SUCCESS

    def _load(self) -> None:
        # Here and not above: a node that is refused its parameters need not load ONNX Runtime first.
        from pose_node.pipeline import Pipeline

        node = self.settings.node
        folders = object_folders(node.models, node.objects)
        self._labels = convert.parse_labels(node.mask_labels)
        names = [folder.name for folder in folders]
        for name in self._labels.values():
            if name not in names:
                raise ConfigError(f"parameter mask_labels: found object {name!r}, expected one of {', '.join(names)}.")
        self._pipeline = Pipeline.load(folders, config=self.settings.pipeline)
        # The chain's matrices are small: more threads only wait for each other.
        threadpool_limits(self.settings.pipeline.infer.threads)
        if self._tracks():
            _need_tf_messages(node.fixed_frame)
        if self._tracks() and self.settings.pipeline.track.detect_beside:
            from pose_node.beside import Beside

            self._beside = self._pipeline.stream.detections = Beside(folders, self.settings.pipeline)
        self._meshes = {name: card.mesh_path.resolve().as_uri() for name, card in self._pipeline.cards.items()}
        self._offer("~/poses", PoseArray)
        self._offer("~/markers", MarkerArray)
        self._boxes_m = {name: card.surface.box_m for name, card in self._pipeline.cards.items()}
        if ros_messages.vision_msgs is None:
            self.get_logger().warning("vision_msgs is not installed: ~/detections is left out.")
        else:
            self._offer("~/detections", ros_messages.vision_msgs.msg.Detection3DArray)
        if self._tracks() and node.publish_tf:
            self._offer("/tf", ros_messages.tf2_msgs.msg.TFMessage)
        for name in self._pipeline.cards:
            self._offer(f"~/{name}/pose", PoseStamped)
            self._offer(f"~/{name}/pose_with_covariance", PoseWithCovarianceStamped)
        self._status.facts = {
            "provider": self._pipeline.provider,
            "objects": " ".join(self._pipeline.cards),
            "threads": self.settings.pipeline.infer.threads,
            "input": node.input,
            "rectified": node.rectified,
            "fixed_frame": node.fixed_frame or "none: poses are in the camera's frame, and every frame stands alone",
        }
        told = ", ".join(f"{key} {value}" for key, value in self._status.facts.items())
        self.get_logger().info(f"loaded: {told}")
        look_s = max(network.warm() for network in self._pipeline.networks.values())
        waits = f"at most {node.sync_wait_s:g} s for camera info and mask"
        if self._tracks():
            waits += f" and {node.tf_wait_s:g} s for /tf"
        self.get_logger().info(f"latency budget: a network's look {1000.0 * look_s:.0f} ms; a frame waits {waits}")

    def _offer(self, topic: str, kind: type) -> None:
        self._outputs[topic] = self.create_lifecycle_publisher(kind, topic, 10)

    def _forget(self) -> None:
        for publisher in self._outputs.values():
            self.destroy_lifecycle_publisher(publisher)
        self._outputs = {}
        self._pipeline = None
        if self._beside is not None:
            self._beside.close()
        self._beside = None

    def _tracks(self) -> bool:
        return bool(self.settings.node.fixed_frame) and self.settings.pipeline.track.enabled

    def _stop(self) -> None:
        for source in self._inputs:
            source.close()
        self._inputs = []
        for service in self._own_services:
            self.destroy_service(service)
        self._own_services = []
        self._pairing = self._holding = None
        if self._mailbox is not None and self._worker is not None:
            self._mailbox.close()
            self._worker.join(_STOP_S)
        self._mailbox, self._worker = None, None

    def _on_set_parameters(self, changes: Sequence[Any]) -> SetParametersResult:
        values = {change.name: change.value for change in changes}
        try:
            self.settings = ros_parameters.changed(self.settings, values, running=self._pipeline is not None)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    # The executor's thread: messages in ------------------------------------------------------------------------------

    def _subscribe(self) -> list[Input]:
        wanted = self.settings.node.input
        hear = partial(Input, self, reliability=self.settings.node.reliability)
        sources: list[Input] = []
        if wanted in ("auto", "depth"):
            sources.append(hear(Image, "depth/image_rect", 2, lambda m: self._on_measurement("depth", m)))
            sources.append(hear(CameraInfo, "depth/camera_info", 10, self._on_info))
        if wanted in ("auto", "points"):
            sources.append(hear(PointCloud2, "points", 2, lambda m: self._on_measurement("points", m)))
        sources.append(hear(Image, "mask", 5, self._on_mask))
        if self._tf is not None:
            TFMessage = ros_messages.tf2_msgs.msg.TFMessage
            sources.append(hear(TFMessage, "/tf", 100, lambda m: self._on_tf(m, False)))
            sources.append(hear(TFMessage, "/tf_static", 100, lambda m: self._on_tf(m, True)))
        return sources

    def _on_tf(self, message: Any, static: bool) -> None:
        if self._tf is not None:
            try:
                self._tf.add(message, static)
            except InputError as error:
                self._status.warn(error.code, str(error))
            if self._holding:  # some robots send a thousand transforms a second
                self._hand_over()

    def _on_measurement(self, source: str, message: Any) -> None:
        now_s = time.monotonic()
        if self._pairing is None:
            return
        self._status.count("frames_received")
        # With both sources connected, one of them serves: two would answer each moment twice.
        if self._source is not None and self._source[0] != source and now_s - self._source[1] < _SOURCE_SILENT_S:
            self._refuse("other_source", f"{source}: ignored while {self._source[0]} arrives; set the parameter input.")
            return
        self._source = (source, now_s)
        self._measured_ns = convert.stamp_ns(message)
        self._pairing.add_measurement(message, source == "depth", now_s)
        self._hand_over()

    def _on_info(self, message: Any) -> None:
        if self._pairing is not None:
            self._pairing.add_info(message)
            self._hand_over()

    def _on_mask(self, message: Any) -> None:
        if self._pairing is not None:
            self._pairing.add_mask(message)
            self._hand_over()

    def _serve(self) -> list[Any]:
        offered = [
            self.create_service(Trigger, "~/detect", lambda _, answer: self._ask("detect", answer)),
            self.create_service(Trigger, "~/reset_tracks", lambda _, answer: self._ask("reset", answer)),
        ]
        for name in self._pipeline.cards:
            offered.append(self.create_service(SetBool, f"~/{name}/set_active", partial(self._set_active, name)))
        return offered

    def _set_active(self, name: str, request: Any, answer: Any) -> Any:
        """Look for an object from the next frame on, or no longer."""
        self._active = self._active | {name} if request.data else self._active - {name}
        answer.success, answer.message = True, f"looking for {', '.join(sorted(self._active)) or 'nothing'}."
        self._status.facts["active"] = " ".join(sorted(self._active))
        return answer

    def _ask(self, what: str, answer: Any) -> Any:
        """A service's wish, which the worker fulfils with the next frame: only it touches the tracks."""
        answer.success = self._tf is not None
        if answer.success:
            self._wanted[what] += 1
            answer.message = "with the next frame."
        else:
            answer.message = "found no fixed_frame, expected one: without it there are no tracks."
        return answer

    def _hand_over(self) -> None:
        if self._pairing is None or self._mailbox is None:
            return
        now_s = time.monotonic()
        frame = self._pairing.take(now_s, masked=self._published("mask") > 0)
        if self._holding is not None:
            if frame is not None:
                self._holding.add(frame, now_s)
            frame = self._holding.take(now_s, self.settings.node.tf_wait_s, self._pose_may_come)
        if frame is not None and self._mailbox.put(frame):
            self._refuse("superseded", "measurement: a newer one came before the worker was free.")

    def _pose_may_come(self, frame: Frame) -> bool:
        """Whether the camera's pose is not known at the frame's stamp, and may still come."""
        header, fixed_frame = frame.message.header, self.settings.node.fixed_frame
        stamp_ns = convert.stamp_ns(frame.message)
        return self._tf is not None and self._tf.may_come(fixed_frame, str(header.frame_id), stamp_ns)

    def _keep_house(self) -> None:
        for source in self._inputs:
            source.follow(self.settings.node.reliability)
        self._hand_over()

    # The worker's thread: poses out ----------------------------------------------------------------------------------

    def _work(self, mailbox: Mailbox[Frame]) -> None:
        while (frame := mailbox.get()) is not None:
            try:
                self._answer(frame)
            except PoseNodeError as error:
                self._refuse(_code(error), str(error))
            except Exception as error:  # the last line of defence: one frame may fail, the node may not
                self._status.failed("internal", f"{type(error).__name__}: {error}")
                self.get_logger().error(f"frame failed: {type(error).__name__}: {error}", throttle_duration_sec=5.0)

    def _answer(self, frame: Frame) -> None:
        pipeline = self._pipeline
        if pipeline is None:
            return
        started_s = time.monotonic()
        cloud = frame.cloud(self.settings.node.rectified)
        converted_s = time.monotonic()
        answer = self._estimate(pipeline, frame, cloud)
        result, found = answer.result, answer.estimates
        good = [i for i, estimate in enumerate(found) if ros_messages.is_publishable(estimate)]
        estimates = [found[i] for i in good]
        tracks = () if answer.step is None else answer.step.tracks
        self._publish(frame.message.header, estimates, answer.ids and [answer.ids[i] for i in good], tracks)
        if answer.step is not None:
            self._status.tracked(tracks)
            self._publish_tf(frame.message.header.stamp, tracks)
        done_s = time.monotonic()
        stages = {"convert": converted_s - started_s, **result.stage_s}
        rejected = [r.code for r in result.rejected]
        rejected += ["not_finite"] * (len(found) - len(estimates))
        self._status.answered(len(estimates), rejected, stages, done_s - started_s, done_s - frame.arrived_s)
        self._warn_of_header(frame.message.header)

    def _estimate(self, pipeline: Any, frame: Frame, cloud: Cloud) -> _Answer:
        pipeline.retune(self.settings.pipeline)
        if not len(cloud):
            return _Answer(Result((), (Rejected("no_points", "the measurement holds no reading."),)))
        masks = frame.masks(cloud, self._labels, tuple(pipeline.cards))
        if masks is not None and not masks:
            return _Answer(
                Result((), (Rejected("no_labels", "the mask holds none of the labels that name an object."),))
            )
        if self._tf is None:
            result = pipeline.estimate(cloud, masks=masks, objects=self._active)
            return _Answer(result, result.estimates)
        from pose_node.stream import shown

        T_fixed_camera = self._tf.lookup(self.settings.node.fixed_frame, cloud.frame_id, cloud.stamp_ns)
        if self._wanted.pop("reset", 0):
            pipeline.reset()
        if self._wanted.pop("detect", 0):
            pipeline.stream.detect_soon()
        pipeline.stream.look_for(self._active)
        step = pipeline.step(cloud, T_fixed_camera, masks)
        pairs = shown(step.tracks, T_fixed_camera)
        names = [track.name for track, _ in pairs]
        return _Answer(step.result, tuple(e for _, e in pairs), names, step)

    def _publish(
        self, header: Any, estimates: Sequence[Estimate], ids: Sequence[str] | None, tracks: Sequence[Track]
    ) -> None:
        self._send("~/poses", ros_messages.pose_array, header, estimates)
        self._send("~/detections", ros_messages.detections, header, estimates, self._boxes_m, ids)
        unseen = [t for t in tracks if t.estimate is None and np.isfinite(t.T_fixed_object).all()]
        fixed_frame = self.settings.node.fixed_frame
        self._send("~/markers", ros_messages.markers, header, estimates, self._meshes, ids, unseen, fixed_frame)
        best = {estimate.object_name: estimate for estimate in reversed(estimates)}
        for name, estimate in best.items():
            self._send(f"~/{name}/pose", ros_messages.pose_stamped, header, estimate)
            self._send(f"~/{name}/pose_with_covariance", ros_messages.pose_with_covariance, header, estimate)

    def _publish_tf(self, stamp: Any, tracks: Sequence[Track]) -> None:
        """A frame for each track that is not lost, below the fixed one."""
        header = Header(stamp=stamp, frame_id=self.settings.node.fixed_frame)
        for track in tracks:
            if track.state != "lost" and np.isfinite(track.T_fixed_object).all():
                self._send("/tf", ros_messages.tf_message, header, track.name, track.T_fixed_object)

    def _send(self, topic: str, make: Callable[..., Any], *contents: Any) -> None:
        """Publish the message of these contents, where the topic is offered and somebody listens: a frame's time is short."""
        publisher = self._outputs.get(topic)
        if publisher is not None and publisher.get_subscription_count():
            publisher.publish(make(*contents))

    def _warn_of_header(self, header: Any) -> None:
        """A pose without a time or a frame is right, yet of little use: say so, and go on."""
        if not header.frame_id:
            self._status.warn("no_frame_id", "header: found an empty frame_id; the poses carry it on.")
        if header.stamp.sec == 0 and header.stamp.nanosec == 0:
            self._status.warn("no_stamp", "header: found stamp 0; the poses carry it on.")

    # Diagnostics -----------------------------------------------------------------------------------------------------

    def _refuse(self, code: str, sentence: str) -> None:
        self._status.refused(code, sentence)
        if code not in ("superseded", "other_source"):
            self.get_logger().warning(f"{code}: {sentence}", throttle_duration_sec=5.0)

    def _report(self) -> None:
        state = self._state_machine.current_state[1]
        level, summary, values = self._status.report(state)
        connected = {s.topic: self._published(s.topic) for s in self._inputs}
        values.update({f"publishers.{topic}": number for topic, number in connected.items()})
        if self._tf is not None and self._measured_ns is not None:
            newest_ns = self._tf.newest_ns()
            age_s = "none came" if newest_ns is None else (self._measured_ns - newest_ns) * 1e-9
            values["tf_age_s"] = age_s  # of the newest of /tf at the last measurement's stamp
        stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(
            ros_messages.diagnostics(stamp, self.get_fully_qualified_name(), level, summary, values)
        )

    def _published(self, topic: str) -> int:
        """How many publish ``topic`` under the name it is remapped to: rclpy counts the name that it is given."""
        return self.count_publishers(self.resolve_topic_name(topic))

    def close(self) -> None:
        """Stop the worker and its detector, and give back all that ROS lent."""
        self._stop()
        if self._beside is not None:
            self._beside.close()
        self.destroy_node()


@dataclass(frozen=True)
class _Answer:
    """What the chain made of a frame: the estimates to publish, and with tracks the names of theirs and all there are."""

    result: Result
    estimates: Sequence[Estimate] = ()
    ids: Sequence[str] | None = None
    step: Step | None = None


class _Status:
    """What the diagnostics tell: facts, counts since activation, and the last frame's times. Safe between threads."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}
        self._lock = threading.Lock()
        self.begin()

    def begin(self) -> None:
        """Count from zero."""
        with self._lock:
            self._counts: Counter[str] = Counter(
                {"frames_received": 0, "frames_processed": 0, "frames_refused": 0, "frames_superseded": 0, "poses": 0}
            )
            self._times: dict[str, float] = {}
            self._tracks: dict[str, Any] = {}
            self._last_refusal = ""
            self._news: tuple[bytes, str] | None = None  # the worst since the last report
            self._seen = 0

    def count(self, key: str) -> None:
        """One more of ``key``."""
        with self._lock:
            self._counts[key] += 1

    def refused(self, code: str, sentence: str) -> None:
        """A frame was not used."""
        with self._lock:
            if code == "superseded":
                self._counts["frames_superseded"] += 1
                return
            self._counts["frames_refused"] += 1
            self._counts[f"refused.{code}"] += 1
            self._last_refusal = f"{code}: {sentence}"
            if code != "other_source":
                self._tell(DiagnosticStatus.WARN, self._last_refusal)

    def warn(self, code: str, sentence: str) -> None:
        """A frame was used, with a reservation."""
        with self._lock:
            self._counts[f"warned.{code}"] += 1
            self._tell(DiagnosticStatus.WARN, f"{code}: {sentence}")

    def failed(self, code: str, sentence: str) -> None:
        """Something went wrong that no input explains."""
        with self._lock:
            self._counts["frames_refused"] += 1
            self._counts[f"refused.{code}"] += 1
            self._last_refusal = f"{code}: {sentence}"
            self._tell(DiagnosticStatus.ERROR, self._last_refusal)

    def answered(
        self, poses: int, rejected: Sequence[str], stages: dict[str, float], total_s: float, latency_s: float
    ) -> None:
        """A frame went through the chain."""
        with self._lock:
            self._counts["frames_processed"] += 1
            self._counts["poses"] += poses
            for code in rejected:
                self._counts[f"rejected.{code}"] += 1
            self._times = {f"stage_ms.{name}": 1000.0 * seconds for name, seconds in stages.items()}
            self._times["total_ms"] = 1000.0 * total_s
            self._times["latency_ms"] = 1000.0 * latency_s

    def tracked(self, tracks: Sequence[Track]) -> None:
        """How the tracks stand after a frame."""
        with self._lock:
            states = Counter(track.state for track in tracks)
            self._tracks = {f"tracks.{state}": states[state] for state in ("tentative", "confirmed", "lost")}
            for track in tracks:
                told = track.note or track.reason
                name = f"track.{track.track_id}.{track.object_name}"
                self._tracks[name] = f"{track.state}{', ' if told else ''}{told}"

    def report(self, state: str) -> tuple[bytes, str, dict[str, Any]]:
        """Level, one line, and all values; asking clears what was new."""
        with self._lock:
            news, self._news = self._news, None
            arrived = self._counts["frames_received"] > self._seen
            self._seen = self._counts["frames_received"]
            values = {
                "state": state,
                **self.facts,
                **dict(sorted(self._counts.items())),
                **self._times,
                **self._tracks,
                "last_refusal": self._last_refusal,
            }
        if news is not None:
            return (*news, values)
        if state == "active" and not arrived:
            return DiagnosticStatus.WARN, "no measurement arrived since the last report", values
        return DiagnosticStatus.OK, state, values

    def _tell(self, level: bytes, summary: str) -> None:
        if self._news is None or self._news[0] <= level:
            self._news = (level, summary)


def _need_tf_messages(fixed_frame: str) -> None:
    if ros_messages.tf2_msgs is None:
        raise ConfigError(
            f"parameter fixed_frame: found {fixed_frame!r} and no package tf2_msgs, which /tf needs: install it (a ROS "
            "installation has it, script/setup makes it), or leave the parameter empty."
        )


def _code(error: Exception) -> str:
    return error.code if isinstance(error, InputError) else type(error).__name__.removesuffix("Error").lower()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node until it is told to stop. Exit code 0, or 2 when it cannot start as it was told to."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        stray = remove_ros_args(["pose_node", *arguments])[1:]
    except RuntimeError as error:  # RCLInvalidROSArgsError, which rclpy keeps to itself
        print(f"pose_node: {error}", file=sys.stderr)
        return 2
    if stray:
        print(f"pose_node: unknown arguments {' '.join(stray)}; expected none but --ros-args ...", file=sys.stderr)
        return 2
    # rclpy's own handlers would take the context away under the worker that publishes; ours let it finish first.
    # They also serve a node started in the background, whose shell had SIGINT ignored.
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    try:
        return _run(stopping)
    finally:
        rclpy.try_shutdown()


def _run(stopping: threading.Event) -> int:
    try:
        node = PoseNode()
    except ConfigError as error:
        print(f"pose_node: {error}", file=sys.stderr)
        return 2
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        if node.settings.node.autostart and not stopping.is_set():
            if node.trigger_configure() != TransitionCallbackReturn.SUCCESS:
                return 2
            if not stopping.is_set():  # loading takes seconds, in which Ctrl-C may come
                node.trigger_activate()
        while not stopping.is_set():
            executor.spin_once(timeout_sec=_HOUSEKEEPING_S)
    finally:
        node.close()
        executor.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
