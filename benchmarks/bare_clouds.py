"""Recall on point clouds without a pixel grid, cropped tightly and loosely, without a mask.

    python -m benchmarks.bare_clouds           -> results/bare_clouds.json

Labels: the first two in ``ycbv`` and in ``ycbv_demo`` of each object with a shipped network (frames of one scene show one
placement). Conditions, all as bare clouds without a mask unless stated:

- object: the object's points. object_tenth: every tenth of them. masked: the object's points with an all-true mask.
- box_1_2, box_1_5, box_2_0: the points in a box of so many times the object's size.
- window: a pixel window with a margin of half the object's size, all depths. frame: the whole frame.
- depth_*: the same points as a depth image in which all other pixels are empty.

NAME is the recall of MSSD-depth at 10 % of the diameter (``benchmarks.real``) by the best estimate. NAME_answered is the share
with any estimate. NAME_minus_REFERENCE is the paired difference with its interval over placements.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import pose_node
from benchmarks import data, results, rows
from benchmarks.crops import Crop, crops
from benchmarks.methods import error_row, hit
from pose_node.evaluation.figures.paired_differences import mean_difference
from pose_node.geometry.se3 import apply, invert
from pose_node.measurement.cloud import Cloud
from pose_node.objects.card import load_card

SETS = ("ycbv", "ycbv_demo")
BOXES = {"box_1_2": 1.2, "box_1_5": 1.5, "box_2_0": 2.0}
CONDITIONS = ("masked", "object", "object_tenth", *BOXES, "window", "frame")
CONDITIONS += ("depth_object", "depth_box_1_5", "depth_window", "depth_frame")
PAIRS = (
    ("object", "masked"),
    ("object", "depth_object"),
    ("box_1_5", "depth_box_1_5"),
    ("window", "depth_window"),
    ("frame", "depth_frame"),
)
LABELS = 2  # of each object and set
WINDOW_MARGIN = 0.5  # of the mask's larger side, to each side


def cut_out(crop: Crop, cut: str) -> Any:
    """Rows [M] of the crop's cloud inside a cut-out."""
    cloud = crop.cloud
    mine = crop.mask.ravel()[cloud.source_index]
    if cut == "frame":
        return np.arange(len(cloud))
    if cut == "window":
        row, column = np.divmod(cloud.source_index, cloud.shape[1])
        inside = np.ones(len(cloud), dtype=bool)
        margin = WINDOW_MARGIN * max(np.ptp(row[mine]), np.ptp(column[mine]))
        for place in (row, column):
            inside &= (place >= place[mine].min() - margin) & (place <= place[mine].max() + margin)
        return np.flatnonzero(inside)
    if cut in BOXES:
        low, high = crop.model.vertices_m.min(axis=0), crop.model.vertices_m.max(axis=0)
        centre, half = 0.5 * (low + high), 0.5 * BOXES[cut] * (high - low)
        return np.flatnonzero((np.abs(apply(invert(crop.T_label), cloud.points_m) - centre) <= half).all(axis=1))
    return np.flatnonzero(mine)[:: 10 if cut == "object_tenth" else 1]


def given(crop: Crop, condition: str) -> tuple[Cloud, dict[str, Any] | None]:
    """What ``Pipeline.estimate`` gets: a cloud, and masks or None."""
    cut = condition.removeprefix("depth_")
    inside = cut_out(crop, "object" if cut == "masked" else cut)
    if condition.startswith("depth_"):
        assert crop.cloud.K is not None
        depth_m = np.zeros(crop.cloud.shape)
        depth_m.ravel()[crop.cloud.source_index[inside]] = crop.cloud.points_m[inside, 2]
        cloud = Cloud.from_depth(depth_m, crop.cloud.K)
    else:
        cloud = Cloud.from_points(crop.cloud.points_m[inside])
    return cloud, {crop.name: [np.ones(cloud.shape, dtype=bool)]} if cut == "masked" else None


def crop_row(pipeline: Any, crop: Crop, conditions: Sequence[str]) -> rows.Row:
    """Errors of the best estimate in each condition, and what was done without one."""
    out: rows.Row = {"object": crop.name, "placement": crop.placement}
    for condition in conditions:
        cloud, masks = given(crop, condition)
        result = pipeline.estimate(cloud, masks=masks)
        best = result.estimates[0] if result.estimates else None
        T = None if best is None else best.T_camera_object
        ms = 1000.0 * sum(result.stage_s.values())
        out[condition] = {**error_row(crop, T, ms), "points": len(cloud), "score": best.score if best else None}
    return out


def figures_of(found: Sequence[rows.Row]) -> dict[str, float]:
    """Recall in each condition, and of each bare cut-out against the depth image of the same points."""
    places = [row["placement"] for row in found]
    figures: dict[str, float] = {"labels": len(found), "placements": len(set(places))}
    for condition in CONDITIONS:
        each = [row[condition] for row in found]
        figures[condition] = results.share([hit(e) for e in each])
        figures[f"{condition}_answered"] = results.share([e["mssd"] is not None for e in each])
        figures[f"{condition}_points_p50"] = results.percentile([e["points"] for e in each], 50)
        figures[f"{condition}_ms_p50"] = results.percentile([e["ms"] for e in each], 50)
    for mine, reference in PAIRS:
        pair = [[hit(row[condition]) for row in found] for condition in (reference, mine)]
        difference = mean_difference(*pair, places)
        name = f"{mine}_minus_{reference}"
        figures[name] = difference.b - difference.a
        figures[f"{name}_low"], figures[f"{name}_high"] = difference.low, difference.high
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=data.ROOT / "models")
    parser.add_argument("--labels", type=int, default=LABELS, metavar="N", help="of each object and set")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--output", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    found: list[rows.Row] = []
    for folder in sorted(path.parent for path in options.models.glob("*/bank.npz")):
        keys = [key for set_name in SETS for key in _keys(set_name, folder.name)[: options.labels]]
        name = f"bare_clouds/{folder.name}-{rows.fingerprint([folder], None, code=[Path(__file__)])}"
        found += rows.measure(name, keys, _one, _prepare_worker, (folder,), options.jobs)
    figures = figures_of(found)
    for key, value in figures.items():
        print(f"{key}: {value:.4g}")
    if options.labels == LABELS:
        results.write_result("bare_clouds", "python -m benchmarks.bare_clouds", figures, options.output)
    else:
        print("a partial run: nothing written")


def _keys(set_name: str, name: str) -> list[str]:
    return [
        crop.key
        for object_id, own in data.names(set_name).items()
        if own == name
        for crop in crops(set_name, object_id)
    ]


_worker: dict[str, Any] = {}


def _prepare_worker(folder: Path) -> None:
    name = load_card(folder).name
    every = [
        crop
        for set_name in SETS
        for object_id, own in data.names(set_name).items()
        if own == name
        for crop in crops(set_name, object_id)
    ]
    _worker.update(pipeline=pose_node.Pipeline.load([folder]), crops={crop.key: crop for crop in every})


def _one(key: str) -> rows.Row:
    return crop_row(_worker["pipeline"], _worker["crops"][key], CONDITIONS)


if __name__ == "__main__":
    main()
