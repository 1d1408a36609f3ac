"""Which objects are worth proposing poses for in which segments, where nobody said: what the networks say at a glance.

A glance costs a tenth of what the rest of the chain costs. Segments overlap, so of those that hold nearly the same points
only the one that an object's network likes best is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pose_node.config import InferConfig
from pose_node.measurement.scene import Scene
from pose_node.network.object_network import Glance, Network
from pose_node.types import Rejected, Segment

_WITHIN = 0.8  # share of the smaller of two segments that makes them two readings of the same points
_DOUBT = (0.2, 0.85)  # shares of voters between which the network looks again at the core
_GAIN = 0.1  # more voters than before: then the foot was not the object's
_ALL = 0.97  # a core of more than this is the segment
_SIZE_POWER = 0.1  # of two that the network likes as well, the larger one tells more


@dataclass(frozen=True, slots=True, eq=False)
class Prospect:
    """One object in one segment, and what the network made of it at first sight."""

    segment: Segment
    name: str
    glance: Glance


def prospects(
    networks: Mapping[str, Network], scene: Scene, segments: Sequence[Segment], config: InferConfig
) -> tuple[list[Prospect], list[Rejected]]:
    """Pairs of segments and objects, most promising first, and why the others were left out."""
    seen: list[Prospect] = []
    rejected: list[Rejected] = []
    for segment in segments:
        if len(segment.indices) < config.min_points:
            reason = f"found {len(segment.indices)} points, expected at least {config.min_points}."
            rejected.append(Rejected("too_few_points", reason, segment.object_name, segment))
            continue
        drawn = scene.sample(segment)
        core = _core(segment, config)
        drawn_core = scene.sample(core) if core else None
        for name in segment.objects or networks:
            glance = networks[name].glance(drawn)
            prospect = Prospect(segment, name, glance)
            if core and drawn_core and _DOUBT[0] < glance.voters < _DOUBT[1]:
                again = networks[name].glance(drawn_core)
                if again.voters > glance.voters + _GAIN:
                    glance, prospect = again, Prospect(core, name, again)
            if glance.voters >= config.min_voters:
                seen.append(prospect)
            else:
                reason = (
                    f"{name}: {glance.voters:.0%} of the points vote for the object, expected {config.min_voters:.0%}."
                )
                rejected.append(Rejected("no_votes", reason, name, segment))
    best: list[tuple[int, float, Prospect]] = []
    for name in networks:
        own: list[Prospect] = []
        for prospect in sorted((p for p in seen if p.name == name), key=_merit, reverse=True):
            if any(_within(p.segment, prospect.segment) > _WITHIN for p in own):
                rejected.append(_outdone(prospect))
            else:
                own.append(prospect)
        best += [(place, -_merit(p), p) for place, p in enumerate(own)]
    # Every object's best place comes before anyone's second: networks are not equally easy to please.
    best.sort(key=lambda entry: entry[:2])
    rejected += [_outdone(p) for _, _, p in best[config.max_prospects :]]
    return [p for _, _, p in best[: config.max_prospects]], rejected


def _core(segment: Segment, config: InferConfig) -> Segment | None:
    """The segment without its foot, where that is another segment and large enough."""
    if segment.off_support is None or not config.min_points <= len(segment.off_support) < _ALL * len(segment.indices):
        return None
    return replace(segment, indices=segment.off_support)


def _outdone(prospect: Prospect) -> Rejected:
    share = f"{prospect.glance.voters:.0%}"
    reason = f"{prospect.name}: {share} of the points vote for the object, others are likelier."
    return Rejected("no_votes", reason, prospect.name, prospect.segment)


def _merit(prospect: Prospect) -> float:
    return float(prospect.glance.voters * len(prospect.segment.indices) ** _SIZE_POWER)


def _within(a: Segment, b: Segment) -> float:
    shared = np.intersect1d(a.indices, b.indices, assume_unique=True).size
    return float(shared / min(len(a.indices), len(b.indices)))
