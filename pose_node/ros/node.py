"""The ROS 2 node: a lifecycle node around ``Pipeline``.

Two threads: the executor's takes messages and puts them together (``inputs``), the worker's estimates (``estimator``) and
publishes (``outputs``). One slot lies between them, so the newest frame wins and memory is bounded at any camera rate. One
worker serves as long as the node lives, so a pipeline never has two frames at once; the answer to a frame of an earlier
activation is dropped. With a fixed frame objects are tracked in it, and detections run in a process of their own; without
one each frame is estimated by itself.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from threading import Lock
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from pose_node.errors import ConfigError, PoseNodeError, code_of
from pose_node.messages.pairing import Frame
from pose_node.ros import loading, memory, parameters, publish
from pose_node.ros.detector_process import DetectorProcess
from pose_node.ros.estimator import Answer, FrameEstimator
from pose_node.ros.inputs import Inputs
from pose_node.ros.outputs import Outputs
from pose_node.ros.parameters import Settings
from pose_node.ros.reloading import InUse, Reloader
from pose_node.ros.services import Services
from pose_node.ros.signals import StoppedError, StopSignals
from pose_node.ros.status import Status, conditions
from pose_node.ros.worker import Worker

_POLL_S = 0.1
_EXIT_WAIT_S = 1.0  # at the end of the process an unfinished frame gets this long
_CLEANUP_WAIT_S = 30.0  # and this long in cleanup, which frees what the frame uses


class PoseNode(LifecycleNode):
    """Subscribes to measurements, publishes poses. Raises ConfigError at once for invalid parameters.

    interruptible: a context within which SIGINT and SIGTERM raise StoppedError (``StopSignals.interruptible``).
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("pose_node", **kwargs)
        parameters.declare(self, self._parameter_overrides)
        self.settings = parameters.read(self)
        self.interruptible: Callable[[], AbstractContextManager[None]] = nullcontext
        self.add_on_set_parameters_callback(self._on_set_parameters)
        # From configure to cleanup:
        self._in_use: InUse | None = None
        self._outputs: Outputs | None = None
        # From activate to deactivate:
        self._estimator: FrameEstimator | None = None
        self._inputs: Inputs | None = None
        self._services_offered: Services | None = None
        self._publish_lock = Lock()  # while an answer is published, and while deactivate ends publishing
        self._worker = Worker(self._process)
        self._status = Status()
        self._fault = ""  # why the node goes to the error state
        self._reloader = Reloader(self, self._worker, self._status, lambda: self._in_use, self._change_over)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # The node's own clock stands still while use_sim_time waits for /clock; these timers must run then, too.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_POLL_S, self._poll, clock=steady)
        self.create_timer(self.settings.node.diagnostics_period_s, self._publish_diagnostics, clock=steady)

    # Lifecycle --------------------------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the objects and offer the outputs; on failure say why and stay unconfigured."""
        try:
            with self.interruptible():
                self.settings = parameters.read(self)
                self._load()
        except (PoseNodeError, OSError) as error:
            self._status.halted(code_of(error), str(error))
            self.get_logger().error(str(error))
            self._unload()
            return TransitionCallbackReturn.FAILURE
        except StoppedError:
            self._unload()
            return TransitionCallbackReturn.FAILURE
        except Exception as error:  # rclpy would go to the error state and log nothing
            self._status.halted("internal", f"{type(error).__name__}: {error}")
            self.get_logger().error(f"cannot configure: {type(error).__name__}: {error}\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        self._status.configured()
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe, offer the services, and let the worker have frames."""
        assert self._in_use is not None
        self._status.begin()
        self._inputs = Inputs(
            self, lambda: self.settings, self._frame_prefix, self._on_frame, self._refuse, self._status
        )
        self._estimator = FrameEstimator(self._in_use.loaded, self._inputs.tf, self._detector)
        self._services_offered = Services(self, self._estimator, self._detector, self.settings.tracks)
        self._inputs.subscribe()
        self.get_logger().info("active")
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe; nothing is published after this. The frame in work is finished, and its answer dropped."""
        self._stop()
        if self._fault:
            return TransitionCallbackReturn.ERROR
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the objects and the outputs, as soon as no frame needs them."""
        self._unload()
        return TransitionCallbackReturn.ERROR if self._fault else TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop from any state."""
        self._stop()
        self._unload()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured, from where the node can be configured again."""
        self._stop()
        self._unload()
        self._fault = ""
        return TransitionCallbackReturn.SUCCESS

    def _load(self) -> None:
        log = self.get_logger()
        loaded = loading.load_objects(self.settings, log.info)
        pipeline, detector = loaded.pipeline, None
        if self.settings.tracks and self.settings.pipeline.track.detect_beside:
            detector = DetectorProcess(loaded.folders, self.settings.pipeline, loaded.load_s)
            pipeline.stream.detector = detector
        self._in_use = InUse(loaded, detector)
        publishes_tf = self.settings.tracks and self.settings.node.publish_tf
        self._outputs = Outputs(self, pipeline.cards, self._frame_prefix if publishes_tf else None)
        self._status.facts = loading.facts(pipeline, self.settings)
        log.info("loaded: " + ", ".join(f"{key} {value}" for key, value in self._status.facts.items()))
        log.info(loading.latency_budget(pipeline, self.settings))

    def _unload(self) -> None:
        """Undo ``_load``, also where it failed halfway."""
        if self._outputs is not None:
            self._outputs.close()
        if self._detector is not None:
            self._detector.close()
        self._outputs = self._in_use = None
        with suppress(StoppedError), self.interruptible():
            if not self._worker.wait_idle(_CLEANUP_WAIT_S):
                self.get_logger().warning(f"an earlier frame is still being processed after {_CLEANUP_WAIT_S:g} s")
        memory.release()

    def _change_over(self, settings: Settings, after: InUse) -> None:
        """Use other objects from the next frame on; the worker is held."""
        assert self._in_use is not None and self._outputs is not None
        pipeline, detector = after.loaded.pipeline, after.detector
        self._outputs.offer(pipeline.cards)
        pipeline.take_over(self._in_use.loaded.pipeline)
        if detector is not None:
            pipeline.stream.detector = detector
        if self._estimator is not None and self._services_offered is not None:
            self._estimator.use(after.loaded, detector)
            self._services_offered.offer(pipeline.cards, detector)
        self._in_use = after
        self.settings = parameters.reread(self.settings, settings)
        self._status.facts = loading.facts(pipeline, self.settings)

    def _stop(self) -> None:
        """Undo ``on_activate``."""
        if self._inputs is not None:
            self._inputs.close()
        if self._services_offered is not None:
            self._services_offered.close()
        with self._publish_lock:
            self._inputs = self._services_offered = self._estimator = None
        self._worker.drop()

    def _go_to_error_state(self, code: str, sentence: str) -> None:
        self.get_logger().error(sentence)
        self._status.halted(code, sentence)
        self._fault = sentence
        # Which transition leads there depends on the state.
        (self.trigger_cleanup if self._estimator is None else self.trigger_deactivate)()

    def _on_set_parameters(self, changes: Sequence[Parameter]) -> SetParametersResult:
        values = {change.name: change.value for change in changes}
        try:
            self.settings = parameters.changed(self.settings, values, running=self._in_use is not None)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    @property
    def _detector(self) -> DetectorProcess | None:
        """The detector's process, where there is one."""
        return None if self._in_use is None else self._in_use.detector

    @property
    def _frame_prefix(self) -> str:
        """What the names of this node's frames on /tf begin with: pose_node/."""
        return self.get_fully_qualified_name().lstrip("/") + "/"

    # The executor's thread --------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        if self._inputs is not None:
            self._inputs.poll()
        if self._detector is not None:
            condition = self._detector.condition()
            if condition.hopeless:
                self._go_to_error_state("detector", condition.problem)

    def _on_frame(self, frame: Frame) -> None:
        if self._estimator is not None and self._worker.put((self._estimator, frame)):
            self._refuse("superseded", "measurement: a newer one came before the worker was free.")

    # The worker's thread ----------------------------------------------------------------------------------------------

    def _process(self, item: tuple[FrameEstimator, Frame]) -> None:
        """Estimate and publish. One frame may fail; the node must not."""
        estimator, frame = item
        if estimator is not self._estimator:
            return
        try:
            answer = estimator.answer(frame, self.settings)
            with self._publish_lock:
                if estimator is self._estimator:  # else deactivated meanwhile
                    self._publish(frame, answer)
        except PoseNodeError as error:
            self._report_failure(estimator, self._refuse, code_of(error), str(error))
        except Exception as error:
            self._report_failure(estimator, self._fail, "internal", f"{type(error).__name__}: {error}")

    def _report_failure(
        self, estimator: FrameEstimator, report: Callable[[str, str], None], code: str, sentence: str
    ) -> None:
        with self._publish_lock:
            if estimator is self._estimator:
                report(code, sentence)

    def _publish(self, frame: Frame, answer: Answer) -> None:
        assert self._outputs is not None
        header = frame.message.header
        self._outputs.publish(header, answer, self.settings.node.fixed_frame)
        if answer.tracks is not None:
            self._status.tracked(answer.tracks)
        done_s = time.monotonic()
        total_s, latency_s = done_s - answer.started_s, done_s - frame.arrived_s
        self._status.answered(len(answer.confirmed), answer.rejected, answer.stage_s, total_s, latency_s)
        if not header.frame_id:
            self._status.warn("no_frame_id", "header: found an empty frame_id; the poses have it, too.")
        if header.stamp.sec == 0 and header.stamp.nanosec == 0:
            self._status.warn("no_stamp", "header: found stamp 0; the poses have it, too.")

    def _refuse(self, code: str, sentence: str) -> None:
        """A measurement is not used. Called from both threads."""
        self._status.refused(code, sentence)
        if code not in ("superseded", "other_source"):
            self.get_logger().warning(f"{code}: {sentence}", throttle_duration_sec=5.0)

    def _fail(self, code: str, sentence: str) -> None:
        self._status.failed(code, sentence)
        self.get_logger().error(f"frame failed: {sentence}", throttle_duration_sec=5.0)

    # Diagnostics ------------------------------------------------------------------------------------------------------

    def _publish_diagnostics(self) -> None:
        is_active, has_time = self._estimator is not None, self._has_time()
        lines, values = conditions(self._detector, self._worker, is_active, has_time)
        level, summary, counted = self._status.report(self._state_machine.current_state[1], lines)
        counted["active"] = "" if self._estimator is None else " ".join(sorted(self._estimator.active_objects))
        if self._inputs is not None:
            values.update({f"publishers.{topic}": n for topic, n in self._inputs.publisher_counts().items()})
            if (tf_age_s := self._inputs.tf_age_s()) is not None:
                values["tf_age_s"] = tf_age_s
        clock = self.get_clock() if has_time else Clock(clock_type=ClockType.SYSTEM_TIME)
        name = self.get_fully_qualified_name()
        stamp = clock.now().to_msg()
        self._diagnostics.publish(publish.diagnostics(stamp, name, level, summary, {**counted, **values}))

    def _has_time(self) -> bool:
        """False while use_sim_time waits for the first message on /clock."""
        return not self.get_parameter("use_sim_time").value or self.get_clock().now().nanoseconds > 0

    def close(self) -> bool:
        """End the worker and the detector, and free the ROS node. False when a frame is still in work."""
        self._stop()
        if self._detector is not None:
            self._detector.close()
        ended = self._reloader.close(_EXIT_WAIT_S)
        ended &= self._worker.close(_EXIT_WAIT_S)
        self.destroy_node()
        return ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node until a signal stops it. Exit code 0, or 2 when it cannot start with these arguments."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        unknown = remove_ros_args(["pose_node", *arguments])[1:]
    except RuntimeError as error:  # RCLInvalidROSArgsError, which rclpy does not export
        print(f"pose_node: {error}", file=sys.stderr)
        return 2
    if unknown:
        print(f"pose_node: unknown arguments {' '.join(unknown)}; expected none but --ros-args ...", file=sys.stderr)
        return 2
    # rclpy's own handlers would shut the context down while the worker publishes; ours let it finish first.
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    signals = StopSignals()
    try:
        code, ended = _run(signals)
    finally:
        rclpy.try_shutdown()
    if not ended:
        # A thread that computes while the interpreter shuts down aborts the process; its frame is not needed any more.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _run(signals: StopSignals) -> tuple[int, bool]:
    """The exit code, and whether all of the node's threads have ended."""
    try:
        node = PoseNode()
    except ConfigError as error:
        print(f"pose_node: {error}", file=sys.stderr)
        return 2, True
    node.interruptible = signals.interruptible
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    code, ended = 0, True
    try:
        if node.settings.node.autostart and not signals.received:
            if node.trigger_configure() == TransitionCallbackReturn.SUCCESS:
                if not signals.received:
                    node.trigger_activate()
            elif not signals.received:
                code = 2
        while not signals.received and not code:
            executor.spin_once(timeout_sec=_POLL_S)
    finally:
        ended = node.close()
        executor.shutdown()
    return code, ended


if __name__ == "__main__":
    sys.exit(main())
