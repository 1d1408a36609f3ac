"""The backbone: one network for all objects, opened once, that describes the centres of a segment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pose_node.config import InferConfig
from pose_node.errors import ModelError
from pose_node.network.input import Prepared
from pose_node.network.network_card import read_network_card
from pose_node.network.session import open_session, run
from pose_node.objects.bank import DESCRIPTOR, VECTORS
from pose_node.objects.card import CARD_FILE

BACKBONE_FILE = "backbone.onnx"
INPUTS = ("points", "normals", "viewpoint", "centres")
OUTPUTS = {"descriptors": (DESCRIPTOR,), "vectors": (VECTORS, 3), "quality": ()}  # beyond clouds and centres

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What the backbone says of a segment's M centres.

    descriptors: [M, 32] of unit length, invariant. vectors: [M, 8, 3], which turn with the cloud.
    quality:     [M] logit that a centre's best match in the object's bank is right.
    """

    descriptors: Floats
    vectors: Floats
    quality: Floats


class Backbone:
    """The network of a folder. sha256: its hash, which banks name. temperature: of the match probability."""

    def __init__(self, folder: Path, config: InferConfig) -> None:
        """Open ``folder``'s network; raises ModelError for a missing, damaged or foreign one, or a provider that is missing."""
        self.folder = folder
        self.sha256, self.temperature = read_card(folder)
        self.session = open_session(folder / BACKBONE_FILE, self.sha256, INPUTS, OUTPUTS, config)
        self.provider: str = self.session.get_providers()[0]

    def run(self, prepared: Prepared) -> Features:
        """The features of one segment. Raises ModelError when the provider fails."""
        feeds = {name: np.asarray(value)[None] for name, value in zip(INPUTS, prepared.inputs())}
        return Features(*(value[0] for value in run(self.session, tuple(OUTPUTS), feeds)))


def read_card(folder: Path) -> tuple[str, float]:
    """Hash and temperature on the backbone's card; raises ModelError."""
    path = folder / CARD_FILE
    network = read_network_card(path, "backbone")
    temperature = network.get("temperature")
    if not isinstance(temperature, float) or not 0.0 < temperature < 10.0:
        raise ModelError(f"{path}: network.temperature is {temperature!r}, expected a positive number.")
    return network["sha256"], temperature
