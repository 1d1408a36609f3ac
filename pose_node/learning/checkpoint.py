"""A training's checkpoint: written whole or not at all, and one sentence for each way in which a file is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pose_node.errors import ModelError

CHECKPOINT = "checkpoint.pt"


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint; what stood there stays until the new one is complete."""
    temporary = path.with_suffix(".tmp")
    torch.save(content, temporary)
    temporary.replace(path)


def read_checkpoint(path: Path, use: Callable[[dict[str, Any]], Any]) -> Any:
    """``use`` of the checkpoint's content; ModelError when the file is damaged, none, or its parts do not fit."""
    try:
        content = torch.load(path, weights_only=True)
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read ({error.strerror}), expected a checkpoint of `pose_node train`."
        ) from error
    except Exception as error:  # torch has its own errors for a file cut short, for pickles and for archives
        raise ModelError(
            f"{path}: is damaged or no checkpoint ({type(error).__name__}); train again with --restart."
        ) from error
    try:
        return use(content)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, IndexError) as error:
        if isinstance(error, ModelError):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"{path}: does not hold this network's training ({type(error).__name__}: {reason}); train again with --restart."
        ) from error
