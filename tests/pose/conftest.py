"""The stages from hypotheses to estimates, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pose_node.config import JudgeConfig, RefineConfig
from pose_node.measurement.scene import Scene
from pose_node.pose.likelihood import Likelihood
from pose_node.pose.refine import Refiner
from pose_node.pose.selection import Selector
from pose_node.pose.shortlist import Shortlister
from pose_node.types import Segment


class Stages:
    """Shortlist, refinement and selection of some objects."""

    def __init__(self, cards, config=None):
        config = config or JudgeConfig()
        self.cards, self.config = cards, config
        self.refiners = {name: Refiner(card, RefineConfig()) for name, card in cards.items()}
        self.likelihoods = {n: Likelihood(r.card, r.lookup, config) for n, r in self.refiners.items()}
        self.shortlister = Shortlister(self.refiners, self.likelihoods, config)
        self.selector = Selector(self.refiners, self.likelihoods, config)

    def scene(self, cloud):
        return Scene(cloud, self.cards)

    def run(self, cloud, hypotheses):
        """Shortlist, estimates and refusals of the selection."""
        scene = self.scene(cloud)
        shortlist, _ = self.shortlister.shortlist(hypotheses, scene)
        refined = [self.refiners[h.object_name].fine(h, scene) for h in shortlist]
        return shortlist, *self.selector.select(refined, scene)

    def score(self, T, cloud, segment):
        """Scores of one pose of the block."""
        view = self.scene(cloud).view(segment)
        return self.likelihoods["block"].score(T[None], view, 2048, 800, exact=True)[0]


@pytest.fixture(scope="session")
def stages_of() -> Callable[..., Stages]:
    """Stages of these cards, with these settings."""
    return Stages


@pytest.fixture(scope="session")
def stages(block) -> Stages:
    """Stages of the block, with default settings."""
    return Stages({"block": block.card})


@pytest.fixture(scope="session")
def seen(block) -> Callable:
    """The cloud of the block at a pose, and its segment."""

    def see(pose, source="mask", name="block", **how):
        cloud, mask = block.see(pose, **how)
        return cloud, Segment(np.flatnonzero(mask.ravel()[cloud.source_index]), source, name)

    return see
