"""Options of every subcommand that runs the pipeline."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_pipeline_options(command: argparse.ArgumentParser) -> None:
    """Add the options that say which object folders and settings to load."""
    command.add_argument(
        "--models",
        type=Path,
        metavar="DIR",
        help="folder of object folders (default: ./models, else the installed ones)",
    )
    command.add_argument("--config", type=Path, metavar="FILE", help="settings in YAML (default: the built-in ones)")
