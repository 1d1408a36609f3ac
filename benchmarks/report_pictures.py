"""Pictures of two reports as a browser shows them: the labelled bags, evaluated without masks.

    python -m benchmarks.report_pictures       -> docs/report_demo.png, docs/report_rendered.png; needs Chromium or Chrome

The pages are drawn at desktop width and then downscaled; they are readable when opened at full size.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import labelled_bag, results
from pose_node import cli
from pose_node.ros.demo import recording

KINDS = ("demo", "rendered")
WIDTH, TALLEST = 1280, 16_000  # pixels of the browser's window
_SHOWN = (860, 780, 700, 620)  # pixels of the picture's width
_COLOURS, _GREYS = 192, 64
_MOST_BYTES = 400_000
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def browser() -> str:
    """The path of a Chromium or Chrome. Raises FileNotFoundError without."""
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        raise FileNotFoundError(f"browser: found none of {', '.join(_BROWSERS)}, expected one to draw the pages with.")
    return found


def photograph(page: Path, width: int = WIDTH) -> Image.Image:
    """A whole page in a frame of ``width`` pixels, without the empty space below it."""
    with tempfile.TemporaryDirectory() as folder:
        around, shot = Path(folder) / "around.html", Path(folder) / "shot.png"
        # A browser window has a minimum width, a frame inside it has none.
        frame = f'<iframe src="{page.resolve().as_uri()}" width="{width}" height="{TALLEST}" frameborder="0"></iframe>'
        around.write_text(f'<!doctype html><meta charset="utf-8"><body style="margin:0">{frame}</body>')
        words = [browser(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        words += ["--hide-scrollbars", "--allow-file-access-from-files", f"--user-data-dir={folder}/profile"]
        words += [f"--window-size={max(width, 600)},{TALLEST}", f"--screenshot={shot}", around.as_uri()]
        subprocess.run(words, check=True, capture_output=True, timeout=300)
        with Image.open(shot) as image:
            whole = image.convert("RGB").crop((0, 0, width, TALLEST))
    pixels = np.asarray(whole)
    used = np.flatnonzero((pixels != pixels[-1, -1]).any(axis=(1, 2)))
    return whole.crop((0, 0, width, min(int(used.max(initial=0)) + 24, TALLEST)))


def save_small(image: Image.Image, path: Path) -> None:
    """Save as a PNG of few colours, at the largest width of ``_SHOWN`` that is below ``_MOST_BYTES``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for width in _SHOWN:
        small = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
        # Colours that cover the whole range, for a chart's few lines, and greys, for the many pixels of depth.
        chosen = small.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE).getpalette() or []
        palette = Image.new("P", (1, 1))
        palette.putpalette([*chosen[: 3 * _COLOURS], *np.repeat(np.linspace(0, 255, _GREYS).astype(int), 3).tolist()])
        small.quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)
        if path.stat().st_size <= _MOST_BYTES:
            return


def evaluated(kind: str, folder: Path, frames: int) -> Path:
    """Write a bag, evaluate it, and return its report."""
    if kind == "demo":
        made = [frame for scene in recording.scenes() for frame in labelled_bag.demo_frames(scene)]
    else:
        made = labelled_bag.rendered_frames(results.ROOT / "models", frames, seed=0)
    bag = labelled_bag.write_labelled_bag(folder / kind, made)
    run = folder / f"{kind}_run"
    objects = [] if kind == "demo" else ["--objects", *labelled_bag.ON_TABLE]
    code = cli.main(["evaluate", str(bag), "--models", str(results.ROOT / "models"), "--out", str(run), *objects])
    if code not in (0, 3):
        raise RuntimeError(f"evaluate {kind}: found exit code {code}, expected 0.")
    return run / "report.html"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--frames", type=int, default=30, metavar="N", help="of the rendered bag (default: 30)")
    options = parser.parse_args()
    browser()
    with tempfile.TemporaryDirectory() as name:
        for kind in options.kinds:
            target = results.ROOT / "docs" / f"report_{kind}.png"
            save_small(photograph(evaluated(kind, Path(name), options.frames)), target)
            print(f"written: {target}")


if __name__ == "__main__":
    main()
