"""The object of these tests."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def cards(block):
    return {"block": block.card}
