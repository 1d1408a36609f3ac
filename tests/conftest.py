"""Fixtures that all tests share. Real recordings are optional: what needs them says so and is skipped without."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# Examples are the same in every run; no deadline, as the first call of a function may load a library.
settings.register_profile("pose_node", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("pose_node")

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode leaves helpers beside the tests unfound
pytest_plugins = ["block"]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder that holds setup.py."""
    return REPOSITORY


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real recordings with labels: $POSE_NODE_DATA, else ../shared/data beside the repository."""
    named = os.environ.get("POSE_NODE_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        where = "POSE_NODE_DATA" if named else "POSE_NODE_DATA is not set, and ../shared/data"
        pytest.skip(f"no recordings: {where} is no folder")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same in every run."""
    return np.random.default_rng(0)
