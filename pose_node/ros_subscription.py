"""Subscriptions that suit whoever publishes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


class Input:
    """A subscription that takes on the reliability (and durability) of its publishers once they appear.

    A reliable subscription gets nothing from a best-effort driver, and a best-effort one loses the large messages of a
    reliable publisher, so neither serves everybody. depth: of the queue. reliability: auto, reliable or best_effort.
    """

    def __init__(
        self, node: Node, kind: type, topic: str, depth: int, callback: Callable[[Any], None], reliability: str
    ) -> None:
        self.topic = topic
        self._node, self._kind, self._depth, self._callback = node, kind, depth, callback
        self._qos = self._profile(reliability == "reliable", False)
        self._subscription = node.create_subscription(kind, topic, callback, self._qos)

    def follow(self, reliability: str) -> None:
        """Subscribe anew when the publishers, or the parameter, want something else than what was asked for."""
        if reliability == "auto":
            offers = [e.qos_profile for e in self._node.get_publishers_info_by_topic(self._subscription.topic_name)]
            if not offers:
                return
            reliable = all(offer.reliability == ReliabilityPolicy.RELIABLE for offer in offers)
            latched = all(offer.durability == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers)
            wanted = self._profile(reliable, latched)
        else:
            wanted = self._profile(reliability == "reliable", False)
        if wanted != self._qos:
            self.close()
            self._qos = wanted
            self._subscription = self._node.create_subscription(self._kind, self.topic, self._callback, wanted)

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)

    def _profile(self, reliable: bool, latched: bool) -> QoSProfile:
        return QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=self._depth,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )
