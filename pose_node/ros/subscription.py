"""Subscriptions whose quality of service fits their publishers'."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription


class AdaptiveSubscription:
    """A subscription that takes on the reliability and durability of its publishers once they appear.

    A reliable subscription gets nothing from a best-effort driver, and a best-effort one loses the large messages of a
    reliable publisher, so neither fits all. Only transient-local subscriptions get latched messages, and they get none from
    volatile publishers: a topic with both kinds needs two subscriptions, whatever ``reliability`` says.
    depth: of the queue. reliability: auto, reliable or best_effort, of messages that are not latched.
    """

    def __init__(
        self, node: Node, kind: type, topic: str, depth: int, callback: Callable[[Any], None], reliability: str
    ) -> None:
        self.topic = topic
        self._node, self._kind, self._depth, self._callback = node, kind, depth, callback
        self._name = node.resolve_topic_name(topic)
        self._subscribed: list[tuple[QoSProfile, Subscription]] = []
        self._subscribe_by([self._profile(reliability == "reliable", False)])

    def match_publishers(self, reliability: str) -> None:
        """Subscribe again where the publishers, or the parameter, need another quality of service than the present one."""
        offers = [info.qos_profile for info in self._node.get_publishers_info_by_topic(self._name)]
        latched = [offer for offer in offers if offer.durability == DurabilityPolicy.TRANSIENT_LOCAL]
        volatile = [offer for offer in offers if offer not in latched]
        if not offers and reliability == "auto":
            return
        profiles = []
        if latched:
            profiles.append(self._profile(_all_reliable(latched), True))
        if volatile or not latched:
            reliable = reliability == "reliable" or (reliability == "auto" and _all_reliable(volatile))
            profiles.append(self._profile(reliable, False))
        if profiles != [profile for profile, _ in self._subscribed]:
            self._subscribe_by(profiles)

    def close(self) -> None:
        """Unsubscribe."""
        self._subscribe_by([])

    def _subscribe_by(self, profiles: Sequence[QoSProfile]) -> None:
        """Subscribe by these profiles alone; a subscription by one of them already stays, with what is in its queue."""
        kept = [(profile, subscription) for profile, subscription in self._subscribed if profile in profiles]
        for profile, subscription in self._subscribed:
            if profile not in profiles:
                self._node.destroy_subscription(subscription)
        present = [profile for profile, _ in kept]
        for profile in profiles:
            if profile not in present:
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
