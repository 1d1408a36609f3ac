"""The chain: cloud -> segments -> hypotheses -> refinement -> estimates. One object for the node, the command line and bags."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from pose_node.arrays import Array
from pose_node.config import PipelineConfig, load
from pose_node.detection.recognition import prospects
from pose_node.detection.segment import segments
from pose_node.errors import InputError
from pose_node.measurement.checks import checked_expected, checked_masks, checked_names
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.scene import Scene
from pose_node.measurement.viewpoint import contradiction
from pose_node.network.object_network import Network
from pose_node.objects.card import ObjectCard, load_card
from pose_node.pose.likelihood import Likelihood
from pose_node.pose.refine import Refiner, refine_all
from pose_node.pose.selection import Selector
from pose_node.pose.shortlist import Shortlister
from pose_node.timing import timed
from pose_node.tracking.stream import Stream
from pose_node.types import Hypothesis, Masks, Rejected, Result, Step


class Pipeline:
    """Finds the objects of its cards in clouds, deterministically. ``estimate`` is stateless; ``step`` follows them over time."""

    def __init__(self, networks: Sequence[Network], config: PipelineConfig) -> None:
        self.networks = {network.card.name: network for network in networks}
        self.cards = {name: network.card for name, network in self.networks.items()}
        self.config = config
        self.refiners = {name: Refiner(card, config.refine) for name, card in self.cards.items()}
        self.likelihoods = {n: Likelihood(r.card, r.lookup, config.judge) for n, r in self.refiners.items()}
        self.shortlister = Shortlister(self.refiners, self.likelihoods, config.judge)
        self.selector = Selector(self.refiners, self.likelihoods, config.judge)
        self.provider = networks[0].provider
        self.stream = Stream(
            self.refiners, self.likelihoods, config, lambda c, m, names: self.estimate(c, m, objects=names)
        )

    @classmethod
    def load(cls, folders: Sequence[str | Path], config: str | Path | PipelineConfig | None = None) -> Pipeline:
        """Load object folders, with settings from a YAML file, a PipelineConfig, or the defaults.

        Raises CardError, ModelError or ConfigError for what cannot be used, InputError when there is no object at all.
        """
        settings = config if isinstance(config, PipelineConfig) else load(config)
        cards = [load_card(folder) for folder in folders]
        names = [card.name for card in cards]
        if not names or len(set(names)) < len(names):
            raise InputError(f"objects: found {names}, expected at least one, each named once.")
        return cls([Network(card, settings.infer) for card in cards], settings)

    def estimate(
        self,
        cloud: Cloud,
        masks: Masks | None = None,
        boxes: Masks | None = None,
        expected: Sequence[Hypothesis] = (),
        objects: Collection[str] | None = None,
    ) -> Result:
        """Estimates of all objects in the cloud, best first, and what was refused and why.

        masks: {object name: [bool over the cloud's source shape, ...]}, one instance each; boxes: the same, when what is
        marked holds background too. With neither, the cloud is segmented. expected: hypotheses from elsewhere, judged like the others.
        objects: only these are looked for, by default all; masks and boxes of others are left alone.
        Raises InputError for masks or boxes that do not fit the cloud, for unknown objects, and for hypotheses that are none.
        """
        checked_names(objects or (), self.cards)
        masks = checked_masks(masks, cloud, self.cards)
        boxes = checked_masks(boxes, cloud, self.cards, "boxes")
        hypotheses = checked_expected(expected, cloud, self.cards)
        clock: dict[str, float] = {}
        wanted = {name: card for name, card in self.cards.items() if objects is None or name in objects}
        given = (masks, boxes)
        masks, boxes = (_of(wanted, marked) for marked in given)
        if not wanted or (any(given) and not masks and not boxes):
            return Result((), (Rejected("not_wanted", "the frame has nothing of an object that is looked for."),))
        scene = Scene(cloud, wanted)
        with timed("segment", clock):
            found, rejected = segments(cloud, masks, wanted, self.config.segment, boxes)
            doubt = contradiction(cloud)
            rejected += [doubt] if doubt else []
        with timed("infer", clock):
            clusters = [s for s in found if s.source == "cluster"]
            networks = {name: self.networks[name] for name in wanted}
            guessed, overlooked = prospects(networks, scene, clusters, self.config.infer)
            rejected += overlooked
            asked = [
                self.networks[s.object_name].propose(s, scene) for s in found if s.object_name and s.source != "cluster"
            ]
            asked += [self.networks[p.name].propose(p.segment, scene, p.glance) for p in guessed]
            for proposed in asked:
                if isinstance(proposed, Rejected):
                    rejected.append(proposed)
                else:
                    hypotheses.extend(proposed)
        with timed("shortlist", clock):
            shortlist, hopeless = self.shortlister.shortlist(hypotheses, scene)
            rejected += hopeless
        with timed("refine", clock):
            refined = refine_all(shortlist, self.refiners, scene)
        with timed("decide", clock):
            estimates, refused = self.selector.select(refined, scene)
        return Result(tuple(estimates), (*rejected, *refused), tuple(found), tuple(hypotheses), tuple(refined), clock)

    def step(self, cloud: Cloud, T_fixed_camera: Array, masks: Masks | None = None) -> Step:
        """The next frame of one camera, taken from T_fixed_camera [4, 4]: what it shows, and all tracks in the fixed frame.

        Raises InputError as ``estimate`` does, for a pose that is no rigid motion, and for a frame older than the last; the
        tracks stay as they were.
        """
        return self.stream.step(cloud, T_fixed_camera, masks)

    def retune(self, config: PipelineConfig) -> None:
        """Other settings from the next call on, of those that config.py calls live; networks and tracks stay."""
        self.config = config
        self.shortlister.config = self.selector.config = config.judge
        self.stream.retune(config)

    def reset(self) -> None:
        """Forget all tracks; identities are not used again."""
        self.stream.reset()


def _of(wanted: Mapping[str, ObjectCard], marked: Masks | None) -> Masks | None:
    """The masks of what is looked for."""
    return marked and {name: each for name, each in marked.items() if name in wanted}
