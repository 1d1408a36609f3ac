"""Packs depth as RVL (A. D. Wilson, 2017): one nibble after the other, as the description has it; slow, and unlike what is tested."""

from __future__ import annotations

import struct

import numpy as np


def pack_rvl(values: np.ndarray) -> bytes:
    """Any shape of 16-bit values -> the bytes of their RVL, padded to whole words."""
    nibbles: list[int] = []

    def put(number: int) -> None:
        while True:
            rest = number >> 3
            nibbles.append((number & 7) | (8 if rest else 0))
            number = rest
            if not rest:
                return

    flat, at, before = [int(value) for value in values.ravel()], 0, 0
    while at < len(flat):
        zeros = next((i for i, value in enumerate(flat[at:]) if value), len(flat) - at)
        at += zeros
        readings = next((i for i, value in enumerate(flat[at:]) if not value), len(flat) - at)
        put(zeros)
        put(readings)
        for value in flat[at : at + readings]:
            difference, before = value - before, value
            put(2 * difference if difference >= 0 else -2 * difference - 1)
        at += readings
    nibbles += [0] * (-len(nibbles) % 8)
    words = [int("".join(f"{n:x}" for n in nibbles[i : i + 8]), 16) for i in range(0, len(nibbles), 8)]
    return struct.pack(f"<{len(words)}I", *words)
