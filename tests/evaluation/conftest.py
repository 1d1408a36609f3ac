"""Helpers beside the tests, which pytest's importlib mode would leave unfound."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
NEEDED = "mustard_bottle"


@pytest.fixture(scope="session")
def models(repository):
    """The models folder, where the network of the recordings' object is."""
    if not (repository / "models" / NEEDED / "bank.npz").is_file():
        pytest.skip(f"models/{NEEDED} has no bank.npz yet")
    return repository / "models"
