"""Which objects to look for in which segments.

Segments from masks and boxes name their object. For clusters, each object's network predicts whether the segment is the
object: this costs a tenth of what the rest of the chain costs. Clusters overlap, so of those that share most of their points
only the one that an object's network rates best is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pose_node.config import InferConfig
from pose_node.measurement.scene import Scene
from pose_node.network.object_network import Candidate, Network, Prediction, few_votes
from pose_node.types import Rejected, Segment

_SAME_SEGMENT = 0.8  # clusters that share this much of the smaller one are alternatives for the same points
_UNSURE = (0.2, 0.85)  # shares of voters between which the cluster is tried without the points next to its support
_MIN_GAIN = 0.1  # in voters, for the cluster without these points to replace the whole
_WHOLE = 0.97  # a cluster with fewer such points than the rest of this share is not tried without them
_SIZE_POWER = 0.1  # at equal shares of voters, the larger cluster is the better evidence


@dataclass(frozen=True, slots=True, eq=False)
class _Recognised:
    """An object in a cluster, and its network's prediction there."""

    segment: Segment
    object_name: str
    prediction: Prediction

    @property
    def rating(self) -> float:
        """How well the network recognises the object, for comparison within one network."""
        return float(self.prediction.voter_share * len(self.segment.indices) ** _SIZE_POWER)


def candidates(
    segments: Sequence[Segment], networks: Mapping[str, Network], scene: Scene, config: InferConfig
) -> tuple[list[Candidate], list[Rejected]]:
    """What to look for where: masks and boxes first, then the best ``max_prospects`` of clusters; and why others were refused.

    networks: {object name: network} of the objects to look for.
    """
    marked = [Candidate(s, s.object_name) for s in segments if s.object_name and s.source != "cluster"]
    clusters = [s for s in segments if s.source == "cluster"]
    recognised, rejected = _recognised(clusters, networks, scene, config)
    best, outranked = _best(recognised, networks, config.max_prospects)
    return marked + [Candidate(r.segment, r.object_name, r.prediction) for r in best], rejected + outranked


def _recognised(
    clusters: Sequence[Segment], networks: Mapping[str, Network], scene: Scene, config: InferConfig
) -> tuple[list[_Recognised], list[Rejected]]:
    """The pairs of cluster and object with at least ``min_voters``, and why the others were refused."""
    found: list[_Recognised] = []
    rejected: list[Rejected] = []
    for segment in clusters:
        off_support = _off_support(segment, config)
        for name in segment.objects or networks:
            refusal = networks[name].refusal(segment, scene)
            if refusal is not None:
                rejected.append(refusal)
                continue
            pair = _recognise(segment, off_support, name, networks[name], scene)
            if pair.prediction.voter_share >= config.min_voters:
                found.append(pair)
            else:
                reason = few_votes(name, pair.prediction, config.min_voters)
                rejected.append(Rejected("no_votes", reason, name, segment))
    return found, rejected


def _recognise(segment: Segment, off_support: Segment | None, name: str, network: Network, scene: Scene) -> _Recognised:
    """The network's prediction for a cluster or, where it is unsure and that helps, for the part of it off its support."""
    whole = network.predict(scene.sample(segment))
    unsure = _UNSURE[0] < whole.voter_share < _UNSURE[1]
    if off_support is not None and unsure and network.refusal(off_support, scene) is None:
        part = network.predict(scene.sample(off_support))
        if part.voter_share > whole.voter_share + _MIN_GAIN:
            return _Recognised(off_support, name, part)
    return _Recognised(segment, name, whole)


def _off_support(segment: Segment, config: InferConfig) -> Segment | None:
    """The cluster without the points next to its support, where that is another segment and large enough."""
    rows = segment.off_support
    if rows is None or not config.min_points <= len(rows) < _WHOLE * len(segment.indices):
        return None
    return replace(segment, indices=rows)


def _best(
    recognised: Sequence[_Recognised], names: Iterable[str], count: int
) -> tuple[list[_Recognised], list[Rejected]]:
    """The ``count`` best-rated pairs, of each object no two for the same points; and the others as refused."""
    rejected: list[Rejected] = []
    ranked: list[tuple[int, float, _Recognised]] = []
    for name in names:
        kept: list[_Recognised] = []
        for pair in sorted((r for r in recognised if r.object_name == name), key=lambda r: r.rating, reverse=True):
            if any(_shared(k.segment, pair.segment) > _SAME_SEGMENT for k in kept):
                rejected.append(_outranked(pair))
            else:
                kept.append(pair)
        ranked += [(rank, -pair.rating, pair) for rank, pair in enumerate(kept)]
    # The best cluster of each object comes before the second best of any: ratings of different networks do not compare.
    ranked.sort(key=lambda entry: entry[:2])
    rejected += [_outranked(pair) for _, _, pair in ranked[count:]]
    return [pair for _, _, pair in ranked[:count]], rejected


def _outranked(pair: _Recognised) -> Rejected:
    """The refusal of a pair that others are better than."""
    share = f"{pair.prediction.voter_share:.0%}"
    reason = f"{pair.object_name}: {share} of the points vote for the object, outranked by other segments."
    return Rejected("no_votes", reason, pair.object_name, pair.segment)


def _shared(a: Segment, b: Segment) -> float:
    """Share of the smaller segment's points that both have."""
    common = np.intersect1d(a.indices, b.indices, assume_unique=True).size
    return float(common / min(len(a.indices), len(b.indices)))
