"""The services of an active node: search for an object or not, detect now, and forget the tracks."""

from __future__ import annotations

import threading
from collections.abc import Collection
from functools import partial

from rclpy.node import Node
from rclpy.service import Service
from std_srvs.srv import SetBool, Trigger

from pose_node.ros.detector_process import DetectorProcess
from pose_node.ros.estimator import FrameEstimator


class Services:
    """``~/detect``, ``~/reset_tracks`` and ``~/<object>/set_active``, from activate to deactivate."""

    def __init__(self, node: Node, estimator: FrameEstimator, detector: DetectorProcess | None, tracks: bool) -> None:
        self._node, self._estimator, self._tracks = node, estimator, tracks
        self._services: list[Service] = [
            node.create_service(Trigger, "~/detect", self._detect),
            node.create_service(Trigger, "~/reset_tracks", self._reset_tracks),
        ]
        self._by_object: dict[str, Service] = {}
        self.offer(estimator.active_objects, detector)

    def offer(self, objects: Collection[str], detector: DetectorProcess | None) -> None:
        """Serve these objects from now on, which ``detector`` detects; the services of those that stay are kept."""
        self._detector = detector
        for name in sorted(set(objects) - self._by_object.keys()):
            serve = partial(self._set_active, name)
            self._by_object[name] = self._node.create_service(SetBool, f"~/{name}/set_active", serve)
        for name in self._by_object.keys() - set(objects):
            self._node.destroy_service(self._by_object.pop(name))

    def close(self) -> None:
        """Take the services away."""
        for service in (*self._services, *self._by_object.values()):
            self._node.destroy_service(service)
        self._services, self._by_object = [], {}

    def _set_active(self, name: str, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """Search for an object from the next frame on, or no longer."""
        active = self._estimator.active_objects
        self._estimator.active_objects = active | {name} if request.data else active - {name}
        response.success = True
        response.message = f"looking for {', '.join(sorted(self._estimator.active_objects)) or 'nothing'}."
        return response

    def _detect(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        problem = "" if self._detector is None else self._detector.condition().problem
        return self._request(self._estimator.detection_requested, response, problem)

    def _reset_tracks(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._request(self._estimator.reset_requested, response)

    def _request(self, event: threading.Event, response: Trigger.Response, problem: str = "") -> Trigger.Response:
        """Leave a request to the worker's thread, which serves it with the next frame."""
        if self._tracks:
            event.set()
            response.success, response.message = not problem, problem or "with the next frame."
        else:
            response.success = False
            response.message = "found no fixed_frame, expected one: without it there are no tracks."
        return response
