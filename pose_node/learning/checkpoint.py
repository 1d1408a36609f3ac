"""Checkpoints of a training: written atomically; an invalid file is refused with its reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pose_node.errors import ModelError

CHECKPOINT = "checkpoint.pt"


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint; an existing one is replaced when the new one is complete."""
    temporary = path.with_suffix(".tmp")
    torch.save(content, temporary)
    temporary.replace(path)


def read_checkpoint(path: Path, use: Callable[[dict[str, Any]], Any]) -> Any:
    """``use(content)`` of a checkpoint. Raises ModelError when the file is damaged, no checkpoint, or of another network."""
    try:
        content = torch.load(path, weights_only=True)
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read ({error.strerror}), expected a checkpoint of `pose_node train-backbone` or `train-scorer`."
        ) from error
    except Exception as error:  # torch raises errors of many types for truncated files, pickles and archives
        raise ModelError(
            f"{path}: damaged or not a checkpoint ({type(error).__name__}); train again with --restart."
        ) from error
    try:
        return use(content)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, IndexError) as error:
        if isinstance(error, ModelError):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"{path}: not a checkpoint of this network ({type(error).__name__}: {reason}); train again with --restart."
        ) from error
