"""Subscriptions that suit whoever publishes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


class Input:
    """A subscription that takes on the reliability and durability of its publishers once they appear.

    A reliable subscription gets nothing from a best-effort driver, and a best-effort one loses the large messages of a
    reliable publisher, so neither serves everybody. Latched messages come to durable subscriptions alone, which in turn
    hear no volatile publisher: where a topic has both kinds there are two subscriptions, whatever ``reliability`` says.
    depth: of the queue. reliability: auto, reliable or best_effort, of what is not latched.
    """

    def __init__(
        self, node: Node, kind: type, topic: str, depth: int, callback: Callable[[Any], None], reliability: str
    ) -> None:
        self.topic = topic
        self._node, self._kind, self._depth, self._callback = node, kind, depth, callback
        self._name = node.resolve_topic_name(topic)
        self._subscribed: list[tuple[QoSProfile, Any]] = []
        self._take([self._profile(reliability == "reliable", False)])

    def follow(self, reliability: str) -> None:
        """Subscribe anew when the publishers, or the parameter, want something else than what was asked for."""
        offers = [info.qos_profile for info in self._node.get_publishers_info_by_topic(self._name)]
        latched = [offer for offer in offers if offer.durability == DurabilityPolicy.TRANSIENT_LOCAL]
        live = [offer for offer in offers if offer not in latched]
        if not offers and reliability == "auto":
            return
        wanted = []
        if latched:
            wanted.append(self._profile(_all_reliable(latched), True))
        if live or not latched:
            wanted.append(
                self._profile(reliability == "reliable" or (reliability == "auto" and _all_reliable(live)), False)
            )
        if wanted != [profile for profile, _ in self._subscribed]:
            self._take(wanted)

    def close(self) -> None:
        """Unsubscribe."""
        self._take([])

    def _take(self, profiles: Sequence[QoSProfile]) -> None:
        """Subscribe by these profiles and no other."""
        kept = [(profile, subscription) for profile, subscription in self._subscribed if profile in profiles]
        for profile, subscription in self._subscribed:
            if profile not in profiles:
                self._node.destroy_subscription(subscription)
        have = [profile for profile, _ in kept]
        for profile in profiles:
            if profile not in have:
                made = self._node.create_subscription(self._kind, self.topic, self._callback, profile)
                kept.append((profile, made))
        self._subscribed = sorted(kept, key=lambda pair: profiles.index(pair[0]))

    def _profile(self, reliable: bool, latched: bool) -> QoSProfile:
        return QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=self._depth,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )


def _all_reliable(offers: Sequence[QoSProfile]) -> bool:
    return all(offer.reliability == ReliabilityPolicy.RELIABLE for offer in offers)
