"""``pose_node view``: its options; ``viewing/command.py`` does the rest."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pose_node.cli.bag_options import add_bag_options


def add_command(commands: Any) -> None:
    """Add the subcommand to the subparsers of ``pose_node``."""
    view = commands.add_parser("view", help="show a recording, or a running node, in the Rerun viewer")
    view.add_argument("bag", type=Path, nargs="?", metavar="BAG", help="recording; its objects are tracked")
    view.add_argument("--live", action="store_true", help="show a running node instead, until Ctrl-C")
    view.add_argument(
        "--node",
        default="/pose_node",
        metavar="NAME",
        help="the running node, with its namespace (default: /pose_node)",
    )
    view.add_argument(
        "--save", type=Path, metavar="FILE.rrd", help="write a file for the viewer instead of starting it"
    )
    add_bag_options(view)
    view.set_defaults(run=_view, side="view")


def _view(options: argparse.Namespace) -> int:
    from pose_node.viewing.command import view

    return view(options)
