"""The command ``pose_node``: one file for the options of each subcommand and what it prints.

Packages beyond the core's are imported inside the subcommands, so that the robot side runs without the learning side and the
other way round.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pose_node import __version__
from pose_node.cli.estimate import add_command as add_estimate
from pose_node.cli.evaluate import add_command as add_evaluate
from pose_node.cli.exit_codes import BAD_INPUT, INTERRUPTED, READER_LEFT
from pose_node.cli.finetune import add_command as add_finetune
from pose_node.cli.learn import add_commands as add_learning
from pose_node.cli.measure_sensor import add_command as add_measure_sensor
from pose_node.cli.view import add_command as add_view
from pose_node.errors import PoseNodeError

# Commands of earlier versions, and what to do instead.
_REPLACED = {
    "train": "objects need no network of their own: `pose_node add-object` makes a usable one, `pose_node finetune` improves it.",
    "export": "objects need no network of their own: `pose_node add-object models/N` renews a folder of an earlier version.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code; a reader of the output that ends early (``| head``) ends it silently."""
    try:
        try:
            return _run(argv)
        finally:  # also after --help, which raises SystemExit
            sys.stdout.flush()
    except BrokenPipeError:
        # the rest of the buffer would raise again when Python closes the stream
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_LEFT


def _run(argv: Sequence[str] | None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    # ros2 run and ros2 launch start lib/pose_node/pose_node without a subcommand.
    by_ros = argv is None and not arguments and Path(sys.argv[0]).parent.name == "pose_node"
    if by_ros or ("--ros-args" in arguments and arguments[0] != "node"):
        arguments.insert(0, "node")
    if arguments[:1] == ["node"]:
        return _node(arguments[1:])
    if arguments[:1] and arguments[0] in _REPLACED:
        print(f"pose_node: {arguments[0]}: {_REPLACED[arguments[0]]}", file=sys.stderr)
        return BAD_INPUT
    options = parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        return code
    except PoseNodeError as error:
        print(f"pose_node: {error}", file=sys.stderr)
        return BAD_INPUT
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("pose_node"):
            raise
        extra = f"pip install 'pose_node[{options.side}]'" if options.side else "pip install pose_node"
        print(
            f"pose_node: {options.command} needs the package {error.name!r}, which is not installed: {extra}.",
            file=sys.stderr,
        )
        return BAD_INPUT
    except KeyboardInterrupt:
        print("pose_node: stopped.", file=sys.stderr)
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """The command line, as ``pose_node --help`` shows it."""
    top = argparse.ArgumentParser(prog="pose_node", description="Depth-only 6D object pose: from a mesh to poses.")
    top.add_argument("--version", action="version", version=f"pose_node {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (add_estimate, add_learning, add_finetune, add_evaluate, add_measure_sensor, add_view):
        add(commands)
    commands.add_parser("node", help="run the ROS 2 node (takes --ros-args)")
    return top


def _node(arguments: Sequence[str]) -> int:
    try:
        from pose_node.ros.node import main as node_main
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("pose_node"):
            raise
        print(
            f"pose_node: node needs ROS 2 ({error.name!r} is not installed): source its setup file, or install pose_node[ros].",
            file=sys.stderr,
        )
        return BAD_INPUT
    code: int = node_main(arguments)
    return code
