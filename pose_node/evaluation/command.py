"""What ``pose_node evaluate`` does with its options: a labelled folder, a bag, or two runs to compare."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pose_node.evaluation.records import RUN
from pose_node.evaluation.run import evaluate_folder
from pose_node.evaluation.summarise import describe

DONE, NOTHING_FOUND = 0, 3
_BAG = "metadata.yaml"  # what makes a folder a ROS 2 bag


def evaluate(options: argparse.Namespace) -> int:
    """Run, write the run folder, and print the figures; returns the exit code."""
    source: Path = options.source
    out = options.out or Path(f"{source.resolve().name}_run")
    summary = evaluate_folder(source, out, options.crops, options.models or "", options.config, options.objects)
    print("\n".join(describe(summary)))
    print("\n".join(f"note: {note}" for note in json.loads((out / RUN).read_text())["notes"]))
    print(f"written: {out}")
    return DONE
