"""``pose_node finetune``: its options, and the table that it prints."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pose_node.cli.exit_codes import DONE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pose_node.learning.finetune import Finetuned


def add_command(commands: Any) -> None:
    """Add the subcommand to the subparsers of ``pose_node``."""
    finetune = commands.add_parser(
        "finetune", help="adapt an object's bank to rendered views and a recording; kept only if held-out views gain"
    )
    finetune.add_argument("folder", type=Path, metavar="models/N")
    recorded = finetune.add_mutually_exclusive_group()
    recorded.add_argument(
        "--bag",
        type=Path,
        metavar="FILE",
        help="a recording of the object, with labels, else learned from by its confident tracks",
    )
    recorded.add_argument("--bop", type=Path, metavar="DIR", help="a BOP data set with labels and masks of the object")
    finetune.add_argument("--views", type=int, metavar="V", help="number of rendered views to learn from")
    finetune.add_argument("--seed", type=int, metavar="SEED", help="of the views and of learning")
    finetune.add_argument("--workers", type=int, metavar="P", help="number of rendering processes (default: 2)")
    finetune.set_defaults(run=_finetune, side="learn")


def _finetune(options: argparse.Namespace) -> int:
    from pose_node.learning.finetune import FinetuneRecipe, finetune

    given = {name: getattr(options, name) for name in ("views", "seed") if getattr(options, name) is not None}
    workers = {} if options.workers is None else {"workers": options.workers}
    recipe, crops, recording = FinetuneRecipe(**given), [], ""
    if options.bag is not None or options.bop is not None:
        from pose_node.evaluation.runs.recorded_crops import bag_crops, bop_crops

        options.side = "learn,eval"  # what a missing package would need
        read, source = (bag_crops, options.bag) if options.bag is not None else (bop_crops, options.bop)
        crops, recording = read(source, options.folder), source.resolve().name
    done = finetune(options.folder, recipe, crops, recording, **workers)
    for line in table(done):
        print(line)
    print(f"{options.folder}: {done.reason}" + ("." if done.kept else "; the folder is as it was."))
    return DONE


def table(done: Finetuned) -> Iterator[str]:
    """The held-out figures before and after, in lines of text."""
    for kind, changes in done.changes.items():
        yield f"{f'{kind}, {done.counts[kind]} held-out views':<40}{'before':>9}{'after':>9}{'change':>9}{'+-':>7}"
        for change in changes:
            noise = "" if change.noise is None else f"{change.noise:.3f}"
            figures = f"{change.before:9.3f}{change.after:9.3f}{change.after - change.before:+9.3f}{noise:>7}"
            yield f"{change.name:<40}{figures}{'  *' if change.decides else ''}"
    yield "*: decides; +-: 95 % interval of the paired change"
