"""Pictures of the labels that ours lost, with the stage that lost them, from a result of ``benchmarks.sets``.

    python -m benchmarks.set_failures --set apc_shelf      -> failures_apc_shelf.png in the benchmarks' cache

A row of the sheet is one label: the label's pose, our first hypothesis, and the best refined estimate, drawn over the depth.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data, results
from benchmarks.methods import hit, read_pose
from benchmarks.real import surface_of
from benchmarks.set_figures import lost_at
from benchmarks.set_objects import SETS, card_name
from pose_node.arrays import Array

PIXELS, MOST = 300, 24
_TITLE = 18


def tiles(set_name: str, method: str, folder: Path, everything: bool = False) -> list[Any]:
    """An image for each lost label, at most ``MOST``; ``everything``: for right ones as well."""
    found = {row["key"]: row for row in json.loads((folder / f"set_{set_name}.json").read_text())["masked_labels"]}
    out: list[Any] = []
    for frame in data.frames(set_name):
        seen: dict[str, int] = {}
        for label in frame.labels:
            name = card_name(set_name, label.object_id)
            instance = seen[name] = seen.get(name, -1) + 1
            row = found.get(f"{set_name}/{frame.scene}/{frame.frame:06d}/{name}/{instance}")
            if row is not None and len(out) < MOST and (everything or not hit(row[method])):
                out.append(_tile(frame, label, row["key"], row[method]))
    return out


def _tile(frame: data.Frame, label: data.Label, key: str, row: Any) -> Any:
    from PIL import Image, ImageDraw

    from pose_node import drawing

    rows, columns = np.nonzero(label.mask)
    half = 0.75 * max(np.ptp(rows), np.ptp(columns)) + 10
    box = tuple(int(round(v)) for c in (-half, half) for v in (columns.mean() + c, rows.mean() + c))
    points, normals = surface_of(data.model(frame.set_name, label.object_id))
    shown: list[tuple[str, Array | None]] = [("label", label.T_camera_object)]
    shown += [(text, T and read_pose(T)) for text, T in zip(("first hypothesis", "best estimate"), row["poses"])]
    views = []
    for text, T in shown:
        instances = [] if T is None else [drawing.Instance(text, T, points, normals)]
        views.append(drawing.draw(frame.depth_m, frame.K, instances).crop(box).resize((PIXELS, PIXELS)))
    strip = drawing.side_by_side(views)
    sheet = Image.new("RGB", (strip.width, strip.height + _TITLE))
    sheet.paste(strip, (0, _TITLE))
    errors = ", ".join(f"{stage} {row[stage]}" for stage in ("first", "proposed", "refined", "chosen"))
    text = f"{key}: {lost_at(row) or 'right'}, score {row['score']}, MSSD in d: {errors}"
    ImageDraw.Draw(sheet).text((4, 3), text, fill=(255, 255, 255))
    return sheet


def main(arguments: Sequence[str] | None = None) -> None:
    from PIL import Image

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", required=True, choices=SETS, dest="set_name")
    parser.add_argument("--method", default="ours")
    parser.add_argument("--everything", action="store_true", help="right answers as well")
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    found = tiles(options.set_name, options.method, options.results, options.everything)
    if not found:
        print("nothing was lost")
        return
    width, height = found[0].size
    across = 2 if len(found) > 1 else 1
    page = Image.new("RGB", (across * (width + 6), -(-len(found) // across) * (height + 6)), (40, 40, 40))
    for i, tile in enumerate(found):
        page.paste(tile, (i % across * (width + 6), i // across * (height + 6)))
    path = data.cache_folder() / f"failures_{options.set_name}.png"
    page.save(path)
    print(path)


if __name__ == "__main__":
    main()
