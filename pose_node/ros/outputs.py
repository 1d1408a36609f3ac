"""The node's publishers, and which of an answer's messages go to which."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseArray, PoseStamped, PoseWithCovarianceStamped
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from pose_node.objects.card import ObjectCard
from pose_node.ros import publish
from pose_node.ros.estimator import Answer
from pose_node.types import Track


class Outputs:
    """Lifecycle publishers for these objects, from configure to cleanup.

    frame_prefix: of the names of the tracks' frames on /tf; None where they are not published.
    """

    def __init__(self, node: LifecycleNode, cards: Mapping[str, ObjectCard], frame_prefix: str | None) -> None:
        self._node, self._frame_prefix = node, frame_prefix
        self._publishers: dict[str, Any] = {}
        self._objects: set[str] = set()
        self._add("~/poses", PoseArray)
        self._add("~/markers", MarkerArray)
        if publish.vision_msgs is None:
            node.get_logger().warning("vision_msgs is not installed: ~/detections is left out.")
        else:
            self._add("~/detections", publish.vision_msgs.msg.Detection3DArray)
        if frame_prefix is not None:
            self._add("/tf", publish.tf2_msgs.msg.TFMessage)
        self.offer(cards)

    def offer(self, cards: Mapping[str, ObjectCard]) -> None:
        """Publish these objects from now on; the topics of those that stay are kept. Not while ``publish`` runs."""
        for name in cards.keys() - self._objects:
            self._add(f"~/{name}/pose", PoseStamped)
            self._add(f"~/{name}/pose_with_covariance", PoseWithCovarianceStamped)
        for name in self._objects - cards.keys():
            for topic in (f"~/{name}/pose", f"~/{name}/pose_with_covariance"):
                self._node.destroy_lifecycle_publisher(self._publishers.pop(topic))
        self._objects = set(cards)
        self._meshes = {name: card.mesh_path.resolve().as_uri() for name, card in cards.items()}
        self._boxes_m = {name: card.surface.box_m for name, card in cards.items()}

    def publish(self, header: Header, answer: Answer, fixed_frame: str) -> None:
        """Publish an answer under its measurement's header; all tracks stand in fixed_frame."""
        confirmed, ids, tracks = answer.confirmed, answer.ids, answer.tracks or ()
        unseen = [t for t in tracks if t.estimate is None and np.isfinite(t.T_fixed_object).all()]
        self._send("~/poses", publish.pose_array, header, confirmed)
        self._send("~/detections", publish.detections, header, answer.estimates, self._boxes_m, ids)
        self._send("~/markers", publish.markers, header, answer.estimates, self._meshes, ids, unseen, fixed_frame)
        best = {estimate.object_name: estimate for estimate in reversed(confirmed)}
        for name, estimate in best.items():
            self._send(f"~/{name}/pose", publish.pose_stamped, header, estimate)
            self._send(f"~/{name}/pose_with_covariance", publish.pose_with_covariance, header, estimate)
        self._publish_tf(Header(stamp=header.stamp, frame_id=fixed_frame), tracks)

    def close(self) -> None:
        """Take the publishers away."""
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers = {}

    def _add(self, topic: str, kind: type) -> None:
        publisher = self._node.create_lifecycle_publisher(kind, topic, 10)
        if any(other.is_activated for other in self._publishers.values()):  # the node is active: no transition does it
            publisher.on_activate(None)
        self._publishers[topic] = publisher

    def _publish_tf(self, header: Header, tracks: Sequence[Track]) -> None:
        """A frame for each confirmed track, named after this node, as all nodes share the tree of frames."""
        for track in tracks:
            if track.state == "confirmed" and np.isfinite(track.T_fixed_object).all():
                child = f"{self._frame_prefix}{track.name}"
                self._send("/tf", publish.tf_message, header, child, track.T_fixed_object)

    def _send(self, topic: str, make: Callable[..., Any], *contents: Any) -> None:
        """Make and publish a message where the topic has a publisher and a subscriber: making it takes time."""
        publisher = self._publishers.get(topic)
        if publisher is not None and publisher.get_subscription_count():
            publisher.publish(make(*contents))
