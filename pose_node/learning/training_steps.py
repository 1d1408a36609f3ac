"""What all trainings share: the learning rate over the steps, and one thread beside the processes that render."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def schedule(step: int, steps: int, warm_up: int) -> float:
    """Share of the learning rate: linear warm-up, then cosine decay to one hundredth."""
    if step < warm_up:
        return (step + 1) / warm_up
    done = (step - warm_up) / max(1, steps - warm_up)
    return 0.01 + 0.99 * 0.5 * (1.0 + float(np.cos(np.pi * done)))


@contextmanager
def one_thread() -> Iterator[None]:
    """Limits torch to one thread, since other cores render; restores the number of threads afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
