"""A pipeline that can be pickled, with its cards, banks, backbone and settings, so that a worker needs none of our files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pose_node.config import PipelineConfig
from pose_node.network.backbone import BACKBONE_FILE, Backbone
from pose_node.network.object_network import Network
from pose_node.objects.bank import BANK_FILE
from pose_node.objects.card import CARD_FILE, ObjectCard
from pose_node.pipeline import Pipeline


class PortablePipeline:
    """Has a ``pipeline``; unpickling loads it again from the same bytes."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    def __reduce__(self) -> tuple[Any, ...]:
        networks = list(self.pipeline.networks.values())
        shared = networks[0].backbone.folder
        files = {path.name: path.read_bytes() for path in (shared / CARD_FILE, shared / BACKBONE_FILE)}
        banks = [(network.card, (network.card.folder / BANK_FILE).read_bytes()) for network in networks]
        return _load, (files, banks, self.pipeline.config)


def _load(
    backbone: Mapping[str, bytes], objects: Sequence[tuple[ObjectCard, bytes]], config: PipelineConfig
) -> PortablePipeline:
    """Load backbone and banks from temporary files; raises ModelError as ``Backbone`` and ``Network`` do."""
    networks = []
    with TemporaryDirectory(prefix="pose_node_") as name:
        folder = Path(name)
        for file, content in backbone.items():
            (folder / file).write_bytes(content)
        shared = Backbone(folder, config.infer)
        for card, content in objects:
            card = replace(card, folder=folder / card.name)
            card.folder.mkdir()
            (card.folder / BANK_FILE).write_bytes(content)
            networks.append(Network(card, shared, config.infer))
    return PortablePipeline(Pipeline(networks, config))
