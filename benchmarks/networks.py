"""Networks for the sets whose meshes are not shipped: add-object, train and export, as the command line runs them.

    python -m benchmarks.networks                     -> $POSE_NODE_NETWORKS/<set>/<object>/ (set_objects.py), 10 minutes each
    python -m benchmarks.networks --sets icbin        these sets only
    python -m benchmarks.networks --views 2000        less training

A stopped run resumes; finished networks are kept. All objects of a set are added before the first is trained, because each is
clutter for the others, with procedural shapes. Labelled objects without a network are listed at the end.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import data
from benchmarks.set_objects import SETS, card_name, label_counts, networks_folder
from pose_node.objects.card import CARD_FILE, load_card

WANTED = {
    "icbin": (1, 2),
    "apc_shelf": (1,),
    "visp_cube": (1,),
    "m3t_bottle": (1,),
    "moveit_can": (1,),
    "pcl_milk": (1,),
    "mosd_primitives": (1, 2, 4, 6, 7, 9),
}


def make(set_name: str, views: int | None = None) -> list[Path]:
    """The object folders of one set, each with its exported network."""
    from pose_node.learning.export import export
    from pose_node.learning.onboard import add_object
    from pose_node.learning.train import Recipe, train

    home = networks_folder() / set_name
    recipe = Recipe() if views is None else replace(Recipe(), views=views)
    for object_id in WANTED[set_name]:
        name = card_name(set_name, object_id)
        if not (home / name / CARD_FILE).exists():
            path = data.data_folder() / set_name / "models" / f"obj_{object_id:06d}.ply"
            for note in add_object(path, name, home, units="mm", bop_id=object_id).notes:
                print(f"{set_name}/{name}: {note}", flush=True)
    folders = [home / card_name(set_name, object_id) for object_id in WANTED[set_name]]
    for folder in folders:
        card = load_card(folder)
        if card.network is None or card.training.get("views") != recipe.views:
            train(folder, recipe)
            export(folder)
        print(f"{set_name}/{folder.name}: ready", flush=True)
    return folders


def left_out() -> list[str]:
    """Labelled objects that get no network here, a line a set; those of the ycb sets have theirs in ``models/``."""
    lines = []
    for set_name in SETS:
        counts = label_counts(set_name)
        without = [i for i in counts if i not in WANTED.get(set_name, ())]
        if without and not set_name.startswith("ycb"):
            lines.append(f"{set_name}: " + ", ".join(f"{card_name(set_name, i)} ({counts[i]} labels)" for i in without))
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=list(WANTED), choices=list(WANTED))
    parser.add_argument("--views", type=int, default=None, help="fewer views than the recipe's")
    options = parser.parse_args(arguments)
    for set_name in options.sets:
        make(set_name, options.views)
    print("without a network:", *left_out(), sep="\n  ")


if __name__ == "__main__":
    main()
