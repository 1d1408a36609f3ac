"""The card.yaml of a network that all objects share: what it must state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pose_node.errors import ModelError


def read_network_card(path: Path, what: str) -> dict[str, Any]:
    """The mapping ``network`` of a card, with the ``sha256`` of the file. what: the network, for the errors.

    Raises ModelError for a missing or damaged card, and for one without the hash.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}), expected the {what}'s card.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: is not YAML ({str(error).splitlines()[0]}).") from error
    network = values.get("network") if isinstance(values, dict) else None
    if not isinstance(network, dict) or not isinstance(network.get("sha256"), str):
        raise ModelError(f"{path}: found no network with its sha256, expected the card of an exported {what}.")
    return network
