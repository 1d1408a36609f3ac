"""The service ``~/reload_objects``: new, changed and removed object folders, without a restart.

A thread loads beside the stream, and has a new detector's process load the same folders. Only when both have succeeded is the
worker held between two frames, and the node changes over on the executor's thread. Until then nothing of the node is touched.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import Trigger

from pose_node.errors import ConfigError, ModelError, PoseNodeError
from pose_node.objects.card import check_unchanged
from pose_node.ros import loading, memory, parameters
from pose_node.ros.detector_process import DetectorProcess
from pose_node.ros.loading import LoadedObjects
from pose_node.ros.parameters import Settings
from pose_node.ros.status import Status
from pose_node.ros.worker import Worker

_FRAME_WAIT_S = 30.0  # for the frame in work


@dataclass(frozen=True, eq=False)
class InUse:
    """The objects that the node uses, and the detector of them; None where detections have no process of their own."""

    loaded: LoadedObjects
    detector: DetectorProcess | None

    def discard(self, other: InUse) -> None:
        """End the detector unless ``other`` has the same."""
        if self.detector is not None and self.detector is not other.detector:
            self.detector.close()


class Reloader:
    """Offers the service until ``close``; one reload at a time, further calls wait.

    in_use:      what the node uses now; None while it is unconfigured.
    change_over: called with settings and objects that the node has to use from now on, while the worker is held.
    """

    def __init__(
        self,
        node: Node,
        worker: Worker[Any],
        status: Status,
        in_use: Callable[[], InUse | None],
        change_over: Callable[[Settings, InUse], None],
    ) -> None:
        self._node, self._worker, self._status = node, worker, status
        self._in_use, self._change_over = in_use, change_over
        self._thread: threading.Thread | None = None
        self._starting: DetectorProcess | None = None
        self._closing = False
        # A group of its own: while its coroutine waits, the callbacks of the node's group go on.
        group = MutuallyExclusiveCallbackGroup()
        self._service = node.create_service(Trigger, "~/reload_objects", self._serve, callback_group=group)

    def close(self, timeout_s: float) -> bool:
        """Give up the reload that runs, if any; False when its thread outlasts the timeout."""
        self._closing = True
        if self._starting is not None:
            self._starting.close()
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    async def _serve(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        log = self._node.get_logger()
        try:
            response.message, replaced = await self._reload()
            response.success = True
            self._begin(partial(_free, replaced))
            self._status.reloaded(response.message)
            log.info(f"objects reloaded: {response.message}")
        except (PoseNodeError, OSError) as error:
            response.message = str(error)
        except Exception as error:
            response.message = f"{type(error).__name__}: {error}"
            log.error(traceback.format_exc())
        if not response.success:
            self._status.reload_refused(response.message)
            log.error(f"objects not reloaded, the node goes on with those that it has: {response.message}")
        return response

    async def _reload(self) -> tuple[str, DetectorProcess | None]:
        """What has changed, as a sentence, and the detector that is not used any more; raises what refuses the reload."""
        before = self._in_use()
        if before is None:
            raise ConfigError("state: found unconfigured, expected inactive or active: configure loads the objects.")
        settings = parameters.read(self._node)
        prepared: Future = Future(executor=self._node.executor)
        self._begin(partial(self._run, prepared, before, settings))
        after: InUse = await prepared
        try:
            now = self._in_use()
            if now is None or now.loaded is not before.loaded:
                raise ConfigError("state: the node was cleaned up meanwhile, expected one that stays configured.")
            self._change_over(settings, after)
        except Exception:
            after.discard(before)
            raise
        finally:
            self._worker.release()
        replaced = None if before.detector is after.detector else before.detector
        return loading.differences(before.loaded, after.loaded), replaced

    def _begin(self, work: Callable[[], None]) -> None:
        """Do it beside the stream, in a thread that ``close`` waits for."""
        self._thread = threading.Thread(target=work, name="reload", daemon=True)
        self._thread.start()

    # The reload's thread ----------------------------------------------------------------------------------------------

    def _run(self, prepared: Future, before: InUse, settings: Settings) -> None:
        try:
            prepared.set_result(self._prepare(before, settings))
        except Exception as error:
            prepared.set_exception(error)

    def _prepare(self, before: InUse, settings: Settings) -> InUse:
        """Load what has changed, and hold the worker. Raises, with the worker not held, what refuses the reload."""
        loaded = loading.load_again(before.loaded, settings)
        detector = before.detector
        if detector is not None and loaded.pipeline.cards != before.loaded.pipeline.cards:
            detector = self._start_detector(loaded, settings)
        after = InUse(loaded, detector)
        if not self._worker.hold(_FRAME_WAIT_S):
            after.discard(before)
            raise ModelError(f"measurement: found one in work for {_FRAME_WAIT_S:g} s, expected its end.")
        return after

    def _start_detector(self, loaded: LoadedObjects, settings: Settings) -> DetectorProcess:
        """A detector that has loaded the same files. Raises ModelError or CardError where it has not."""
        detector = DetectorProcess(loaded.folders, settings.pipeline, loaded.load_s)
        self._starting = detector  # from now on ``close`` ends it
        try:
            if self._closing:
                raise ModelError("state: the node ends.")
            detector.wait_ready()
            for card in loaded.pipeline.cards.values():
                check_unchanged(card)
        except Exception:
            detector.close()
            raise
        finally:
            self._starting = None
        return detector


def _free(detector: DetectorProcess | None) -> None:
    """End a detector, and hand back the memory of objects that went: else each reload would add to the node's."""
    if detector is not None:
        detector.close()
    memory.release()
