"""Helpers beside the tests, which pytest's importlib mode would leave unfound."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
