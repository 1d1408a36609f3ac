"""``python -m pose_node.ros.interfaces OUT``: make tf2_msgs and vision_msgs on a machine without a ROS installation."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pose_node.ros.interfaces.build import BuildError, build


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, or 1 when the packages cannot be made."""
    parser = argparse.ArgumentParser(
        prog="python -m pose_node.ros.interfaces",
        description="Make the message packages that PyPI lacks, where they are not installed. Needs g++.",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write them to, for PYTHONPATH")
    out = parser.parse_args(argv).out
    try:
        made = build(out)
    except BuildError as error:
        print(f"pose_node.ros.interfaces: {error}", file=sys.stderr)
        return 1
    print(f"{out}: made {', '.join(made)}" if made else f"{out}: nothing to make")
    return 0


if __name__ == "__main__":
    sys.exit(main())
