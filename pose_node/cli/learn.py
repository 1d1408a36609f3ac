"""``pose_node add-object``, ``train`` and ``export``: from a mesh to a network; ``train-scorer``: the network that judges poses."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pose_node.cli.exit_codes import DONE
from pose_node.errors import CardError
from pose_node.objects.folders import SHARED


def add_commands(commands: Any) -> None:
    """Add the subcommands to the subparsers of ``pose_node``."""
    add = commands.add_parser("add-object", help="make an object folder from a mesh, or renew object folders")
    add.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="MESH|models/N",
        help="a mesh (PLY, OBJ, STL, OFF, GLB, GLTF or 3MF), or folders whose bank another backbone made",
    )
    add.add_argument("--name", metavar="N", help="the new object's: lower-case words joined by '_'")
    add.add_argument(
        "--units", choices=("m", "mm", "cm", "in"), help="unit of the mesh (default: the one that the file states)"
    )
    add.add_argument("--bop-id", type=int, metavar="K", help="the object's number in a BOP data set")
    add.add_argument(
        "--symmetry",
        default="auto",
        metavar="auto|none|FILE",
        help="find the symmetry, declare none, or read a YAML file (default: auto)",
    )
    add.add_argument(
        "--models",
        type=Path,
        default=Path("models"),
        metavar="DIR",
        help="where to create the folder (default: ./models)",
    )
    add.add_argument("--force", action="store_true", help="replace an existing object")
    add.set_defaults(run=_add_object, side="learn")

    backbone = commands.add_parser(
        "train-backbone",
        help="train the network that all objects share; resumes an interrupted run (torchrun: many machines)",
    )
    backbone.add_argument("folder", type=Path, metavar="models/backbone")
    backbone.add_argument("--samples", type=int, metavar="S", help="number of samples, of four rendered views each")
    backbone.add_argument(
        "--shapes", type=int, metavar="K", help="number of procedural shapes that samples are drawn from"
    )
    backbone.add_argument("--batch", type=int, metavar="B", help="samples in a step, over all processes together")
    backbone.add_argument("--meshes", type=Path, metavar="DIR", help="PLY files in millimetres to learn as well")
    backbone.add_argument("--seed", type=int, metavar="SEED", help="of the views and the initial weights")
    backbone.add_argument("--workers", type=int, metavar="P", help="number of rendering processes for each that learns")
    backbone.add_argument("--device", default="cpu", metavar="cpu|cuda", help="where to learn (default: cpu)")
    backbone.add_argument("--restart", action="store_true", help="start over instead of resuming")
    backbone.set_defaults(run=_train_backbone, side="learn")

    scorer = commands.add_parser(
        "train-scorer", help="train the scorer of all objects on rendered scenes; resumes an interrupted run"
    )
    scorer.add_argument("folder", type=Path, metavar="models/scorer")
    scorer.add_argument(
        "--meshes",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="further meshes, in mm (default: shapes alone)",
    )
    for name, what in (
        ("scenes", "rendered to train"),
        ("steps", "of the optimizer"),
        ("seed", "of scenes and weights"),
    ):
        scorer.add_argument(f"--{name}", type=int, metavar=name[0].upper(), help=what)
    scorer.add_argument(
        "--restart", action="store_true", help="start over instead of resuming; rendered scenes are kept"
    )
    scorer.set_defaults(run=_train_scorer, side="learn")


def _add_object(options: argparse.Namespace) -> int:
    from pose_node.learning.onboard import PICTURE_FILE, add_object
    from pose_node.learning.similarity_text import confusion_texts, symmetry_texts

    folders = [path for path in options.paths if path.is_dir()]
    if folders:
        return _renew(folders)
    if len(options.paths) > 1 or options.name is None:
        raise CardError(
            f"add-object: found {len(options.paths)} files and the name {options.name!r}, expected one mesh with --name N."
        )
    done = add_object(
        options.paths[0], options.name, options.models, options.units, options.bop_id, options.symmetry, options.force
    )
    card, similarity = done.card, done.similarity
    for note in done.notes:
        print(f"note: {note}")
    print(f"{card.folder}: diameter {1000 * card.diameter_m:.1f} mm")
    print(f"  symmetry: {'; '.join(symmetry_texts(similarity)) or 'none'}")
    print(f"  may be confused with: {'; '.join(confusion_texts(similarity)) or 'nothing found'}")
    print(f"  ready to use; look at {card.folder / PICTURE_FILE} for a wrong axis, size or symmetry")
    return DONE


def _renew(folders: Sequence[Path]) -> int:
    from pose_node.learning.onboard import renew

    for folder in folders:
        if folder.name in SHARED:  # models/* includes them
            continue
        notes = renew(folder)
        print(f"{folder}: renewed" + "".join(f"; {note}" for note in notes), flush=True)
    return DONE


def _train_backbone(options: argparse.Namespace) -> int:
    from pose_node.learning.export_backbone import export_backbone
    from pose_node.learning.train_backbone import BackboneRecipe, is_first_process, train_backbone

    names = ("samples", "shapes", "batch", "seed")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    workers = {} if options.workers is None else {"workers": options.workers}
    train_backbone(
        options.folder,
        BackboneRecipe(**given),
        options.meshes,
        resume=not options.restart,
        device=options.device,
        **workers,
    )
    if is_first_process():
        print(f"written: {export_backbone(options.folder)}")
    return DONE


def _train_scorer(options: argparse.Namespace) -> int:
    from pose_node.learning.train_scorer import Recipe, train_scorer

    given = {n: getattr(options, n) for n in ("scenes", "steps", "seed") if getattr(options, n) is not None}
    print(f"written: {train_scorer(options.folder, Recipe(**given), options.meshes, resume=not options.restart)}")
    return DONE
