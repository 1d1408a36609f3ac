"""A pipeline that can be pickled, with its cards, banks, backbone, scorer and settings, so that a worker needs none of our files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pose_node.config import PipelineConfig
from pose_node.network.backbone import BACKBONE_FILE, Backbone
from pose_node.network.object_network import Network
from pose_node.network.scorer import SCORER_FILE, Scorer
from pose_node.objects.bank import BANK_FILE
from pose_node.objects.card import CARD_FILE, ObjectCard
from pose_node.objects.folders import BACKBONE, SCORER
from pose_node.pipeline import Pipeline


class PortablePipeline:
    """Has a ``pipeline``; unpickling loads it again from the same bytes."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    def __reduce__(self) -> tuple[Any, ...]:
        networks = list(self.pipeline.networks.values())
        homes = {BACKBONE: networks[0].backbone.folder, SCORER: self.pipeline.scorer.folder}
        names = {BACKBONE: (CARD_FILE, BACKBONE_FILE), SCORER: (CARD_FILE, SCORER_FILE)}
        files = {(home, name): (homes[home] / name).read_bytes() for home in homes for name in names[home]}
        banks = [(network.card, (network.card.folder / BANK_FILE).read_bytes()) for network in networks]
        return _load, (files, banks, self.pipeline.config)


def _load(
    shared: Mapping[tuple[str, str], bytes], objects: Sequence[tuple[ObjectCard, bytes]], config: PipelineConfig
) -> PortablePipeline:
    """Load backbone, scorer and banks from temporary files; raises ModelError as their classes do."""
    networks = []
    with TemporaryDirectory(prefix="pose_node_") as name:
        folder = Path(name)
        for (home, file), content in shared.items():
            (folder / home).mkdir(exist_ok=True)
            (folder / home / file).write_bytes(content)
        backbone, scorer = Backbone(folder / BACKBONE, config.infer), Scorer(folder / SCORER, config.infer)
        for card, content in objects:
            card = replace(card, folder=folder / card.name)
            card.folder.mkdir()
            (card.folder / BANK_FILE).write_bytes(content)
            networks.append(Network(card, backbone, config.infer))
    return PortablePipeline(Pipeline(networks, config, scorer))
