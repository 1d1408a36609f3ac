"""Does the gate notice a change? Constants and settings, changed one at a time, against ``benchmarks.gate``'s shipped parts.

    python -m benchmarks.gate_constants        -> results/gate_constants.json (15 minutes of one core)

A constant that changes no byte has no effect on these inputs. One that changes bytes but moves no figure out of its interval
has less effect than the gate can detect. ``NAME_factor``: the factor of the change; ``NAME_changed``: the share of calls with
other bytes; ``NAME_figures``: how many figures left their interval; ``NAME_worse``: how many of them became worse.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tqdm import tqdm

from benchmarks import gate, results

# (module, constant) or (section of the settings, key), and the factor.
MOVED: tuple[tuple[str, str, float], ...] = (
    ("pose.shortlist", "_SAME_REL", 3.0),
    ("pose.likelihood", "_VIOLATION_COST", 0.5),
    ("pose.residuals", "_OVERHANG_WEIGHT", 2.0),
    ("pose.refine", "_REACH_SIGMAS", 0.5),
    ("pose.outline", "_INDEPENDENT_RAYS", 3.0),
    ("detection.surface_pieces", "_CREASE", 2.0),
    ("detection.recognition", "_SAME_SEGMENT", 0.75),
    ("network.object_network", "_AGREES", 1.5),
    ("measurement.sensor", "_NORMAL_RAD", 0.5),
    ("detection.tolerances", "_GAP_SPACINGS", 2.0),
    ("config.judge", "tolerance_m", 1.5),
    ("config.judge", "min_score", 1.25),
    ("config.judge", "belief", 0.33),
    ("config.refine", "inlier_distance_rel", 0.5),
)


@contextmanager
def moved(where: str, name: str, factor: float) -> Any:
    """A ``gate.Evaluator`` whose pipeline has one value multiplied."""
    if where.startswith("config."):
        from pose_node.config import PipelineConfig

        section = where.removeprefix("config.")
        before = getattr(PipelineConfig(), section)
        value = type(getattr(before, name))(factor * getattr(before, name))
        yield gate.Evaluator(replace(PipelineConfig(), **{section: replace(before, **{name: value})}))
        return
    module = importlib.import_module(f"pose_node.{where}")
    before = getattr(module, name)
    setattr(module, name, type(before)(factor * before))
    try:
        yield gate.Evaluator()
    finally:
        setattr(module, name, before)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", help="names of constants; prints and writes nothing")
    options = parser.parse_args(arguments)
    asked = [*gate.cases(("rendered", "demo", "wrong_name"), every=5), *gate.cases(("demo_whole",))]
    unmoved = gate.Evaluator()
    before = [t for q in tqdm(asked, desc="unmoved") for t in unmoved.trials(q)]
    figures: dict[str, float] = {}
    for where, name, factor in MOVED:
        if options.only and name not in options.only:
            continue
        with moved(where, name, factor) as evaluator:
            after = [t for q in tqdm(asked, desc=name) for t in evaluator.trials(q)]
        found = gate.differences(before, after)
        same, calls = gate.same_bytes(before, after)
        left = {key: d["verdict"] for key, d in found.items() if d["verdict"]}
        print(
            f"{where}.{name} x {factor:g}: {calls - same} of {calls} calls changed; {left or 'within all intervals'}",
            flush=True,
        )
        key = f"{where}.{name}"
        figures[f"{key}_factor"] = factor
        figures[f"{key}_changed"] = (calls - same) / calls
        figures[f"{key}_figures"] = len(left)
        figures[f"{key}_worse"] = sum(verdict == "worse" for verdict in left.values())
    if not options.only:
        results.write_result("gate_constants", "python -m benchmarks.gate_constants", figures)


if __name__ == "__main__":
    main()
