"""False alarms: the shipped objects searched for, without a mask, in frames without any of them.

    python -m benchmarks.false_alarms          -> results/false_alarms.json, false_alarms.md

``redkitchen`` is a kitchen with a mug, a pot, a gamepad and a plastic box on its table, none of which is a trained object,
seen by a moving Kinect. Each object is searched for by itself, so a new object changes no other figure. Searched together,
objects compete and raise fewer alarms than the sum.

- NAME_a_frame: estimates a frame at the default threshold (``judge.min_score``), with its interval by tenths of the recording.
- NAME_threshold: the lowest ``judge.min_score``, in hundredths, with at most one alarm in ten frames. Below the default it
  counts every candidate that was rejected for its score only, although several may be at one place: it is an upper bound.
  Scores below ``LEAST`` are ignored.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data, results, rows
from pose_node.config import load
from pose_node.evaluation.figures.intervals import mean_interval, resampling_units
from pose_node.measurement.cloud import Cloud
from pose_node.objects.folders import object_folders

SET = "redkitchen"
LEAST = 0.3  # candidates of lower coarse score are given up before their score is known
ALLOWED = 0.1  # alarms a frame


def frame_row(pipeline: Any, frame: data.Frame) -> rows.Row:
    """scores: of the estimates; refused: of the candidates that only their score keeps out."""
    result = pipeline.estimate(Cloud.from_depth(frame.depth_m, frame.K))
    return {
        "scores": [e.score for e in result.estimates],
        "refused": [r.score for r in result.rejected if r.code == "low_score"],
        "ms": 1000.0 * sum(result.stage_s.values()),
    }


def threshold(found: Sequence[rows.Row], allowed: float = ALLOWED) -> float:
    """The least score in hundredths that at most ``allowed`` candidates a frame reach, at least ``LEAST``."""
    scores = sorted((s for row in found for s in (*row["scores"], *row["refused"])), reverse=True)
    most = int(allowed * len(found) + 1e-9)
    if len(scores) <= most:
        return LEAST
    # The first score too many has to stay below.
    return max(math.floor(100.0 * scores[most] + 1.0) / 100.0, LEAST)


def figures_of(name: str, found: Sequence[rows.Row]) -> dict[str, float]:
    """The figures of one object, from a row a frame in the order of the recording."""
    counts = np.array([len(row["scores"]) for row in found], float)
    low, high = mean_interval(counts, resampling_units([SET] * len(found)))
    return {
        f"{name}_a_frame": float(counts.mean()),
        f"{name}_a_frame_low": float(low),
        f"{name}_a_frame_high": float(high),
        f"{name}_threshold": threshold(found),
        f"{name}_highest": max((s for row in found for s in row["scores"]), default=math.nan),
        f"{name}_ms_p50": results.percentile([row["ms"] for row in found], 50),
    }


def rows_of(folder: Path, config: Path | None, keys: Sequence[str], jobs: int) -> list[rows.Row]:
    """One row a frame, from the cache or made now."""
    name = f"false_alarms/{folder.name}-{rows.fingerprint([folder], config, SET, code=[Path(__file__)])}"
    return rows.measure(name, keys, _one, _prepare_worker, (folder, config), jobs)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=data.ROOT / "models")
    parser.add_argument("--config", type=Path, default=None)
    parser.add_argument("--objects", nargs="+", default=[], help="default: all that are there")
    parser.add_argument("--frames", type=int, default=0, metavar="N", help="so many, spread evenly (default: all)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    keys = data.bare_keys(SET)
    if options.frames:
        keys = [keys[i] for i in np.unique(np.linspace(0, len(keys) - 1, options.frames).astype(int))]
    figures: dict[str, float] = {"frames": len(keys), "min_score": load(options.config).judge.min_score}
    together: list[list[rows.Row]] = []
    names = []
    for folder in object_folders(options.models, options.objects):
        together.append(rows_of(folder, options.config, keys, options.jobs))
        names.append(folder.name)
        mine = figures_of(folder.name, together[-1])
        figures.update(mine)
        print(", ".join(f"{key}: {value:.3g}" for key, value in mine.items()), flush=True)
    per_object = [row for found in together for row in found]
    figures.update(objects=len(names), mean_a_frame=float(np.mean([len(row["scores"]) for row in per_object])))
    figures["mean_threshold"] = threshold(per_object)
    if options.frames or options.objects:
        print(f"a partial run: nothing written (all objects and frames make false_alarms.json). {figures}")
        return
    results.write_result("false_alarms", "python -m benchmarks.false_alarms", figures, options.output)
    title = f"False alarms: {len(keys)} frames without any of the objects, no mask, each object by itself"
    results.write_table(options.output / "false_alarms.md", title, *_table(figures, names))


def _table(figures: Mapping[str, float], names: Sequence[str]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    heads = (
        "object",
        f"a frame at {figures['min_score']:g}",
        "from",
        "to",
        f"threshold for {ALLOWED:g} a frame",
        "highest score",
        "ms a frame",
    )
    keys = ("a_frame", "a_frame_low", "a_frame_high", "threshold", "highest", "ms_p50")
    return heads, [(name, *(figures[f"{name}_{key}"] for key in keys)) for name in names]


_worker: dict[str, Any] = {}


def _prepare_worker(folder: Path, config: Path | None) -> None:
    import pose_node

    _worker.update(pipeline=pose_node.Pipeline.load([folder], config=config))


def _one(key: str) -> rows.Row:
    return frame_row(_worker["pipeline"], data.bare_frame(SET, key))


if __name__ == "__main__":
    main()
