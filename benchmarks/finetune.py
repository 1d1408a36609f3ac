"""Does fine-tuning on rendered views alone help on real frames, which it has never seen?

    python -m benchmarks.finetune                     -> results/finetune.json
    python -m benchmarks.finetune --objects mug       these objects only: printed and not written

The shipped objects are fine-tuned in a copy of the models folder. Before and after, the labels of ``SETS`` are matched in their
true masks: the first hypothesis, without refinement. An object whose new bank is not kept has equal figures.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import data, results
from benchmarks.crops import crops
from benchmarks.set_objects import card_name, label_counts
from pose_node.config import InferConfig
from pose_node.learning.finetune import FinetuneRecipe, finetune
from pose_node.learning.held_out_figures import RIGHT_REL, Measured, measure
from pose_node.learning.observation import observed_crop
from pose_node.measurement.crop import Crop
from pose_node.network.backbone import Backbone
from pose_node.objects.bank import BANK_FILE, load_bank
from pose_node.objects.card import load_card
from pose_node.objects.folders import BACKBONE, object_folders

SETS = ("ycbv", "ycbv_demo", "ycbv_pseudo", "ycb_realsense")


def real_crops(name: str) -> list[Crop]:
    """The labels of one object in ``SETS``, in their true masks."""
    found = []
    for set_name in SETS:
        for object_id in label_counts(set_name):
            if card_name(set_name, object_id) == name:
                for crop in crops(set_name, object_id):
                    points_m = crop.cloud.points_m[np.asarray(crop.mask).ravel()[crop.cloud.source_index]]
                    found.append(Crop(points_m, crop.cloud.viewpoint_m, crop.T_label, crop.placement))
    return found


def figures_of(measured: Sequence[Measured]) -> dict[str, float]:
    """Pooled over the labels of several objects."""
    apart, best, turn = (
        np.concatenate([getattr(m, name) for m in measured]) for name in ("apart_rel", "best_rel", "turn_rad")
    )
    turn_deg = np.rad2deg(turn)
    shares = {f"below_{limit}_deg": results.share(list(turn_deg < limit)) for limit in (5, 10, 15)}
    return {
        "labels": len(apart),
        "first_right": results.share(list(apart < RIGHT_REL)),
        "any_right": results.share(list(best < RIGHT_REL)),
        **shares,
        "median_deg": float(np.median(turn_deg)),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", nargs="+", default=[], metavar="N")
    parser.add_argument("--views", type=int, default=FinetuneRecipe.views)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    before, after, rows = [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        models = Path(scratch) / "models"
        shutil.copytree(data.ROOT / "models", models)
        backbone = Backbone(models / BACKBONE, InferConfig(provider="cpu", threads=1))
        for folder in object_folders(models, options.objects):
            card = load_card(folder)
            views = [o for o in (observed_crop(c, card, backbone) for c in real_crops(card.name)) if o is not None]
            if not views:
                continue
            old = load_bank(folder / BANK_FILE)
            start = time.monotonic()
            done = finetune(folder, FinetuneRecipe(views=options.views), workers=options.workers)
            seconds = time.monotonic() - start
            banks = (old, load_bank(folder / BANK_FILE))
            pair = [measure(bank, card, backbone.temperature, views) for bank in banks]
            before.append(pair[0])
            after.append(pair[1])
            rendered = {c.name: [round(c.before, 3), round(c.after, 3)] for c in done.changes["rendered"]}
            real = [figures_of([m]) for m in pair]
            row = {"object": card.name, "kept": done.kept, "seconds": round(seconds), "reason": done.reason}
            rows.append({**row, "rendered": rendered, "real_before": real[0], "real_after": real[1]})
            print(rows[-1], flush=True)
    pooled = {when: figures_of(each) for when, each in (("before", before), ("after", after))}
    figures = {f"{when}_{key}": value for when, each in pooled.items() for key, value in each.items()}
    figures.update(objects=len(rows), kept=sum(row["kept"] for row in rows))
    figures["slowest_s"] = max(row["seconds"] for row in rows)
    for key, value in figures.items():
        print(f"{key}: {value:.4g}")
    if not options.objects and options.views == FinetuneRecipe.views:
        results.write_result("finetune", "python -m benchmarks.finetune", figures, more={"of_objects": rows})


if __name__ == "__main__":
    main()
