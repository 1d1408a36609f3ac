"""A pipeline that can be pickled, with its cards, network files and settings, so that a worker needs none of our files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pose_node.config import PipelineConfig
from pose_node.network.object_network import Network
from pose_node.objects.card import ObjectCard
from pose_node.pipeline import Pipeline


class PortablePipeline:
    """Has a ``pipeline``; unpickling loads it again from the same bytes."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    def __reduce__(self) -> tuple[Any, ...]:
        cards = self.pipeline.cards.values()
        files = [card.folder / str((card.network or {})["file"]) for card in cards]
        return _load, ([(card, file.read_bytes()) for card, file in zip(cards, files)], self.pipeline.config)


def _load(objects: Sequence[tuple[ObjectCard, bytes]], config: PipelineConfig) -> PortablePipeline:
    """Load the networks from temporary files; raises ModelError as ``Network`` does."""
    networks = []
    with TemporaryDirectory(prefix="pose_node_") as folder:
        for card, content in objects:
            card = replace(card, folder=Path(folder) / card.name)
            file = card.folder / str((card.network or {})["file"])
            file.parent.mkdir(parents=True)
            file.write_bytes(content)
            networks.append(Network(card, config.infer))
    return PortablePipeline(Pipeline(networks, config))
