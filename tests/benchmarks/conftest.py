"""The benchmarks are tested on small sources; those that write them stand beside the tests of the evaluation side."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "evaluation")]
