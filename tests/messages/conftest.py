"""Lets the tests import the helpers in this folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode does not find them otherwise
