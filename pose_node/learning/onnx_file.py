"""Torch networks as ONNX files."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

OPSET = 17


def write_onnx(
    network: torch.nn.Module,
    example: tuple[torch.Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
    path: Path,
) -> None:
    """Trace ``network`` with ``example`` inputs; axes: {input or output: {dimension that may vary: its name}}."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns that the exporter is deprecated
        torch.onnx.export(
            network,
            example,
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: dict(dimensions) for name, dimensions in axes.items()},
            opset_version=OPSET,
            dynamo=False,
        )
