"""``pose_node evaluate``: its options; ``evaluation/command.py`` does the rest."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pose_node.cli.bag_options import add_bag_options
from pose_node.errors import InputError


def add_command(commands: Any) -> None:
    """Add the subcommand to the subparsers of ``pose_node``."""
    evaluate = commands.add_parser("evaluate", help="run over recordings or data sets, and write a report")
    evaluate.add_argument("sources", type=Path, nargs="*", metavar="BAG|DIR", help="bags, BOP folders or range scans")
    evaluate.add_argument(
        "--out",
        type=Path,
        metavar="RUN",
        help="folder for the results (default: the source's name + _run); with several sources a folder per source and a page "
        "with all of them (default: ./runs)",
    )
    evaluate.add_argument(
        "--track", action="store_true", help="bags: track objects from frame to frame, as the node does"
    )
    evaluate.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="number of worker processes (default: 1; with --ray one per CPU); results are the same for any number",
    )
    evaluate.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="run on a Ray cluster (local: a cluster of this machine); frames and objects are sent to it, so only this machine "
        "reads the files",
    )
    evaluate.add_argument(
        "--crops",
        choices=("mask", "box", "none"),
        default="mask",
        help="which part of a label is used as input (default: mask)",
    )
    evaluate.add_argument(
        "--incomplete-labels",
        action="store_true",
        help="some instances have no label: an estimate without a label is then not counted as a false alarm",
    )
    evaluate.add_argument(
        "--symmetries",
        choices=("declared", "depth"),
        default="declared",
        help="symmetries in errors: those that the set declares, or also those that depth cannot resolve (default: declared)",
    )
    add_bag_options(evaluate)
    evaluate.add_argument(
        "--realtime", action="store_true", help="bags: drop frames that arrive while one is processed, as the node does"
    )
    evaluate.add_argument("--compare", type=Path, nargs=2, metavar=("RUN_A", "RUN_B"), help="compare two run folders")
    evaluate.set_defaults(run=_evaluate, side="eval")


def _evaluate(options: argparse.Namespace) -> int:
    if bool(options.sources) == bool(options.compare):
        raise InputError("evaluate: found neither or both of a source and --compare, expected one of them.")
    from pose_node.evaluation.command import evaluate

    return evaluate(options)
