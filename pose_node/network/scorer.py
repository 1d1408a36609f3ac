"""The scorer: one small network for all objects that says how sure it is that a pose is right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pose_node.arrays import Array
from pose_node.config import InferConfig
from pose_node.network.network_card import read_network_card
from pose_node.network.session import open_session, run
from pose_node.objects.card import CARD_FILE

SCORER_FILE = "scorer.onnx"
INPUTS = ("samples", "weight", "points", "matches", "match_weight", "context")
OUTPUTS: dict[str, tuple[int, ...]] = {"log_odds": ()}

Floats = NDArray[np.float32]


class Scorer:
    """The network of ``models/scorer``. sha256: its hash."""

    def __init__(self, folder: Path, config: InferConfig) -> None:
        """Open ``folder``'s network; raises ModelError for a missing, damaged or foreign one, or a provider that is missing."""
        self.folder = folder
        self.sha256 = str(read_network_card(folder / CARD_FILE, "scorer")["sha256"])
        self.session = open_session(folder / SCORER_FILE, self.sha256, INPUTS, OUTPUTS, config)

    def log_odds(self, inputs: Sequence[Floats]) -> Array:
        """Log-odds [B] that each pose is right; inputs: in the order of ``INPUTS``, see ``ScorerNetwork.forward``.

        Raises ModelError when the provider fails.
        """
        (found,) = run(self.session, tuple(OUTPUTS), dict(zip(INPUTS, inputs, strict=True)))
        return found.astype(np.float64)
