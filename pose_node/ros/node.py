"""The ROS 2 node: a lifecycle node around ``Pipeline``. The only module of the chain that imports rclpy.

Two threads: the executor's takes messages and puts them together, the worker's estimates and publishes. Between them
lies one slot, so the newest frame wins and memory is bounded whatever the rate of the camera. There is one worker as long
as the node lives, so a pipeline never has two frames at once; what a frame of an earlier activation gives is dropped. With
a fixed frame objects are tracked in it (``Pipeline.step``), and detections run in a process of their own; without one every
frame stands alone.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseArray, PoseStamped, PoseWithCovarianceStamped
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger
from threadpoolctl import threadpool_limits
from visualization_msgs.msg import MarkerArray

from pose_node.config import SegmentConfig
from pose_node.errors import ConfigError, InputError, PoseNodeError, code_of
from pose_node.measurement.cloud import Cloud
from pose_node.messages import convert
from pose_node.messages.pairing import Frame, Holding, Pairing
from pose_node.messages.tf_buffer import TfBuffer
from pose_node.objects.folders import object_folders
from pose_node.ros import memory, parameters, publish
from pose_node.ros.status import Status, Word
from pose_node.ros.subscription import Input
from pose_node.ros.worker import Worker
from pose_node.types import Estimate, Rejected, Result, Step, Track, detection_id

_HOUSEKEEPING_S = 0.1
_SOURCE_SILENT_S = 1.0  # with input "auto", the other source may take over after this silence
_FINISH_S = 1.0  # at the end of the process a frame whose answer nobody wants has so long to finish
_CLEANUP_S = 30.0  # and so long in cleanup, which gives back what the frame uses
_SAMPLE = 1000  # points of a cloud that tell how far it reaches
_FAILED = (PoseNodeError, OSError)  # what configuring can meet in folders and settings


class StoppedError(BaseException):
    """The process was told to end while the node was busy. Not an Exception: nobody on the way may take it for a fault."""


@dataclass(frozen=True, eq=False)
class _Activation:
    """What lives from activate to deactivate. begun: empty until the worker had its first frame."""

    pipeline: Any
    labels: dict[int, str]
    pairing: Pairing
    tf: TfBuffer | None
    holding: Holding | None
    begun: threading.Event


class PoseNode(LifecycleNode):
    """Subscribes to measurements, publishes poses. Raises ConfigError at once for parameters that cannot be meant."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("pose_node", **kwargs)
        parameters.declare(self, self._parameter_overrides)
        self.settings = parameters.read(self)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._pipeline: Any = None
        self._meshes: dict[str, str] = {}
        self._boxes_m: dict[str, Any] = {}
        self._labels: dict[int, str] = {}
        self._outputs: dict[str, Any] = {}
        self._inputs: list[Input] = []
        self._own_services: list[Any] = []
        self._source: tuple[str, float] | None = None
        self._measured: tuple[int, str] | None = None  # stamp and frame of the last measurement
        self._detector: Any = None
        self._wanted: Counter[str] = Counter()  # asked for by services, done by the worker
        self._active: frozenset[str] = frozenset()
        self._now: _Activation | None = None
        self._publishing = threading.Lock()  # held while an answer leaves, and while it is told that none may any more
        self._worker = Worker(self._work)
        self._status = Status()
        self._broken = ""  # why the node goes to the error state
        self.interruptible: Callable[[], AbstractContextManager[None]] = (
            nullcontext  # within, a signal raises StoppedError
        )
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Timers of the node's own clock stand still while use_sim_time waits for a /clock, and so would diagnostics.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timers_own = [
            self.create_timer(_HOUSEKEEPING_S, self._keep_house, clock=steady),
            self.create_timer(self.settings.node.diagnostics_period_s, self._report, clock=steady),
        ]

    # Lifecycle ------------------------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the objects and offer the outputs; on failure say why and stay unconfigured."""
        try:
            with self.interruptible():
                self.settings = parameters.read(self)
                self._load()
        except _FAILED as error:
            self._status.halted(code_of(error), str(error))
            self.get_logger().error(str(error))
            self._forget()
            return TransitionCallbackReturn.FAILURE
        except StoppedError:
            self._forget()
            return TransitionCallbackReturn.FAILURE
        except Exception as error:  # rclpy would turn it into an error state without a word
            self._status.halted("internal", f"{type(error).__name__}: {error}")
            self.get_logger().error(f"cannot configure: {type(error).__name__}: {error}\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        self._status.configured()
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe, and let the worker have frames."""
        self._status.begin()
        self._source = self._measured = None
        self._wanted.clear()
        self._active = frozenset(self._pipeline.cards)
        self._now = _Activation(
            pipeline=self._pipeline,
            labels=self._labels,
            pairing=Pairing(self.settings.node.sync_wait_s, self._refuse),
            tf=TfBuffer(self._own_frames) if self._needs_tf() else None,
            holding=Holding(self._refuse) if self._needs_tf() else None,
            begun=threading.Event(),
        )
        self._own_services = self._serve()
        self._inputs = self._subscribe()
        self.get_logger().info("active")
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe; nothing is published after this. A frame that is worked on goes on, and its answer is dropped."""
        self._stop()
        if self._broken:
            return TransitionCallbackReturn.ERROR
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget the objects and the outputs, as soon as no frame needs them."""
        self._forget()
        return TransitionCallbackReturn.ERROR if self._broken else TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop from any state."""
        self._stop()
        self._forget()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured, from where the node can be configured again."""
        self._stop()
        self._forget()
        self._broken = ""
        return TransitionCallbackReturn.SUCCESS

    def _break_down(self, code: str, sentence: str) -> None:
        """Go to the error state, by the way that is open from where the node is."""
        self.get_logger().error(sentence)
        self._status.halted(code, sentence)
        self._broken = sentence
        (self.trigger_cleanup if self._now is None else self.trigger_deactivate)()

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
        self.get_logger().info(f"loading {', '.join(names)}")
        begin_s = time.monotonic()
        self._pipeline = Pipeline.load(folders, config=self.settings.pipeline)
        load_s = time.monotonic() - begin_s
        # The chain's matrices are small: more threads only wait for each other.
        threadpool_limits(self.settings.pipeline.infer.threads)
        if self._needs_tf():
            _need_tf_messages(node.fixed_frame or node.viewpoint_frame)
        if self._tracks() and self.settings.pipeline.track.detect_beside:
            from pose_node.ros.detector_process import DetectorProcess

            self._detector = DetectorProcess(folders, self.settings.pipeline, load_s)
            self._pipeline.stream.detections = self._detector
        self._meshes = {name: card.mesh_path.resolve().as_uri() for name, card in self._pipeline.cards.items()}
        self._offer("~/poses", PoseArray)
        self._offer("~/markers", MarkerArray)
        self._boxes_m = {name: card.surface.box_m for name, card in self._pipeline.cards.items()}
        if publish.vision_msgs is None:
            self.get_logger().warning("vision_msgs is not installed: ~/detections is left out.")
        else:
            self._offer("~/detections", publish.vision_msgs.msg.Detection3DArray)
        if self._tracks() and node.publish_tf:
            self._offer("/tf", publish.tf2_msgs.msg.TFMessage)
        for name in self._pipeline.cards:
            self._offer(f"~/{name}/pose", PoseStamped)
            self._offer(f"~/{name}/pose_with_covariance", PoseWithCovarianceStamped)
        self._status.facts = {
            "provider": self._pipeline.provider,
            "objects": " ".join(self._pipeline.cards),
            "threads": self.settings.pipeline.infer.threads,
            "input": node.input,
            "rectified": node.rectified,
            "viewpoint_frame": node.viewpoint_frame
            or "none: point clouds were seen from the origin of their own frame",
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
        if self._detector is not None:
            self._detector.close()
        self._detector = None
        with suppress(StoppedError), self.interruptible():
            if not self._worker.wait_idle(_CLEANUP_S):
                self.get_logger().warning(f"a frame of before is still worked on after {_CLEANUP_S:g} s")
        memory.give_back()

    def _needs_tf(self) -> bool:
        return self._tracks() or bool(self.settings.node.viewpoint_frame)

    def _tracks(self) -> bool:
        return bool(self.settings.node.fixed_frame) and self.settings.pipeline.track.enabled

    def _stop(self) -> None:
        for source in self._inputs:
            source.close()
        self._inputs = []
        for service in self._own_services:
            self.destroy_service(service)
        self._own_services = []
        with self._publishing:
            self._now = None
        self._worker.drop()

    def _on_set_parameters(self, changes: Sequence[Any]) -> SetParametersResult:
        values = {change.name: change.value for change in changes}
        try:
            self.settings = parameters.changed(self.settings, values, running=self._pipeline is not None)
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
        if self._now is not None and self._now.tf is not None:
            TFMessage = publish.tf2_msgs.msg.TFMessage
            sources.append(hear(TFMessage, "/tf", 100, lambda m: self._on_tf(m, False)))
            sources.append(hear(TFMessage, "/tf_static", 100, lambda m: self._on_tf(m, True)))
        return sources

    def _on_tf(self, message: Any, static: bool) -> None:
        now = self._now
        if now is None or now.tf is None:
            return
        try:
            now.tf.add(message, static)
        except InputError as error:
            self._status.warn(error.code, str(error))
        if now.holding:  # some robots send a thousand transforms a second
            self._hand_over()

    def _on_measurement(self, source: str, message: Any) -> None:
        now_s = time.monotonic()
        if self._now is None:
            return
        self._status.count("frames_received")
        # With both sources connected, one of them serves: two would answer each moment twice.
        if self._source is not None and self._source[0] != source and now_s - self._source[1] < _SOURCE_SILENT_S:
            self._refuse("other_source", f"{source}: ignored while {self._source[0]} arrives; set the parameter input.")
            return
        self._source = (source, now_s)
        self._measured = convert.stamp_ns(message), str(message.header.frame_id)
        self._now.pairing.add_measurement(message, source == "depth", now_s)
        self._hand_over()

    def _on_info(self, message: Any) -> None:
        if self._now is not None:
            self._now.pairing.add_info(message)
            self._hand_over()

    def _on_mask(self, message: Any) -> None:
        if self._now is not None:
            self._now.pairing.add_mask(message)
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
        return answer

    def _ask(self, what: str, answer: Any) -> Any:
        """A service's wish, which the worker fulfils with the next frame: only it touches the tracks."""
        problem = "" if what != "detect" or self._detector is None else self._detector.condition().problem
        if self._now is None or not self._tracks():
            answer.success, answer.message = (
                False,
                "found no fixed_frame, expected one: without it there are no tracks.",
            )
        else:
            self._wanted[what] += 1
            answer.success, answer.message = not problem, problem or "with the next frame."
        return answer

    def _hand_over(self) -> None:
        now = self._now
        if now is None:
            return
        now_s = time.monotonic()
        frame = now.pairing.take(now_s, masked=self._published("mask") > 0)
        if now.holding is not None:
            if frame is not None:
                now.holding.add(frame, now_s)
            frame = now.holding.take(now_s, self.settings.node.tf_wait_s, self._pose_may_come)
        if frame is not None and self._worker.put((now, frame)):
            self._refuse("superseded", "measurement: a newer one came before the worker was free.")

    def _pose_may_come(self, frame: Frame) -> bool:
        """Whether the camera's pose is not known at the frame's stamp, and may still come."""
        frame_id, stamp_ns = str(frame.message.header.frame_id), convert.stamp_ns(frame.message)
        tf = None if self._now is None else self._now.tf
        wanted = [self.settings.node.fixed_frame] if self._tracks() else []
        wanted += [self.settings.node.viewpoint_frame] if self._moved(frame) else []
        return tf is not None and any(tf.may_come(target, frame_id, stamp_ns) for target in wanted)

    def _moved(self, frame: Frame) -> bool:
        """Whether a measurement may be in another frame than its sensor's: depth images never are."""
        return bool(self.settings.node.viewpoint_frame) and frame.info is None

    def _keep_house(self) -> None:
        for source in self._inputs:
            source.follow(self.settings.node.reliability)
        self._hand_over()
        if self._detector is not None:
            condition = self._detector.condition()
            if condition.hopeless:
                self._break_down("detector", condition.problem)

    # The worker's thread: poses out ----------------------------------------------------------------------------------

    def _work(self, item: tuple[_Activation, Frame]) -> None:
        activation, frame = item
        if self._now is not activation:
            return
        try:
            answer = self._answer(activation, frame)
            with self._publishing:
                if self._now is activation:  # else deactivated meanwhile: nobody wants to hear of it any more
                    self._tell(frame, answer)
        except PoseNodeError as error:
            self._complain(activation, self._refuse, code_of(error), str(error))
        except Exception as error:  # the last line of defence: one frame may fail, the node may not
            self._complain(activation, self._fail, "internal", f"{type(error).__name__}: {error}")

    def _complain(self, activation: _Activation, say: Callable[[str, str], None], code: str, sentence: str) -> None:
        with self._publishing:
            if self._now is activation:
                say(code, sentence)

    def _answer(self, activation: _Activation, frame: Frame) -> _Answer:
        """What the chain makes of a frame; touches nothing of ROS."""
        started_s = time.monotonic()
        if not activation.begun.is_set():
            activation.pipeline.reset()
            activation.begun.set()
        T_cloud_viewpoint = None
        if activation.tf is not None and self._moved(frame):
            frame_id, stamp_ns = str(frame.message.header.frame_id), convert.stamp_ns(frame.message)
            T_cloud_viewpoint = activation.tf.lookup(frame_id, self.settings.node.viewpoint_frame, stamp_ns)
        cloud = frame.cloud(self.settings.node.rectified, T_cloud_viewpoint=T_cloud_viewpoint)
        converted_s = time.monotonic()
        answer = self._estimate(activation, frame, cloud)
        stages = {"convert": converted_s - started_s, **answer.result.stage_s}
        return replace(answer, cloud=cloud, stages_s=stages, started_s=started_s)

    def _tell(self, frame: Frame, answer: _Answer) -> None:
        result, found, header = answer.result, answer.estimates, frame.message.header
        good = [i for i, estimate in enumerate(found) if publish.is_publishable(estimate)]
        estimates = [found[i] for i in good]
        tracks = () if answer.step is None else answer.step.tracks
        ids = (
            None if answer.shown is None else [detection_id(answer.shown[i].name, answer.shown[i].state) for i in good]
        )
        # What one frame showed may be a mistake: only a confirmed track is a pose that a robot may act on.
        steady = [found[i] for i in good if answer.shown is None or answer.shown[i].state == "confirmed"]
        self._publish(header, estimates, steady, ids, tracks)
        if answer.step is not None:
            self._status.tracked(tracks)
            self._publish_tf(header.stamp, tracks)
        rejected = list(result.rejected)
        for i in sorted(set(range(len(found))) - set(good)):
            name = found[i].object_name
            rejected.append(
                Rejected("not_finite", f"{name}: found a pose that is no numbers, expected finite ones.", name)
            )
        if not estimates:
            rejected += _out_of_reach(answer.cloud, self.settings.pipeline.segment)
        done_s = time.monotonic()
        total_s, latency_s = done_s - answer.started_s, done_s - frame.arrived_s
        self._status.answered(len(steady), rejected, dict(answer.stages_s), total_s, latency_s)
        self._warn_of_header(header)

    def _estimate(self, activation: _Activation, frame: Frame, cloud: Cloud) -> _Answer:
        pipeline = activation.pipeline
        pipeline.retune(self.settings.pipeline)
        if not len(cloud):
            return _Answer(Result((), (Rejected("no_points", "the measurement holds no reading."),)))
        viewpoint_frame = self.settings.node.viewpoint_frame
        masks = frame.masks(cloud, activation.labels, tuple(pipeline.cards), viewpoint_frame)
        if masks is not None and not masks:
            return _Answer(
                Result((), (Rejected("no_labels", "the mask holds none of the labels that name an object."),))
            )
        if activation.tf is None or not self._tracks():
            result = pipeline.estimate(cloud, masks=masks, objects=self._active)
            return _Answer(result, result.estimates)
        from pose_node.tracking.stream import shown

        T_fixed_camera = activation.tf.lookup(self.settings.node.fixed_frame, cloud.frame_id, cloud.stamp_ns)
        if self._wanted.pop("reset", 0):
            pipeline.reset()
        if self._wanted.pop("detect", 0):
            pipeline.stream.detect_soon()
        pipeline.stream.look_for(self._active)
        step = pipeline.step(cloud, T_fixed_camera, masks)
        if self._detector is not None and "follow" not in step.result.stage_s:
            self._detector.measured(sum(step.result.stage_s.values()))
        pairs = shown(step.tracks, T_fixed_camera)
        return _Answer(step.result, tuple(e for _, e in pairs), tuple(track for track, _ in pairs), step)

    def _publish(
        self,
        header: Any,
        estimates: Sequence[Estimate],
        steady: Sequence[Estimate],
        ids: Sequence[str] | None,
        tracks: Sequence[Track],
    ) -> None:
        self._send("~/poses", publish.pose_array, header, steady)
        self._send("~/detections", publish.detections, header, estimates, self._boxes_m, ids)
        unseen = [t for t in tracks if t.estimate is None and np.isfinite(t.T_fixed_object).all()]
        fixed_frame = self.settings.node.fixed_frame
        self._send("~/markers", publish.markers, header, estimates, self._meshes, ids, unseen, fixed_frame)
        best = {estimate.object_name: estimate for estimate in reversed(steady)}
        for name, estimate in best.items():
            self._send(f"~/{name}/pose", publish.pose_stamped, header, estimate)
            self._send(f"~/{name}/pose_with_covariance", publish.pose_with_covariance, header, estimate)

    @property
    def _own_frames(self) -> str:
        """What the names of this node's frames on /tf begin with: pose_node/."""
        return self.get_fully_qualified_name().lstrip("/") + "/"

    def _publish_tf(self, stamp: Any, tracks: Sequence[Track]) -> None:
        """A frame for each confirmed track, below the fixed one, under this node's own name: frames are the same for all."""
        header = Header(stamp=stamp, frame_id=self.settings.node.fixed_frame)
        for track in tracks:
            if track.state == "confirmed" and np.isfinite(track.T_fixed_object).all():
                self._send("/tf", publish.tf_message, header, self._own_frames + track.name, track.T_fixed_object)

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

    def _fail(self, code: str, sentence: str) -> None:
        self._status.failed(code, sentence)
        self.get_logger().error(f"frame failed: {sentence}", throttle_duration_sec=5.0)

    def _report(self) -> None:
        state = self._state_machine.current_state[1]
        conditions, values = self._conditions()
        level, summary, told = self._status.report(state, conditions)
        told["active"] = "" if self._now is None else " ".join(sorted(self._active))
        values.update({f"publishers.{s.topic}": self._published(s.topic) for s in self._inputs})
        tf = None if self._now is None else self._now.tf
        if tf is not None and self._tracks() and self._measured is not None:
            values["tf_age_s"] = self._tf_age(tf, *self._measured)
        clock = Clock(clock_type=ClockType.SYSTEM_TIME) if self._without_clock() else self.get_clock()
        name = self.get_fully_qualified_name()
        stamp = clock.now().to_msg()
        self._diagnostics.publish(publish.diagnostics(stamp, name, level, summary, {**told, **values}))

    def _tf_age(self, tf: TfBuffer, stamp_ns: int, frame_id: str) -> float | str:
        """Seconds from the newest camera pose that /tf tells to a measurement's stamp, or in words why there is none."""
        try:
            newest_ns = tf.newest_ns(self.settings.node.fixed_frame, frame_id)
        except InputError as error:
            return str(error)
        return "static" if newest_ns is None else (stamp_ns - newest_ns) * 1e-9

    def _conditions(self) -> tuple[list[Word], dict[str, Any]]:
        """What holds now, beside the frames: words where it is not well, and values."""
        words: list[Word] = []
        values: dict[str, Any] = {}
        if self._without_clock():
            line = "no_clock: parameter use_sim_time: found true and no message on /clock, expected one."
            words.append((DiagnosticStatus.WARN, line))
        if self._detector is not None:
            condition = self._detector.condition()
            values = {"detector": condition.doing, "detector.failures": condition.failures}
            values["detector.problem"] = condition.problem
            if condition.problem:
                words.append((DiagnosticStatus.WARN, condition.problem))
        busy_s = self._worker.busy_s()
        if busy_s is not None:
            values["working_s"] = busy_s
            if self._now is None:
                line = f"inactive; a frame of before is still worked on for {busy_s:.0f} s, its answer is dropped"
                words.append((DiagnosticStatus.OK, line))
        return words, values

    def _without_clock(self) -> bool:
        """Whether time is told by /clock, which has not told it yet."""
        return bool(self.get_parameter("use_sim_time").value) and self.get_clock().now().nanoseconds == 0

    def _published(self, topic: str) -> int:
        """How many publish ``topic`` under the name it is remapped to: rclpy counts the name that it is given."""
        return self.count_publishers(self.resolve_topic_name(topic))

    def close(self) -> bool:
        """End the worker and its detector, and give back all that ROS lent. False when a frame is still worked on."""
        self._stop()
        if self._detector is not None:
            self._detector.close()
        ended = self._worker.close(_FINISH_S)
        self.destroy_node()
        return ended


@dataclass(frozen=True)
class _Answer:
    """What the chain made of a frame: the estimates to publish, and with tracks theirs (``shown``, one each) and all there are."""

    result: Result
    estimates: Sequence[Estimate] = ()
    shown: Sequence[Track] | None = None
    step: Step | None = None
    stages_s: Mapping[str, float] = field(default_factory=dict)
    started_s: float = 0.0
    cloud: Cloud | None = None


def _out_of_reach(cloud: Cloud | None, config: SegmentConfig) -> list[Rejected]:
    """A refusal where nothing of a cloud lies where objects are looked for: most likely its unit is another one."""
    if cloud is None or not len(cloud):
        return []
    range_m = np.linalg.norm(cloud.points_m[:: 1 + len(cloud) // _SAMPLE] - cloud.viewpoint_m, axis=1)
    if ((range_m >= config.near_m) & (range_m <= config.far_m)).any():
        return []
    sentence = (
        f"measurement: found a median range of {np.median(range_m):.3g} m, expected points between segment.near_m "
        f"{config.near_m:g} m and segment.far_m {config.far_m:g} m (is its unit right?)."
    )
    return [Rejected("out_of_reach", sentence)]


def _need_tf_messages(frame: str) -> None:
    if publish.tf2_msgs is None:
        raise ConfigError(
            f"parameters fixed_frame and viewpoint_frame: found {frame!r} and no package tf2_msgs, which /tf needs: install it (a ROS "
            "installation has it, script/setup makes it), or leave the parameter empty."
        )


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
    stop = _Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        code, ended = _run(stop)
    finally:
        rclpy.try_shutdown()
    if not ended:
        # Threads that compute while the interpreter takes itself apart abort the process; nobody waits for this frame.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


class _Stop:
    """The answer to SIGINT and SIGTERM: ``told`` for loops that look, StoppedError for what cannot look."""

    def __init__(self) -> None:
        self.told = False
        self._raises = False

    def __call__(self, *_: object) -> None:
        self.told = True
        if self._raises:
            self._raises = False
            raise StoppedError

    @contextmanager
    def interrupts(self) -> Iterator[None]:
        """Within, and only here, a signal raises StoppedError, a signal of before, too."""
        self._raises = True
        try:
            if self.told:
                raise StoppedError
            yield
        finally:
            self._raises = False


def _run(stop: _Stop) -> tuple[int, bool]:
    """The exit code, and whether all threads of ours have ended."""
    try:
        node = PoseNode()
    except ConfigError as error:
        print(f"pose_node: {error}", file=sys.stderr)
        return 2, True
    node.interruptible = stop.interrupts
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    code, ended = 0, True
    try:
        if node.settings.node.autostart and not stop.told:
            if node.trigger_configure() == TransitionCallbackReturn.SUCCESS:
                if not stop.told:
                    node.trigger_activate()
            elif not stop.told:
                code = 2
        while not stop.told and not code:
            executor.spin_once(timeout_sec=_HOUSEKEEPING_S)
    finally:
        ended = node.close()
        executor.shutdown()
    return code, ended


if __name__ == "__main__":
    sys.exit(main())
