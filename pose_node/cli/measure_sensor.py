"""``pose_node measure-sensor``: its options; ``evaluation/runs/sensor_run.py`` does the rest."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pose_node.cli.exit_codes import DONE


def add_command(commands: Any) -> None:
    """Add the subcommand to the subparsers of ``pose_node``."""
    measure = commands.add_parser(
        "measure-sensor", help="fit the settings of the stage sensor to a recording of a bare wall or table"
    )
    measure.add_argument("source", type=Path, metavar="BAG|DIR", help="bag, or folder in BOP's layout")
    measure.add_argument(
        "--topics",
        nargs="+",
        default=[],
        metavar="ROLE=TOPIC",
        help="bags: topics of depth and info, where their types leave a choice",
    )
    measure.add_argument(
        "--depth-scale",
        type=float,
        metavar="S",
        help="bags: millimetres per count of 16UC1, or per 1.0 of 32FC1 (default: 1, and metres)",
    )
    measure.set_defaults(run=_measure_sensor, side="eval")


def _measure_sensor(options: argparse.Namespace) -> int:
    from pose_node.evaluation.options import topics_of
    from pose_node.evaluation.runs.sensor_run import as_yaml, measure_sensor

    print(as_yaml(measure_sensor(options.source, topics_of(options), options.depth_scale), options.source.name), end="")
    return DONE
