"""Giving memory back to the system."""

from __future__ import annotations

import ctypes
import gc


def give_back() -> None:
    """Free what only circles of references keep, and hand the allocator's free pages back where it can be asked to (glibc).

    Networks of objects are large, and loaded again they would not fit into the holes that the ones before have left.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
