"""Changes files of an object folder, and expects that it is refused then."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from pose_node.errors import CardError
from pose_node.objects.card import load_card


def edited(card, **changes):
    """Overwrite keys of the card's YAML; None removes one."""
    path = card.folder / "card.yaml"
    values = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        values.pop(key, None)
        if value is not None:
            values[key] = value
    path.write_text(yaml.safe_dump(values))


def rewritten(card, **changes):
    """Overwrite arrays of surface.npz; None removes one."""
    path = card.folder / "surface.npz"
    with np.load(path) as data:
        arrays = {**data}
    arrays.update(changes)
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})


def refused(card, *words):
    with pytest.raises(CardError) as caught:
        load_card(card.folder)
    message = str(caught.value)
    assert str(card.folder) in message and "\n" not in message
    for word in words:
        assert word in message
