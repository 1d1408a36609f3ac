"""Options that ``pose_node evaluate`` and ``pose_node view`` share."""

from __future__ import annotations

import argparse

from pose_node.cli.pipeline_options import add_pipeline_options


def add_bag_options(command: argparse.ArgumentParser) -> None:
    """Add the options that select the objects, and how a recording is read."""
    command.add_argument(
        "--objects", nargs="+", default=[], metavar="N", help="objects to look for (default: all in the models folder)"
    )
    add_pipeline_options(command)
    command.add_argument(
        "--topics",
        nargs="+",
        default=[],
        metavar="ROLE=TOPIC",
        help="bags: topics of depth, info, points or mask, where their types leave a choice",
    )
    command.add_argument("--labels", nargs="+", default=[], metavar="VALUE=N", help="bags: the objects of mask values")
    command.add_argument(
        "--depth-scale",
        type=float,
        metavar="S",
        help="bags: millimetres per count of 16UC1, or per 1.0 of 32FC1 (default: 1, and metres)",
    )
    command.add_argument(
        "--fixed-frame",
        metavar="FRAME",
        help="bags: frame of the camera poses (default: the root of the camera's /tf tree)",
    )
    command.add_argument(
        "--viewpoint-frame",
        metavar="FRAME",
        help="bags: frame whose origin is the sensor, for point clouds transformed to another frame (default: their own frame)",
    )
