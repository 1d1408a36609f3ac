"""A sheet of the procedural shapes: one of each training kind, then one of each held-out kind.

python -m benchmarks.training_shapes                     -> docs/training_shapes.png
python -m benchmarks.training_shapes --each 9 --output F  nine of each training kind, to look for broken ones
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from benchmarks import data
from pose_node.learning import shapes
from pose_node.learning.mesh_building import Shape
from pose_node.learning.shading import picture_axes, shade

PICTURE = data.ROOT / "docs" / "training_shapes.png"
COLUMNS, PIXELS, LABEL = 10, 92, 12  # cells a row, and a cell's picture and text
_SIDE = (0.75, -1.0, 0.7)
_GREYS = 24


def cell(shape: Shape, text: str) -> Image.Image:
    """One shape, shaded, with its text below."""
    project, forward = picture_axes(np.array(_SIDE))
    reach = 1.04 * float(np.abs(shape.vertices_m @ project.T).max())
    grey = shade(shape.vertices_m, shape.faces, project, forward, (-reach, reach, -reach, reach), 2 * PIXELS)
    grey = grey.reshape(PIXELS, 2, PIXELS, 2).mean(axis=(1, 3))
    made = Image.new("L", (PIXELS, PIXELS + LABEL), 255)
    made.paste(Image.fromarray((255 * grey).astype(np.uint8)), (0, 0))
    ImageDraw.Draw(made).text((PIXELS / 2, PIXELS), text, fill=60, anchor="ma", font_size=10)
    return made


def sheet(cells: Sequence[Image.Image], columns: int = COLUMNS) -> Image.Image:
    """Cells in rows."""
    width, height = cells[0].size
    made = Image.new("L", (columns * width, -(-len(cells) // columns) * height), 255)
    for i, one in enumerate(cells):
        made.paste(one, (i % columns * width, i // columns * height))
    return made.quantize(_GREYS)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=1, help="shapes of each training kind (default 1)")
    parser.add_argument("--output", type=Path, default=PICTURE)
    options = parser.parse_args(arguments)
    kinds, cells = len(shapes.TRAINING_KINDS), []
    for at, name in enumerate(shapes.TRAINING_KINDS):
        for turn in range(options.each):
            # One of each kind: some with details and some without.
            seed = at + kinds * (turn if options.each > 1 else at % 3)
            cells.append(cell(shapes.training(seed), name if options.each == 1 else f"{name} {seed}"))
    if options.each == 1:
        cells += [Image.new("L", cells[0].size, 255)] * (-len(cells) % COLUMNS)
        cells += [cell(shapes.held_out(i), name) for i, name in enumerate(shapes.HELD_OUT_KINDS)]
    sheet(cells, COLUMNS if options.each == 1 else options.each).save(options.output, optimize=True)
    print(f"written: {options.output}")


if __name__ == "__main__":
    main()
