"""The chain: cloud -> segments -> hypotheses -> refined poses -> estimates; for the node, the command line and recordings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from pose_node.arrays import Array
from pose_node.config import PipelineConfig, load
from pose_node.detection.recognition import candidates
from pose_node.detection.segmentation import segments
from pose_node.errors import InputError
from pose_node.measurement.checks import Request, checked_request
from pose_node.measurement.cloud import Cloud
from pose_node.measurement.scene import Scene
from pose_node.measurement.sensor import Sensor
from pose_node.measurement.viewpoint import wrong_viewpoint
from pose_node.network.backbone import Backbone, read_card
from pose_node.network.object_network import Network, propose
from pose_node.objects.card import check_unchanged, load_card
from pose_node.objects.digest import folder_digest
from pose_node.objects.folders import backbone_folder
from pose_node.pose.likelihood import Likelihood
from pose_node.pose.refine import Refiner, refine_all
from pose_node.pose.selection import Selector
from pose_node.pose.shortlist import Shortlister
from pose_node.timing import timed
from pose_node.tracking.stream import Stream
from pose_node.types import Hypothesis, Masks, Rejected, Result, Step

_NOTHING_REQUESTED = Rejected("not_wanted", "no mask matches the requested objects.")


class Pipeline:
    """Finds objects in clouds, deterministically. ``estimate`` is stateless; ``step`` tracks the objects over time."""

    def __init__(
        self, networks: Sequence[Network], config: PipelineConfig, refiners: Mapping[str, Refiner] | None = None
    ) -> None:
        """networks: one for each object, at least one, all with one backbone; ``load`` makes them from object folders.

        refiners: of some or all objects, by name, to share them with another pipeline; the others are made here.
        """
        made = refiners or {}
        self.networks = {network.card.name: network for network in networks}
        self.cards = {name: network.card for name, network in self.networks.items()}
        self.config = config
        self.sensor = Sensor.from_config(config.sensor)
        self.refiners = {
            n: made.get(n) or Refiner(card, config.refine, sensor=self.sensor) for n, card in self.cards.items()
        }
        self.likelihoods = {n: Likelihood(r.card, r.lookup, config.judge) for n, r in self.refiners.items()}
        self.shortlister = Shortlister(self.refiners, self.likelihoods, config.judge)
        self.selector = Selector(self.refiners, self.likelihoods, config.judge)
        self.provider = networks[0].backbone.provider
        self.stream = Stream(
            self.refiners, self.likelihoods, config, lambda c, m, names: self.estimate(c, m, objects=names)
        )

    @classmethod
    def load(cls, folders: Sequence[str | Path], config: str | Path | PipelineConfig | None = None) -> Pipeline:
        """Load object folders, with settings from a YAML file, a PipelineConfig, or the defaults.

        Raises CardError, ModelError or ConfigError for an invalid folder, backbone or setting, and InputError when there is no
        object or two have one name.
        """
        settings = config if isinstance(config, PipelineConfig) else load(config)
        return cls._loaded(folders, settings, None)

    @classmethod
    def _loaded(cls, folders: Sequence[str | Path], settings: PipelineConfig, backbone: Backbone | None) -> Pipeline:
        """See ``load``; the ``backbone`` is opened where none is given."""
        cards = [load_card(folder) for folder in folders]
        _checked_names([card.name for card in cards])
        backbone = backbone or Backbone(backbone_folder(folders), settings.infer)
        return cls([Network(card, backbone, settings.infer) for card in cards], settings)

    def with_objects(self, folders: Sequence[str | Path]) -> Pipeline:
        """A pipeline of these object folders with the settings of this one, which stays as it is and may be used meanwhile.

        Objects whose folders have not changed since they were loaded are shared, and only the others are read; all are read
        where the backbone has changed. ``take_over`` then continues the tracks. Raises as ``load`` does, and CardError for a
        folder that changes while it is read.
        """
        names = _checked_names([Path(folder).resolve().name for folder in folders])
        backbone = next(iter(self.networks.values())).backbone
        same = read_card(backbone_folder(folders)) == (backbone.sha256, backbone.temperature)
        unchanged = {c.folder.resolve() for c in self.cards.values() if same and folder_digest(c.folder) == c.digest}
        networks, refiners = self.networks, self.refiners
        changed = [folder for folder in folders if Path(folder).resolve() not in unchanged]
        if changed:
            loaded = Pipeline._loaded(changed, self.config, backbone if same else None)
            for card in loaded.cards.values():
                check_unchanged(card)
            networks, refiners = {**networks, **loaded.networks}, {**refiners, **loaded.refiners}
        return Pipeline([networks[name] for name in names], self.config, refiners)

    def take_over(self, other: Pipeline) -> None:
        """Continue the stream of ``other`` with its next frame, and the tracks of the objects that both share.

        Identities stay, and none is used twice; the tracks of all other objects are forgotten. ``other`` must not be used again.
        """
        self.stream.take_over(other.stream, [n for n, card in self.cards.items() if card is other.cards.get(n)])

    def estimate(
        self,
        cloud: Cloud,
        masks: Masks | None = None,
        boxes: Masks | None = None,
        expected: Sequence[Hypothesis] = (),
        objects: Collection[str] | None = None,
    ) -> Result:
        """Estimates of the objects in the cloud, best first, and what was refused and why.

        masks:    {object name: [bool over the cloud's source shape, ...]}, one instance each.
        boxes:    the same, with background. With neither masks nor boxes, the cloud is segmented.
        expected: hypotheses from elsewhere, treated like those of the networks.
        objects:  the objects to look for, by default all; masks, boxes and hypotheses of others are ignored. Where that leaves
                  nothing to do, the result has one refusal, with code not_wanted, and no ``stage_s``.
        Raises InputError for invalid masks, boxes, hypotheses or object names.
        """
        request = checked_request(cloud, masks, boxes, expected, objects, self.cards)
        return self._find(request) if request.cards else Result((), (_NOTHING_REQUESTED,))

    def _find(self, request: Request) -> Result:
        """The chain: where each object may be, which poses it may have there, and which of them the measurement supports."""
        clock: dict[str, float] = {}
        scene = Scene(request.cloud, request.cards, sensor=self.sensor)
        networks = {name: self.networks[name] for name in request.cards}
        with timed("segment", clock):
            wanted = (request.cloud, request.masks, request.cards, self.config.segment, request.boxes)
            found, unusable = segments(*wanted, self.sensor)
            warnings = wrong_viewpoint(request.cloud, self.sensor)
        with timed("infer", clock):
            to_try, unrecognised = candidates(found, networks, scene, self.config.infer)
            proposed, unproposed = propose(to_try, networks, scene)
        with timed("shortlist", clock):
            hypotheses = [*request.expected, *proposed]
            shortlist, hopeless = self.shortlister.shortlist(hypotheses, scene)
        with timed("refine", clock):
            refined = refine_all(shortlist, self.refiners, scene)
        with timed("decide", clock):
            estimates, refused = self.selector.select(refined, scene)
        rejected = (*unusable, *warnings, *unrecognised, *unproposed, *hopeless, *refused)
        return Result(tuple(estimates), rejected, tuple(found), tuple(hypotheses), tuple(refined), clock)

    def step(self, cloud: Cloud, T_fixed_camera: Array, masks: Masks | None = None) -> Step:
        """Process the next frame of one camera, taken from T_fixed_camera [4, 4]: its result, and all tracks in the fixed frame.

        Raises InputError as ``estimate`` does, for a T_fixed_camera that is not a rigid motion, and for a frame older than the
        last; the tracks then stay as they were.
        """
        return self.stream.step(cloud, T_fixed_camera, masks)

    def retune(self, config: PipelineConfig) -> None:
        """Use other settings from the next call on, of those that config.py calls live; networks and tracks stay."""
        self.config = config
        self.shortlister.config = self.selector.config = config.judge
        self.stream.retune(config)

    def reset(self) -> None:
        """Forget all tracks; their identities are not used again."""
        self.stream.reset()


def _checked_names(names: list[str]) -> list[str]:
    """The names of the objects of a pipeline; raises InputError where there is none, or one twice."""
    if not names or len(set(names)) < len(names):
        raise InputError(f"objects: found {names}, expected at least one, each named once.")
    return names
