"""RVL, lossless compression of 16-bit depth: A. D. Wilson, "Fast Lossless Depth Image Compression", ISS 2017.

A depth image is alternating runs of zeros and of readings. Each number (a run's length, or the difference of a reading to the
one before it, its sign in the lowest bit) is a sequence of nibbles: three bits of it, the lowest first, and a bit that says
whether more follow. Nibbles fill 32-bit words from the highest on. All numbers are decoded at once by numpy; Python loops over
the runs only. By hand, as neither Pillow nor OpenCV has a decoder.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MAX_NIBBLES = 11  # of a number of 32 bits


def unpack_rvl(data: bytes, count: int) -> NDArray[np.uint16]:
    """``count`` depth values. Raises ValueError where the data have fewer or more of them."""
    numbers = _numbers(data)
    values = np.zeros(count, np.uint16)
    filled, differences = [], []
    pixel = at = 0
    while pixel < count:
        if at + 2 > len(numbers):
            raise ValueError(f"{pixel} of {count} pixels")
        zeros, readings = int(numbers[at]), int(numbers[at + 1])
        start, at = pixel + zeros, at + 2
        pixel = start + readings
        if pixel > count or at + readings > len(numbers):
            raise ValueError(f"runs of {zeros} and {readings} pixels, which are too long")
        if zeros == readings == 0:
            raise ValueError("an empty run")
        filled.append(slice(start, pixel))
        differences.append(numbers[at : at + readings])
        at += readings
    signed = np.concatenate([np.zeros(0, np.int64), *differences])
    readings_in_order = np.cumsum((signed >> 1) ^ -(signed & 1)).astype(np.uint16)
    taken = 0
    for run in filled:
        values[run] = readings_in_order[taken : taken + run.stop - run.start]
        taken += run.stop - run.start
    return values


def _numbers(data: bytes) -> NDArray[np.int64]:
    """All numbers, including those that the last word's padding decodes to."""
    words = np.frombuffer(data, "<u4", len(data) // 4)
    nibbles = (words[:, None] >> np.arange(28, -1, -4, dtype=np.uint32)).ravel().astype(np.int64) & 0xF
    ends = np.flatnonzero(nibbles < 8)
    if not len(ends):
        return np.zeros(0, np.int64)
    starts = np.concatenate([[0], ends[:-1] + 1])
    nibbles = nibbles[: ends[-1] + 1]
    places = np.arange(len(nibbles)) - np.repeat(starts, ends - starts + 1)
    if places.max() >= _MAX_NIBBLES:
        raise ValueError("a number of more than 32 bits")
    numbers: NDArray[np.int64] = np.add.reduceat((nibbles & 7) << 3 * places, starts)
    return numbers
