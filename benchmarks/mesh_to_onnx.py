"""The time from a mesh to an exported network: add-object, train and export, as the command line runs them.

    python -m benchmarks.mesh_to_onnx                       one object with the default recipe -> results/mesh_to_onnx.json
    python -m benchmarks.mesh_to_onnx --object mug --views 2000      a partial run, printed and not written

It works in a temporary folder. ``card_minutes_*`` are the training minutes on the shipped cards. Accuracy of the shipped
networks: rendered.json and real.json.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import data, results
from benchmarks.peers import OBJECTS
from pose_node.objects.card import load_card


def main(arguments: Sequence[str] | None = None) -> None:
    from pose_node.learning.export import export
    from pose_node.learning.onboard import add_object
    from pose_node.learning.train import Recipe, train

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=data.ROOT / "models")
    parser.add_argument("--object", default="mustard_bottle")
    parser.add_argument("--views", type=int, default=None, help="fewer views than the recipe's, for a partial run")
    parser.add_argument("--output", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    recipe = Recipe() if options.views is None else replace(Recipe(), views=options.views)
    figures: dict[str, float] = {"views": recipe.views}
    with tempfile.TemporaryDirectory(dir=data.cache_folder()) as scratch:
        start = time.perf_counter()
        add_object(options.models / options.object / "mesh.ply", options.object, scratch, units="m")
        folder = Path(scratch) / options.object
        onboarded = time.perf_counter()
        train(folder, recipe)
        trained = time.perf_counter()
        export(folder)
        exported = time.perf_counter()
        figures["onnx_mb"] = (folder / "pose.onnx").stat().st_size / 1e6
    figures["add_object_s"] = onboarded - start
    figures["train_minutes"] = (trained - onboarded) / 60.0
    figures["export_s"] = exported - trained
    figures["mesh_to_onnx_minutes"] = (exported - start) / 60.0
    for name in OBJECTS:
        minutes = load_card(options.models / name).training.get("minutes")
        if minutes is not None:
            figures[f"card_minutes_{name}"] = float(minutes)
    for key, value in figures.items():
        print(f"{key}: {value:.4g}")
    if options.views is None:
        results.write_result(
            "mesh_to_onnx", f"python -m benchmarks.mesh_to_onnx --object {options.object}", figures, options.output
        )
    else:
        print("fewer views than the recipe's: nothing written")


if __name__ == "__main__":
    main()
