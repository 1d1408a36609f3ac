"""``python -m pose_node`` is the command ``pose_node``."""

import sys

from pose_node.cli import main

if __name__ == "__main__":
    sys.exit(main())
