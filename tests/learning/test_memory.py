"""Freed memory is kept: the same large array is placed again where it was."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.learning


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_large_blocks_are_reused():
    code = (
        "import resource, numpy as np\n"
        "from pose_node.learning.memory import keep_freed_memory\n"
        "keep_freed_memory()\n"
        "np.ones(8_000_000); before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(20): np.ones(8_000_000)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 20_000  # pages of all 20 arrays: 312,500 without
