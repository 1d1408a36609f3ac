"""Handing freed memory back to the system."""

from __future__ import annotations

import ctypes
import gc


def release() -> None:
    """Collect reference cycles, and hand the allocator's free pages back where it can be asked to (glibc).

    Without this a node that is configured again and again grows: a new network does not fit into the gaps of the last.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
